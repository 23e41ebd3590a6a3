"""A cluster of three raylets makes the table of one machine, whatever becomes of its nodes."""

import os
import secrets
import time
from pathlib import Path

import pytest
from harness import Driver, make_study, rows_of
from nodes import Nodes, can_hide
from test_soak import outcome

from search.store import Store

pytestmark = pytest.mark.slow
ARGUMENTS = ("run", "study.py", "--seeds", "2")
OURS = Path(__file__).parents[2]
hides = pytest.mark.skipif(not can_hide(), reason="hiding files from a node needs root and unshare")


@pytest.fixture(autouse=True)
def token(monkeypatch):
    """Only those who know it may use the cluster."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))


@pytest.fixture
def nodes(tmp_path, token):
    nodes = Nodes(tmp_path)
    yield nodes
    nodes.stop()


@pytest.fixture(scope="module")
def one_machine(tmp_path_factory):
    """The folder of the same study, made without a cluster."""
    folder = tmp_path_factory.mktemp("one")
    make_study(folder)
    finish(folder)
    return folder


def finish(folder, *arguments, status=0, **environment):
    driver = Driver(folder, *ARGUMENTS, *arguments, **environment)
    try:
        assert driver.wait(600) == status, (folder / "log").read_text()
    finally:
        driver.kill_all()
    return (folder / "log").read_text()


def table(folder):
    """The CSV of the study's report, but for what names its runs."""
    driver = Driver(folder, "report", "study.py", "--seeds", "2")
    assert driver.wait(300) == 0, (folder / "log").read_text()
    driver.kill_all()
    import pandas as pd

    (path,) = folder.glob("runs/reports/*/table.csv")
    held = pd.read_csv(path, dtype=str)
    return held.drop(columns=[name for name in held if "run_id" in name or "seconds" in name])


def wait_for_rows(folder, n, driver):
    deadline = time.monotonic() + 240
    while sum(map(len, rows_of(folder).values())) < n:
        assert driver.alive, (folder / "log").read_text()
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.2)


def same_as(one_machine, folder):
    assert outcome(folder) == outcome(one_machine)
    assert table(folder).equals(table(one_machine))


def test_a_node_dies_and_one_joins(tmp_path, nodes, one_machine):
    """8 runs on three nodes."""
    make_study(tmp_path)
    second, _third = nodes.add(), nodes.add()
    driver = Driver(tmp_path, *ARGUMENTS, "--address", nodes.address, sleep=0.1)
    wait_for_rows(tmp_path, 9, driver)
    nodes.kill(second)
    wait_for_rows(tmp_path, 20, driver)
    nodes.add()
    assert driver.wait(600) == 0, (tmp_path / "log").read_text()
    driver.kill_all()
    assert (tmp_path / "log").read_text().count(": done") == 8
    same_as(one_machine, tmp_path)


def test_a_node_that_ray_does_not_know_dead_yet(tmp_path, monkeypatch):
    """It counts as living for fifteen seconds after its death, in which the driver asks what it has."""
    monkeypatch.setenv("RAY_health_check_period_ms", "3000")
    make_study(tmp_path)
    nodes = Nodes(tmp_path)
    try:
        nodes.kill(nodes.add())
        finish(tmp_path, "--address", nodes.address)
    finally:
        nodes.stop()


def test_without_the_token(tmp_path, nodes):
    make_study(tmp_path)
    told = finish(tmp_path, "--address", nodes.address, status=2, RAY_AUTH_TOKEN="0" * 64)
    assert "RAY_AUTH_MODE=token" in told
    assert "Traceback" not in told


@hides
def test_code_is_brought_to_the_nodes(tmp_path, nodes, one_machine):
    """They have neither ours nor the user's."""
    make_study(tmp_path)
    for _ in range(2):
        nodes.add(hide=[OURS / "trainers", OURS / "search", OURS / "spaces", tmp_path / "slow.py"])
    finish(tmp_path, "--address", nodes.address)
    same_as(one_machine, tmp_path)


@hides
def test_an_object_store_takes_the_place_of_the_folder(tmp_path, monkeypatch, one_machine):
    """A node that has no folder of the driver's dies with what it wrote; another goes on from the bucket."""
    boto3, server = pytest.importorskip("boto3"), pytest.importorskip("moto.server")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    make_study(tmp_path)
    (tmp_path / "runs").mkdir()
    bucket = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    bucket.start()
    host, port = bucket.get_host_and_port()
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
    client.create_bucket(Bucket="gans")
    uri = f"s3://gans/sweeps?endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    nodes = Nodes(tmp_path)
    try:
        scratch = Path("/tmp", f"ganablate-{os.getuid()}")
        scratch.mkdir(exist_ok=True)
        dies, _ = [nodes.add(hide=[tmp_path / "runs", scratch]) for _ in range(2)]
        driver = Driver(tmp_path, *ARGUMENTS, "--address", nodes.address, "--storage", uri, sleep=0.1)
        wait_for_rows(tmp_path, 9, driver)
        nodes.kill(dies)
        assert driver.wait(600) == 0, (tmp_path / "log").read_text()
        driver.kill_all()
        kept = [item["Key"] for item in client.list_objects_v2(Bucket="gans", MaxKeys=1000)["Contents"]]
    finally:
        nodes.stop()
        bucket.stop()
    assert outcome(tmp_path) == outcome(one_machine)
    assert len({key.split("/")[2] for key in kept}) == 8
    assert not [key for key in kept if "checkpoint" in key]
    assert len([key for key in kept if key.endswith("generator_final.pt")]) == 8
    assert rows_of(tmp_path).keys() == {key.split("/")[2] for key in kept}


@hides
def test_a_node_that_shares_no_folder_is_told(tmp_path, nodes):
    make_study(tmp_path)
    (tmp_path / "runs").mkdir()
    nodes.add(hide=[tmp_path / "runs"])
    told = finish(tmp_path, "--address", nodes.address, status=2)
    assert f"does not see the folder {tmp_path / 'runs'}; --storage should be one that all nodes share" in told
    assert "Traceback" not in told
    assert rows_of(tmp_path) == {}


@hides
def test_a_node_without_the_data_says_so_and_the_same_command_goes_on(tmp_path, nodes):
    """The node joins while the sweep is on."""
    from PIL import Image

    make_study(tmp_path)
    (tmp_path / "photos").mkdir()
    for number in range(64):
        Image.new("L", (16, 16), 4 * number).save(tmp_path / "photos" / f"{number}.png")
    text = (tmp_path / "study.py").read_text()
    own = 'dataset="folder:photos", backbone="dcgan", backbone_options={"width": 4, "latent": 4}, features="raw"'
    text = text.replace('dataset="ring8", backbone="mlp", backbone_options={"width": 8, "latent": 4}', own)
    (tmp_path / "study.py").write_text(text.replace("energy_distance_final", "fid_final"))
    driver = Driver(tmp_path, *ARGUMENTS, "--address", nodes.address, sleep=0.1)
    wait_for_rows(tmp_path, 2, driver)
    nodes.add(hide=[tmp_path / "photos"])
    assert driver.wait(300) == 2, (tmp_path / "log").read_text()
    driver.kill_all()
    told = (tmp_path / "log").read_text()
    assert "dataset = 'folder:photos'" in told
    assert "mend it, or take the node out, and the same command goes on" in told
    assert "Traceback" not in told
    nodes.kill(nodes.started[-1])
    finish(tmp_path, "--address", nodes.address)
    states = {record.state for record in Store(storage=tmp_path / "runs").all_runs().values()}
    assert states == {"done"}
