"""A tracking server as a team would have it: MLflow with logins in front of PostgreSQL, both real; and bad servers."""

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from search.store import Store, load_runs
from search.store.parents import Parents
from search.store.queries import _from_server, find_runs, stored_grids

SECRET = "canary7Hq2x9"  # begins every password here, which MLflow wants this long; to be found nowhere
TINY = ("quick", "--tiny", "--seeds", "1")


@pytest.fixture(autouse=True)
def no_login(monkeypatch):
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")


# servers that are not what they should be


@contextlib.contextmanager
def web(status=200, body=b"{}", health=200, pause=0.0):
    """A server of one answer, whose body comes byte by byte; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(health, b"OK")

        def do_POST(self):
            self.answer(status, body)

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    time.sleep(pause)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def silent(full=False):
    """A port that accepts connections and says nothing; or drops their packets, its queue being full."""
    with contextlib.ExitStack() as held:
        port = held.enter_context(socket.socket())
        port.bind(("127.0.0.1", 0))
        port.listen(0 if full else 16)
        for _ in range(3 if full else 0):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(port.getsockname())
        yield f"127.0.0.1:{port.getsockname()[1]}"


def begin(store):
    """As every command does."""
    store.probe()
    return store.client


def refusal(uri):
    """What a command says of a store, in time."""
    started = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("search.store.connection.ANSWER_WITHIN", 1)
        with pytest.raises(ValueError) as refused:
            begin(Store(uri))
    assert time.monotonic() - started < 10
    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, b"who are you?", "refuses this login; MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        (403, b"no", "denies this user"),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}', "denies this user"),
        (404, b"<html>", "answers with HTTP status 404"),
        (500, b"oh", "answers with HTTP status 500"),
        (503, b'{"error_code": "TEMPORARILY_UNAVAILABLE"}', "answers with HTTP status 503"),
        (200, b"<html>please log in</html>", "answers, but not as MLflow does"),
    ],
)
def test_a_server_that_refuses(status, body, words):
    with web(status, body) as place:
        said = refusal(f"http://ada:{SECRET}@{place}")
        assert said.startswith(f"the MLflow store http://{place} {words}")


def test_a_server_that_answers_byte_by_byte():
    """Each byte resets the limits that HTTP libraries have."""
    with web(200, b" " * 1000, pause=0.1) as place:
        assert refusal(f"http://ada:{SECRET}@{place}").endswith("does not answer in time")


@pytest.mark.parametrize("scheme", ["http", "https", "postgresql+psycopg2"])
@pytest.mark.parametrize("full", [False, True], ids=["silent", "drops packets"])
def test_who_says_nothing(scheme, full):
    if scheme.startswith("postgresql"):
        pytest.importorskip("psycopg2")
    with silent(full) as place:
        assert refusal(f"{scheme}://ada:{SECRET}@{place}/mlflow").endswith("does not answer in time")


def test_a_database_that_is_down():
    pytest.importorskip("psycopg2")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        said = refusal(f"postgresql+psycopg2://ada:{SECRET}@127.0.0.1:{taken.getsockname()[1]}/mlflow")
    assert "Connection refused" in said


def test_a_database_without_its_driver(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    said = refusal(f"postgresql+psycopg2://ada:{SECRET}@127.0.0.1:9/mlflow")
    assert said.endswith("needs the Python package psycopg2, which is not installed; pip install 'ganablate[server]'")


# the real ones


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def database():
    """A running PostgreSQL: the URI of a new database in it, by name."""
    pytest.importorskip("psycopg2", reason="needs the extra [server]")
    found = [*map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), shutil.which("initdb")]
    if not any(found):
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    tools = Path(next(filter(None, found))).parent
    folder = Path(tempfile.mkdtemp(prefix="ganablate-"))
    someone = {}
    if os.geteuid() == 0:  # whom PostgreSQL refuses to serve
        someone = {"user": "nobody", "extra_groups": []}
        shutil.chown(folder, "nobody")

    def tool(name, *arguments):
        environment = {**os.environ, "PGPASSWORD": SECRET}
        subprocess.run([tools / name, *arguments], cwd=folder, env=environment, check=True, stdout=log, **someone)

    port = str(free_port())
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    with (folder / "out").open("w") as log:
        (folder / "password").write_text(SECRET)
        (folder / "password").chmod(0o644)
        tool("initdb", "-D", "data", "-U", "team", "--auth=scram-sha-256", "--pwfile=password")
        tool("pg_ctl", "-D", "data", "-o", options, "-l", "log", "-w", "start")

        def create(name):
            tool("createdb", "-h", "127.0.0.1", "-p", port, "-U", "team", name)
            return f"postgresql+psycopg2://team:{SECRET}@127.0.0.1:{port}/{name}"

        try:
            yield create
        finally:
            tool("pg_ctl", "-D", "data", "-m", "immediate", "stop")
            shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server(database, tmp_path_factory):
    """The address of MLflow's server with logins, as docs/server.md sets it up, and the URI of its database."""
    pytest.importorskip("flask_wtf", reason="needs the extra [server]")
    folder, port, tracking = tmp_path_factory.mktemp("server"), free_port(), database("tracking")
    (folder / "auth.ini").write_text(
        f"[mlflow]\ndatabase_uri = {database('auth')}\ndefault_permission = EDIT\nadmin_username = admin\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\nauth_cache_ttl_seconds = 60\n"
    )
    environment = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": tracking,
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": SECRET,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": SECRET,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--port", str(port)]
    with (folder / "log").open("w") as log:
        served = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(address) or served.poll() is not None, 900)
        assert served.poll() is None, (folder / "log").read_text()
        for user in ("ada", "grace"):
            add_user(address, user)
        yield address, tracking
    finally:
        end_session(served)


def answers(address):
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(f"{address}/health", timeout=5).read() == b"OK"
    return False


def add_user(address, user):
    """As MLflow's AuthServiceClient does, whose import takes that of the whole server."""
    body = json.dumps({"username": user, "password": SECRET + user}).encode()
    login = base64.b64encode(f"admin:{SECRET}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/api/2.0/mlflow/users/create", body, headers)
    urllib.request.urlopen(request, timeout=60).close()


def end_session(leader):
    """End a process and all of the session that it leads."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in psutil.process_iter():
            with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
                if os.getsid(process.pid) == leader.pid:
                    process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            leader.wait(20)


def ganablate(folder, *arguments, **environment):
    """Run the command as ada would; its output, and that of all processes' command lines meanwhile."""
    done = subprocess.Popen(
        [sys.executable, "-m", "ganablate", *arguments],
        cwd=folder,
        env={**os.environ, "GANABLATE_CANARY": SECRET, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    lines = set()
    watch = threading.Thread(target=lambda: command_lines(done, lines))
    watch.start()
    try:
        out, _ = done.communicate()
    finally:
        end_session(done)
        watch.join()
    (folder / "output").open("a").write(out + "\n".join(sorted(lines)))
    assert done.returncode == 0, out
    return out


def command_lines(process, lines):
    """Collect the command lines of a process and of what it started, while it runs."""
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(process.pid)
            for one in (top, *top.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    lines.add(" ".join(one.cmdline()))
        time.sleep(0.3)


def holding_the_secret(folder):
    return [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def is_whole(store, n, steps):
    """One MLflow run a (cell, seed), with every row, grid and the config, none left running; the keys of the cells."""
    client = store.client
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    children = [run for run in runs if "seed" in run.data.tags]
    keys = {run.data.tags["cell_key"] for run in children}
    assert len({(run.data.tags["cell_key"], run.data.tags["seed"]) for run in children}) == len(children) == n
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in children:
        assert [m.step for m in client.get_metric_history(run.info.run_id, "fid")] == steps
        assert sorted(stored_grids(store, run.info.run_id)) == steps
        assert "config.json" in {item.path for item in client.list_artifacts(run.info.run_id)}
    return keys


def as_text(records):
    """Records to compare, since NaN is not NaN."""
    return [
        [*map(str, record[:4]), sorted(record.tags.items()), str(sorted(record.metrics.items()))] for record in records
    ]


@pytest.fixture
def ray_folder(monkeypatch):
    """Where Ray logs: short, since it makes sockets there."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_study_on_a_teams_server(server, tmp_path, ray_folder, monkeypatch):
    """Its password in the URI, the worst place for it, which leads nowhere else."""
    address, tracking = server
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.replace("//", f"//ada:{SECRET}ada@"))
    ganablate(tmp_path, "run", *TINY)
    plan = json.loads(ganablate(tmp_path, "plan", *TINY, "--json"))
    assert [run["state"] for cell in plan["cells"] for run in cell["runs"]] == ["done"] * 4
    assert "seed 0: done, FID" in ganablate(tmp_path, "why", "quick", "GAN", "--tiny", "--seeds", "1")
    ganablate(tmp_path, "report", *TINY, "--out", "out")
    assert (tmp_path / "out" / "samples.png").exists()
    ganablate(tmp_path, "train", "digits_gan", "--tiny", "--seed", "7", "--out", "made")
    assert "taken in as run" in ganablate(tmp_path, "import", "made")
    assert "left alone" in ganablate(tmp_path, "import", "made")
    told = ganablate(tmp_path, "ui")
    assert f"quick (tiny): {address}/#/experiments/" in told
    assert f"everything: {address}\n" in told

    store = Store(storage=tmp_path / "runs")
    assert store.uri == address
    keys = is_whole(store, 5, [0, 512, 1024, 1536, 2048])
    by_server, by_database = find_runs(store, "cell_key", keys), find_runs(Store(tracking), "cell_key", keys)
    assert as_text(by_server) == as_text(by_database)
    assert holding_the_secret(tmp_path) == []
    assert holding_the_secret(ray_folder) == []
    assert SECRET not in contents(tracking)


@pytest.mark.slow
def test_logins(server, tmp_path, tiny_study, monkeypatch):
    """One of the team goes on with what another began; nobody else does."""
    address, _ = server
    for user in ("ada", "grace"):
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET + user)
        store = Store(address, tmp_path)
        Parents(store).update(tiny_study, tiny_study.cells())
        assert len(find_runs(store, "study", ["tiny"])) == 2
    assert "refuses this login" in refusal(address.replace("//", f"//ada:{SECRET}@"))


@pytest.fixture
def store(database, tmp_path):
    """A new PostgreSQL without a server."""
    return Store(database("direct"), tmp_path / "runs")


@pytest.mark.slow
def test_postgresql_without_a_server(store, make_runs, tiny_study, tmp_path, monkeypatch):
    assert load_runs(tiny_study, store=store).empty  # before MLflow has made its tables
    make_runs(tiny_study)
    is_whole(store, 4, [0, 256, 512])
    found = find_runs(store, "cell_key", [cell.config.cell_key for cell in tiny_study.cells()])
    again = _from_server(store, "cell_key", [cell.config.cell_key for cell in tiny_study.cells()])
    assert len(found) == 6
    assert as_text(found) == as_text(again)
    assert set(load_runs(tiny_study, store=store)["state"]) == {"done"}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    shows_itself_here_only(tmp_path)
    assert SECRET not in contents(store.uri)
    assert holding_the_secret(tmp_path) == []


def shows_itself_here_only(folder):
    """`ui` serves at this machine's own address, and no command line tells where from."""
    port = free_port()
    command = [sys.executable, "-m", "ganablate", "ui", "--port", str(port)]
    with (folder / "output").open("w") as log:
        shown = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}"), 900)
        everyone = [psutil.Process(shown.pid), *psutil.Process(shown.pid).children(recursive=True)]
        listening = {c.laddr for one in everyone for c in one.net_connections() if c.status == psutil.CONN_LISTEN}
        assert {tuple(place) for place in listening} == {("127.0.0.1", port)}
        assert not any(SECRET in " ".join(one.cmdline()) for one in everyone)
    finally:
        end_session(shown)
    assert f"tiny: http://127.0.0.1:{port}/#/experiments/" in (folder / "output").read_text()


def contents(uri):
    """All that a database holds, as text."""
    from sqlalchemy import MetaData, create_engine, select

    engine, tables = create_engine(uri), MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        held = [connection.execute(select(table)).all() for table in tables.sorted_tables]
    engine.dispose()
    return repr(held)
