"""Run folders in an object store: a server of Amazon's protocol, on this machine."""

import shutil

import pytest

from search.store import Store
from search.store.delivery import Delivery
from search.store.folders import ObjectStore, RunFolders
from search.store.identity import origin
from search.store.queries import seed_runs
from search.store.recovery import recover_study
from trainers.loop import train
from trainers.run_folder import end_of, read_evaluations, read_origin, write_origin

RUN = "0123abcd"


@pytest.fixture(scope="module")
def bucket():
    """The URI of an empty bucket, and its client."""
    import boto3
    from moto.server import ThreadedMotoServer

    names = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in names.items():
            patch.setenv(name, value)
        server.start()
        host, port = server.get_host_and_port()
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
        client.create_bucket(Bucket="gans")
        yield f"s3://gans/sweeps?endpoint_override={host}:{port}&scheme=http&region=us-east-1", client
        server.stop()


@pytest.fixture
def stores(bucket, tmp_path):
    """The object store as the driver and as two nodes have it."""
    uri, client = bucket
    for item in client.list_objects_v2(Bucket="gans").get("Contents", []):
        client.delete_object(Bucket="gans", Key=item["Key"])
    return [ObjectStore(uri, tmp_path / name) for name in ("driver", "one", "two")]


def names(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def without_times(rows):
    return [{k: v for k, v in row.items() if k not in ("seconds", "eval_seconds", "logged_at")} for row in rows]


@pytest.mark.long
def test_a_run_goes_on_at_another_node(stores, tiny_points, tmp_path):
    """The first node dies after two rows; the driver has rows and grids of what was brought, and no weights."""
    driver, one, two = stores
    run = train(tiny_points, one[RUN])
    for _ in range(2):
        next(run)
        one.upload(RUN)
    next(run)  # this row dies with its node
    run.close()
    driver.download(RUN)
    assert [row["images"] for row in read_evaluations(driver[RUN])] == [0, 256]
    assert {name.partition("/")[0] for name in names(driver[RUN])} == {
        "config.json",
        "data.json",
        "provenance.json",
        "rows.jsonl",
        "samples",
    }
    two.download(RUN, all_of_it=True)
    for _ in train(tiny_points, two[RUN]):
        two.upload(RUN, retry=True)
    driver.download(RUN)
    expected = list(train(tiny_points, tmp_path / "whole"))
    assert without_times(read_evaluations(driver[RUN])) == without_times(expected)
    assert end_of(driver[RUN])[0] == "done"
    one.download(RUN, all_of_it=True)  # what the first node had is forgotten, checkpoints are gone
    assert names(one[RUN]) == names(two[RUN]) - {"lock"}
    assert not any(name.startswith("checkpoint") for name in names(one[RUN]))
    two.discard_local(RUN)
    assert not two[RUN].exists()


def test_a_worker_is_asked_to_stop(stores, monkeypatch):
    monkeypatch.setattr("search.store.folders.LOOK_EVERY", 0.0)
    driver, worker, later = stores
    assert not worker.is_asked_to_stop(RUN)
    driver.ask_to_stop(RUN)
    assert worker.is_asked_to_stop(RUN)
    driver.clear_stop(RUN)
    assert not later.is_asked_to_stop(RUN)


def test_checkpoints_of_a_stopped_run_go(stores, tiny_points):
    driver, worker, _ = stores
    run = train(tiny_points, worker[RUN])
    next(run)
    run.close()
    worker.upload(RUN)
    assert f"{RUN}/checkpoint.pt" in {f"{RUN}/{name}" for name in driver._there(RUN)}
    driver.drop_checkpoints(RUN)
    assert not any(name.startswith("checkpoint") for name in driver._there(RUN))


def test_a_store_that_is_away_costs_no_row_and_is_told_in_the_end(stores, tiny_points, monkeypatch):
    monkeypatch.setattr("search.store.folders.PAUSE", 0.0)
    driver, worker, _ = stores

    def away(*_):
        raise OSError("the network is down")

    run = train(tiny_points, worker[RUN])
    with monkeypatch.context() as patch:
        patch.setattr(worker, "_put", away)
        next(run)
        worker.upload(RUN)
        with pytest.raises(ConnectionError, match=f"{RUN}.* cannot be written: the network is down"):
            worker.upload(RUN, retry=True)
    next(run)
    worker.upload(RUN)
    driver.download(RUN)
    assert [row["images"] for row in read_evaluations(driver[RUN])] == [0, 256]


@pytest.mark.long
def test_a_store_delivers_what_lies_there(bucket, stores, tiny_study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, worker, _ = stores
    store = Store(storage=bucket[0])
    assert store.storage == tmp_path / "runs"
    assert store.shared is None
    cell = tiny_study.cells()[0]
    run_id = Delivery(store).create(tiny_study, cell, 0)
    for _ in train(cell.config, worker[run_id]):
        worker.upload(run_id)
    Delivery(store).begin(run_id, cell.config)
    Delivery(store).deliver(run_id)
    (record,) = seed_runs(store, [cell.config]).values()
    assert record.state == "done"
    assert store.folders.location(run_id).startswith(f"s3://gans/sweeps/trials/{run_id}?")


@pytest.mark.slow
def test_a_store_that_was_lost_takes_in_what_lies_there(bucket, stores, tiny_study, tmp_path, monkeypatch):
    """The first try dies amid a folder; another user's store on the same bucket has none of it."""
    monkeypatch.chdir(tmp_path)
    _, worker, _ = stores
    store = Store(storage=bucket[0])
    delivery, cells = Delivery(store), tiny_study.cells()
    for cell, rows in zip(cells, (3, 2), strict=True):
        run_id = delivery.create(tiny_study, cell, 0)
        write_origin(worker[run_id], {**origin(store), "cell_key": cell.config.cell_key})
        run = train(cell.config, worker[run_id])
        for _ in range(rows):
            next(run)
            worker.upload(run_id)
        run.close()
    before = store.folders.ids()
    names_before = {name for run_id in before for name in store.folders._there(run_id)}

    monkeypatch.chdir(tmp_path.joinpath("..").resolve())
    monkeypatch.setattr("search.store.connection.STORAGE", tmp_path / "other")
    assert recover_study(tiny_study, Delivery(Store(storage=bucket[0]))) == 0

    shutil.copytree(tmp_path / "runs", tmp_path / "again", ignore=shutil.ignore_patterns("mlflow.db", "artifacts"))
    monkeypatch.setattr("search.store.connection.STORAGE", tmp_path / "again")
    store, puts, put = Store(storage=bucket[0]), [], ObjectStore._put

    def dies(*arguments):
        puts.append(arguments)
        if len(puts) > 3:
            raise KeyboardInterrupt
        put(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "_put", dies)
        with pytest.raises(KeyboardInterrupt):
            recover_study(tiny_study, Delivery(store))
    assert recover_study(tiny_study, Delivery(store)) == 2
    found = seed_runs(store, (cell.config for cell in cells))
    assert [(run.state, run.metrics["images"]) for run in found.values()] == [("done", 512), ("running", 256)]
    assert store.folders.ids() == {run.run_id for run in found.values()}
    assert store.folders.ids().isdisjoint(before)
    assert {name for run_id in store.folders.ids() for name in store.folders._there(run_id)} == names_before
    run_id = min(store.folders.ids())
    assert read_origin(store.folder(run_id))["store"] == origin(store)["store"]
    worker.download(run_id, all_of_it=True)
    assert read_origin(worker[run_id]) == read_origin(store.folder(run_id))
    assert recover_study(tiny_study, Delivery(store)) == 0


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("s3://key:word@gans/sweeps", "should hold no password"),
        ("s3://key:wo/word@gans/sweeps", "should hold no password"),
        ("s3://key:wo?word@gans/sweeps", "should hold no password"),
        ("S3://word@gans/sweeps", "should hold no password"),
        ("s3://gans/sweeps?access_key=a&secret_key=word@", "should hold no password"),
        ("s3://gans/sweeps?endpoint_override=key:word@host", "should hold no password"),
        ("abfs://container:word@account.dfs.core.windows.net/sweeps", "should hold no password"),
        ("abfs://:word@account.blob.core.windows.net/sweeps", "should hold no password"),
        ("abfss://account%3Aword@container/sweeps", "should hold no password"),
        ("abfs://container@account/sweeps?sv=1&sig=word@", "should hold no password"),
        ("abfs://container@account/sweeps?tenant_id=1&client_id=2&client%5Fsecret=word@", "should hold no password"),
        ("hdfs://ada:word@host:8020/sweeps", "should hold no password"),
        ("ftp://gans/sweeps?unknown=word", "--storage ftp://gans/sweeps cannot be opened"),
        ("ftp://gans/sweeps", "cannot be opened"),
        ("s3:///sweeps", "names no bucket"),
    ],
)
def test_uris_that_cannot_be_used(uri, told, tmp_path):
    with pytest.raises(ValueError, match=told) as error:
        ObjectStore(uri, tmp_path)
    assert not any(secret in str(error.value) for secret in ("word@", "word%", ":word", "key:", "=word"))


@pytest.mark.parametrize(
    "uri",
    [
        "abfs://container@account",
        "abfss://container@account.dfs.core.windows.net/sweeps",
        "abfs://account@127.0.0.1:10000/container/sweeps?enable_tls=false&credential_kind=anonymous",
        "gs://anonymous@gans/sweeps",
        "s3://gans/me@work/sweeps?region=eu-central-1&endpoint_override=127.0.0.1:9000&scheme=http",
    ],
)
def test_uris_without_a_password_are_taken(uri, tmp_path):
    """A part before @ may be a container or an account."""
    assert ObjectStore(uri, tmp_path).location(RUN).startswith(uri.partition("?")[0])


def test_a_name_that_leads_elsewhere_is_left_there(bucket, stores, tmp_path):
    """Whoever can write to the bucket cannot write to the machine."""
    bucket[1].put_object(Bucket="gans", Key=f"sweeps/trials/{RUN}/../../out", Body=b"x")
    driver, _, _ = stores
    driver.download(RUN, all_of_it=True)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_on_a_shared_disk_nothing_is_copied(tmp_path):
    folders = RunFolders(tmp_path)
    folders.ask_to_stop(RUN)
    assert folders.is_asked_to_stop(RUN)
    folders.download(RUN, all_of_it=True)
    folders.upload(RUN, retry=True)
    folders.discard_local(RUN)
    folders.clear_stop(RUN)
    assert not folders.is_asked_to_stop(RUN)
    assert folders.location(RUN) == str(tmp_path / RUN)
    assert [path.name for path in tmp_path.iterdir()] == [RUN]
