"""What can be told of a cluster before there is one; real raylets are in tests/faults."""

import pytest

from search.tune.cluster import PACKAGES, Cluster, _version


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
