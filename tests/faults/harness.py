"""Real drivers, real kills: what the tests of this folder share.

The study's own loss sleeps at every step, so that a run lasts while it takes no core, and writes down each step of D,
so that the work that a fault made twice can be counted.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil

BATCH, EVAL_EVERY, IMAGES = 32, 320, 3_200
STUDY = f"""
from spaces import Study
from trainers.config import Config

BASE = Config(
    dataset="ring8", backbone="mlp", backbone_options={{"width": 8, "latent": 4}}, loss="slow:hinge",
    batch_size={BATCH}, n_images={IMAGES}, eval_every={EVAL_EVERY}, eval_samples=200,
)
COOP, AW = {{"n_coop": {IMAGES // 2}, "langevin_steps": 3}}, {{"aw": "normalized"}}
ROWS = {{"GAN": {{}}, "+ CoopInit": COOP, "+ aw-loss": AW, "+ both": {{**COOP, **AW}}}}
STUDY = Study("faults", BASE, rows=ROWS, seeds=3, metrics=("energy_distance_final",))
"""
SLOW = """
import os, time
from trainers import losses

def real(logits):
    time.sleep(float(os.environ.get("GANABLATE_TEST_SLEEP", 0)))
    if "GANABLATE_TEST_STEPS" in os.environ:
        with open(os.environ["GANABLATE_TEST_STEPS"], "a") as file:
            file.write("x")
    return losses.hinge.real(logits)

hinge = losses.hinge._replace(real=real)
"""
KILLERS = {"driver", "raylet", "gcs", "all", "SIGTERM", "SIGINT", "SIGINT twice", "SIGHUP"}  # of the driver, soon
HARMLESS = {"worker", "frozen worker", "flipped byte", "truncated checkpoint", "write lock", "silent server"}
HARMLESS |= {
    "read-only storage",
    "store lost",
    "store put back",
}  # these end a driver that notices: one that starts may not
AWAY = 20  # seconds that a lock is held, a server silent, a storage read-only


def make_study(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.py").write_text(STUDY)
    (folder / "slow.py").write_text(SLOW)


def _heed_signals():
    """Whoever called us may ignore them: `nohup` does, and a shell for what it puts into the background."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Driver:
    """A `ganablate` process in a session of its own, with all that it starts."""

    def __init__(self, folder, *arguments, sleep=0.0, proxy=None, **environment):
        self.folder, self.proxy = folder, proxy
        self.log = (folder / "log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ganablate", *arguments],
            cwd=folder,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
            preexec_fn=_heed_signals,
            env={**os.environ, "GANABLATE_TEST_SLEEP": str(sleep), **environment},
        )
        self.session = self.process.pid

    def processes(self, name=""):
        """Living processes of the session whose command line holds `name`."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getsid(process.pid) == self.session and name in " ".join(process.cmdline()):
                    found.append(process)
        return sorted(found, key=lambda process: process.pid)

    @property
    def alive(self):
        return self.process.poll() is None

    def wait(self, seconds):
        """Its exit status; None if it still runs after so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.returncode

    def kill_all(self):
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.process.wait()
        self.log.close()


def inflict(fault, driver, rng):
    """Do one fault; says what it hit, or "nothing" where there is nothing to hit."""
    if fault in ("flipped byte", "truncated checkpoint"):
        files = sorted(driver.folder.glob("runs/trials/*/checkpoint*.pt"))
        return damage(fault, rng.choice(files), rng) if files else "nothing"
    if fault in ("write lock", "store lost", "store put back"):
        return harm_database(fault, driver.folder / "runs" / "mlflow.db")
    if fault == "silent server":
        return fall_silent(driver.proxy)
    if fault == "read-only storage":
        return freeze(driver.folder / "runs" / "trials")
    if fault.startswith("SIG"):
        driver.process.send_signal(getattr(signal, fault.partition(" ")[0]))
        if fault == "SIGINT twice":
            time.sleep(rng.uniform(0, 2))
            driver.process.send_signal(signal.SIGINT)
        return "driver"
    if fault == "driver":
        driver.process.kill()
        return "driver"
    if fault == "all":
        for process in driver.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        return "everything"
    names = {"worker": "ray::ImplicitFunc", "frozen worker": "ray::ImplicitFunc"}
    found = driver.processes(names.get(fault, {"raylet": "raylet/raylet", "gcs": "gcs_server"}.get(fault)))
    if not found:
        return "nothing"
    hit = rng.choice(found)
    with contextlib.suppress(psutil.Error):
        if fault == "frozen worker":
            hit.suspend()
            time.sleep(2)
            hit.resume()
        else:
            hit.kill()
    return f"process {hit.pid}"


def harm_database(fault, database):
    """Hold its lock for a while, remove it, or put the copy of a former call in its place."""
    if not database.exists():
        return "nothing"
    if fault == "write lock":
        with contextlib.closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as held:
            held.execute("BEGIN EXCLUSIVE")
            time.sleep(AWAY)
    elif fault == "store lost":
        database.unlink()
    elif (backup := database.with_name("backup.db")).exists():
        backup.replace(database)
    else:
        return "nothing"
    return "database"


def fall_silent(proxy):
    """The tracking server gives no answer for a while."""
    if proxy is None:
        return "nothing"
    proxy.mode = "silent"
    time.sleep(AWAY)
    proxy.mode = "healthy"
    return "server"


def freeze(folder):
    """Nothing can be written there for a while."""
    if shutil.which("chattr") is None or subprocess.run(["chattr", "-R", "+i", folder], check=False).returncode:
        return "nothing"
    time.sleep(AWAY)
    subprocess.run(["chattr", "-R", "-i", folder], check=True)
    return "storage"


def damage(fault, path, rng):
    """Flip a bit of a file, or cut it."""
    with contextlib.suppress(FileNotFoundError):  # it was renamed a moment ago
        content = bytearray(path.read_bytes())
        place = rng.randrange(len(content))
        if fault == "flipped byte":
            content[place] ^= 1 << rng.randrange(8)
        path.write_bytes(content if fault == "flipped byte" else content[:place])
        return f"{path.parent.name[:8]}/{path.name} at {place}"
    return "nothing"


def soak(folder, seed, faults, *arguments, sleep, proxy=None):
    """Run a study to its end through so many random faults; returns where it ended, and the log of what was done."""
    rng = random.Random(seed)
    started, told, sessions, done, driver = time.monotonic(), [], [], 0, None

    def tell(text):
        told.append(f"{time.monotonic() - started:7.1f} s  {text}")
        print(told[-1], flush=True)

    while done < faults:
        if driver is None or not driver.alive:
            if driver is not None:
                tell(f"the driver left with {driver.wait(1)}")
                assert driver.wait(1) != 0, "the study was over before the faults were"
                folder, fault = between(folder, rng)
                done += bool(fault)
                tell(f"fault {done}: {fault}") if fault else None
            driver = Driver(folder, *arguments, sleep=sleep, proxy=proxy)
            sessions.append(driver)
            driver.wait(rng.uniform(5, 20))
        else:
            driver.wait(rng.uniform(1, 8))
        fault = rng.choice(sorted(KILLERS | HARMLESS) + sorted(HARMLESS))
        if not driver.alive:
            continue
        hit = inflict(fault, driver, rng)
        if hit == "nothing":
            continue
        done += 1
        tell(f"fault {done}: {fault} ({hit})")
        if fault in KILLERS:
            assert driver.wait(120) is not None, "the driver hung"
    left = driver.wait(0)
    while left != 0:
        if left is not None:
            driver = Driver(folder, *arguments)
            sessions.append(driver)
        left = driver.wait(600)
        tell(f"after the last fault, the driver left with {left}")
        assert time.monotonic() - started < 6_000, told
    for one in sessions:
        one.kill_all()
    return folder, told


def between(folder, rng):
    """Of two calls of a command: now and then the folder is renamed, or the database goes, or a former one comes back;
    else it is copied. The folder, and what was done to it."""
    database = folder / "runs" / "mlflow.db"
    fault = rng.choice(["moved folder", "store lost", "store put back", "", "", ""])
    if fault == "moved folder":
        return folder.rename(folder.with_name(f"moved-{rng.randrange(10**9)}")), fault
    if fault and harm_database(fault, database) != "nothing":
        return folder, f"{fault}, between two calls"
    if database.exists():
        shutil.copy(database, database.with_name("backup.db"))
    return folder, ""


def wait_for(condition, seconds=120):
    """Wait until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def rows_of(folder):
    """The rows on disk of every run folder, by its name."""
    return {
        path.parent.name: [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted(Path(folder).glob("runs/trials/*/rows.jsonl"))
    }


def seed_runs(folder, uri=None):
    """Client of the store in a folder, or of a server, its seed runs, and all its runs."""
    from search.store import Store

    client = Store(uri, folder / "runs").client
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return client, [run for run in runs if "seed" in run.data.tags], runs
