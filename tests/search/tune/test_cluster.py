"""What can be told of a cluster before there is one; real raylets are in tests/faults."""

import os
from pathlib import Path

import pytest
from forked import Forked, ganablate

from search.tune.cluster import PACKAGES, Cluster, _leave, _local_options, _version
from search.tune.sockets import SOCKETS


def test_a_clients_address_is_refused():
    with pytest.raises(ValueError, match="run the command on a machine of the cluster"):
        Cluster(address="ray://10.0.0.1:10001")


def test_a_cluster_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="does not answer: ConnectionRefusedError"):
        Cluster(address="127.0.0.1:9").start()


def test_versions_are_those_of_the_source():
    """What follows the + names the device that it was built for."""
    import torch

    assert _version("torch") == torch.__version__.partition("+")[0]
    assert _version("no-such-package") == ""
    assert all(_version(name) for name in PACKAGES)


@pytest.mark.parametrize(("asked", "there", "share"), [(None, 2, 1), (None, 0, 0), (0, 2, 0), (0.5, 2, 0.5)])
def test_a_trial_has_a_gpu_where_there_is_one_unless_told_otherwise(monkeypatch, asked, there, share):
    """On any machine of a cluster that lives."""
    dead = {"Alive": False, "Resources": {"CPU": 8.0, "GPU": 8.0}}
    nodes = [{"Alive": True, "Resources": {"CPU": 8.0, **({"GPU": there} if there else {})}}]
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": {"CPU": 8.0}}, *nodes, dead])
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    cluster = Cluster(gpus_per_trial=asked)
    assert cluster.share == share
    assert cluster.start() == (there / share if share else 16)


def raises(error):
    def init(**_):
        raise error

    return init


def test_why_ray_does_not_start_is_told_here_and_of_a_cluster(monkeypatch, tmp_path):
    """By Ray's own text; the token is a matter of clusters."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ray.init", raises(Exception("the node timed out\nduring startup")))
    with pytest.raises(ValueError, match="on this machine: Exception: the node timed out during startup") as told:
        Cluster().start()
    assert "token" not in str(told.value)
    assert "; -v shows Ray's log; RAY_TMPDIR" in str(told.value)
    monkeypatch.setattr("ray.init", raises(RuntimeError("no key")))
    with pytest.raises(
        ValueError, match=r"'auto' does not answer: RuntimeError: no key.*; one .* wants RAY_AUTH_MODE=token"
    ):
        Cluster(address="auto").start()


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
def test_ray_gets_a_short_folder_of_its_own_where_its_sockets_have_no_room(monkeypatch, tmp_path, name):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(name, "/tmp/short")
    assert "_temp_dir" not in _local_options()
    monkeypatch.setenv(name, f"/tmp/{'ü' * 20}")
    folder = Path(_local_options()["_temp_dir"])
    assert len(str(folder)) < SOCKETS
    assert folder.stat().st_mode & 0o077 == 0
    _leave(str(folder))
    assert not folder.exists()


@pytest.mark.parametrize("home", ["/proc/nohome", "~nobody-has-this-name", None])
def test_ray_needs_no_home_for_its_token(monkeypatch, home):
    """A token that is there already is Ray's, though."""
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.delenv("HOME") if home is None else monkeypatch.setenv("HOME", home)
    monkeypatch.setattr("pwd.getpwuid", raises_key_error)
    _local_options()
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64


def raises_key_error(_):
    raise KeyError


def test_a_token_in_the_home_is_left_to_ray(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("a" * 64)
    _local_options()
    assert "RAY_AUTH_TOKEN" not in os.environ


NAMELESS = """
import os, pwd

def unknown(_):
    raise KeyError

pwd.getpwuid = unknown
import trainers, getpass, pathlib
assert getpass.getuser() == f"user-{os.getuid()}"
assert pathlib.Path.home() == pathlib.Path("/")
"""


@pytest.mark.process
def test_a_user_without_a_name_or_a_home_has_one(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    done = Forked(NAMELESS)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.process
def test_a_run_without_a_home_and_with_a_long_folder_for_temporary_files(tmp_path, monkeypatch):
    long = tmp_path / ("scratch-" * 12)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setenv("HOME", "/proc/nohome")
    for name in ("RAY_AUTH_TOKEN", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    done = ganablate(tmp_path, "run", "ring", "--tiny", "--seeds", "1")
    assert done.returncode == 0, done.stderr
    assert "4 runs to make" in done.stdout
