"""Real drivers, real kills: what the tests of this folder share.

The study's own loss sleeps at every step, so that a run lasts while it takes no core, and writes down each step of D,
so that the work that a fault made twice can be counted.
"""

import contextlib
import json
import os
import random
import signal
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
KILLERS = {"driver", "raylet", "gcs", "all", "SIGTERM", "SIGINT", "SIGINT twice"}  # of the driver, sooner or later
HARMLESS = {"worker", "frozen worker", "flipped byte", "truncated checkpoint"}


def make_study(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.py").write_text(STUDY)
    (folder / "slow.py").write_text(SLOW)


class Driver:
    """A `ganablate` process in a session of its own, with all that it starts."""

    def __init__(self, folder, *arguments, sleep=0.0, **environment):
        self.folder = folder
        self.log = (folder / "log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ganablate", *arguments],
            cwd=folder,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
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
    if fault in ("SIGTERM", "SIGINT", "SIGINT twice"):
        driver.process.send_signal(signal.SIGTERM if fault == "SIGTERM" else signal.SIGINT)
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


def soak(folder, seed, faults, *arguments, sleep):
    """Run a study to its end through so many random faults; returns the log of what was done to it."""
    rng = random.Random(seed)
    started, told, driver = time.monotonic(), [], None

    def tell(text):
        told.append(f"{time.monotonic() - started:7.1f} s  {text}")
        print(told[-1], flush=True)

    done = 0
    sessions = []
    while done < faults:
        if driver is None or not driver.alive:
            if driver is not None:
                tell(f"the driver left with {driver.wait(1)}")
                assert driver.wait(1) != 0, "the study was over before the faults were"
            driver = Driver(folder, *arguments, sleep=sleep)
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
        assert time.monotonic() - started < 3_000, told
    for one in sessions:
        one.kill_all()
    return told


def rows_of(folder):
    """The rows on disk of every run folder, by its name."""
    return {
        path.parent.name: [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted(Path(folder).glob("runs/trials/*/rows.jsonl"))
    }


def seed_runs(folder):
    """Client of the store in a folder, its seed runs, and all its runs."""
    from search.store import Store

    client = Store(storage=folder / "runs").client
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return client, [run for run in runs if "seed" in run.data.tags], runs
