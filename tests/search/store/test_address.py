"""No password is shown, and whoever says nothing is not waited for."""

import os
import threading
import time

import pytest

from search.store.address import describe_error, redacted, strip_login, with_timeout


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("https://mlflow.lab.org/x", "https://mlflow.lab.org/x"),
        ("https://ada:canary@mlflow.lab.org:5000", "https://mlflow.lab.org:5000"),
        ("https://ada:can/ary@mlflow.lab.org", "https://mlflow.lab.org"),
        ("postgresql+psycopg2://ada:c@n?a#ry@db/mlflow", "postgresql+psycopg2://db/mlflow"),
        ("postgresql://db/mlflow?user=ada&password=canary", "postgresql://db/mlflow"),
        ("nonsense://ada:canary@[h", "nonsense://[h"),
    ],
)
def test_what_is_shown_of_an_address(uri, shown):
    assert redacted(uri) == shown


def test_the_login_of_a_server_moves_into_the_environment(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "grace")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hers")
    assert strip_login("https://mlflow.lab.org/a") == "https://mlflow.lab.org/a"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "hers"
    assert strip_login("https://ada:can%2Fary@mlflow.lab.org:5000/a") == "https://mlflow.lab.org:5000/a"
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "ada"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "can/ary"
    assert strip_login("postgresql://ada:canary@db/mlflow") == "postgresql://ada:canary@db/mlflow"


@pytest.mark.parametrize("uri", ["http://", "http://a:canary@h:port", "http://a:c@[anary@h", "https://a:can/ary@h"])
def test_an_address_that_cannot_be_read(uri):
    with pytest.raises(ValueError, match="is no address that can be read") as refused:
        strip_login(uri)
    assert "canary" not in str(refused.value)


def test_in_time():
    assert with_timeout(lambda: 3, 1) == 3
    with pytest.raises(KeyError):
        with_timeout(lambda: {}["absent"], 1)
    started, never = time.monotonic(), threading.Event()
    with pytest.raises(TimeoutError):
        with_timeout(lambda: never.wait(30), 0.1)
    assert time.monotonic() - started < 5
    never.set()


def test_a_complaint_holds_no_password():
    class DriverError(Exception):
        orig = 'connection as "ada" with canary\nrefused'

    said = describe_error(DriverError(), "postgresql+psycopg2://ada:canary@db/mlflow")
    assert said == 'does not answer: connection as "ada" with ***'
