"""No password is shown, and whoever says nothing is not waited for."""

import os
import threading
import time

import pytest

from search.store.address import describe_error, strip_login, with_timeout
from search.store.passwords import redacted


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("https://mlflow.lab.org/x", "https://mlflow.lab.org/x"),
        ("https://ada:canary@mlflow.lab.org:5000", "https://mlflow.lab.org:5000"),
        ("https://ada:can/ary@mlflow.lab.org", "https://mlflow.lab.org"),
        ("postgresql+psycopg2://ada:c@n?a#ry@db/mlflow", "postgresql+psycopg2://db/mlflow"),
        ("postgresql://db/mlflow?user=ada&password=canary", "postgresql://db/mlflow"),
        ("postgresql://db/mlflow?user=ada&password=can@ary", "postgresql://***"),
        ("postgresql://ada:c?x=can@ary@db/mlflow", "postgresql://***"),
        ("mssql+pyodbc://db/mlflow;pwd=canary", "mssql+pyodbc://db/mlflow"),
        ("postgresql:ada:canary@db/mlflow", "postgresql:db/mlflow"),
        ("sqlite:///me@work/a.db?key=canary", "sqlite:///me@work/a.db"),
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


@pytest.mark.parametrize(
    "uri", ["http://", "http://a:canary@h:port", "http://a:c@[anary@h", "https://a:can/ary@h", "HTTP://h/?token=canary"]
)
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


@pytest.mark.parametrize(
    ("uri", "text", "said"),
    [
        ("ada:canary@db/mlflow", 'as "ada" with canary', 'as "ada" with ***'),
        ("ada:can%40ary@db/mlflow", "can@ary, can%40ary", "***, ***"),
        ("ada:x@canary@db/mlflow", 'no host "canary@db"', 'no host "***@db"'),
        ("db/mlflow?sslmode=require&password=canary", "SSL is required of canary", "SSL is required of ***"),
        ("db/mlflow?sslpassword=can+ary", "key with can ary", "key with ***"),
        ("/?odbc_connect=PWD%3Dcanary", "cannot read PWD=canary", "cannot read ***"),
        ("ada@db/mlflow", "no table of ada", "no table of ada"),
    ],
)
def test_a_complaint_holds_no_password(uri, text, said):
    """Nor a part of one, which a driver may take for a host."""

    class DriverError(Exception):
        orig = f"{text}\nand more"

    assert describe_error(DriverError(), f"postgresql+psycopg2://{uri}") == f"does not answer: {said}"
