"""Processes of their own, forked from one that has the packages loaded, whose import takes a fresh one seconds."""

import atexit
import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
from multiprocessing.context import ForkServerProcess
from pathlib import Path

# none of the project's own modules, which may lie in a copy of it
PACKAGES = ["torch._dynamo", "torchvision", "scipy.stats", "mlflow.store.tracking.sqlalchemy_store", "ray.tune"]
COMMAND = "from ganablate.__main__ import main; main()"
multiprocessing.set_forkserver_preload(["pytest", *PACKAGES])


class Forked(ForkServerProcess):
    """`python -c code *arguments` in a folder and a session of its own, with the environment of this moment.

    The code finds `names` defined. As a context, it ends with all that it started.
    """

    def __init__(self, code, *arguments, cwd=".", **names):
        super().__init__(daemon=True)
        self.code, self.arguments, self.names = code, [str(argument) for argument in arguments], names
        self.cwd, self.environment = str(Path(cwd).absolute()), dict(os.environ)
        folder = tempfile.TemporaryDirectory()
        self.outputs = [Path(folder.name, name) for name in ("stdout", "stderr")]
        for path in self.outputs:
            path.touch()
        self.start()
        self.folder = folder  # which goes with this object

    def run(self):
        os.setsid()
        for number, path in enumerate(self.outputs, start=1):
            os.dup2(os.open(path, os.O_WRONLY), number)
        os.chdir(self.cwd)
        os.environ.clear()
        os.environ.update(self.environment)
        sys.argv = ["-c", *self.arguments]
        sys.path[:0] = ["", *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        try:
            exec(self.code, {**self.names, "__name__": "__main__"})
        finally:
            atexit._run_exitfuncs()

    @property
    def stdout(self):
        """What it has printed so far."""
        return self.outputs[0].read_text()

    @property
    def stderr(self):
        return self.outputs[1].read_text()

    def wait(self, seconds=None):
        """Its exit status, or minus the signal that ended it; None if it still runs after so many seconds."""
        self.join(seconds)
        return self.exitcode

    @property
    def returncode(self):
        return self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.kill()
        self.join()


def ganablate(folder, *arguments):
    """A command that ended, without a traceback."""
    done = Forked(COMMAND, *arguments, cwd=folder)
    done.wait()
    assert "Traceback" not in done.stderr, done.stderr
    return done


def two_at_once(code, *arguments):
    """Two processes that go on together from where the code says `meet()`, once they have ended."""
    barrier = multiprocessing.get_context("forkserver").Barrier(2, timeout=60)
    both = [Forked(code, *arguments, meet=barrier.wait) for _ in range(2)]
    for process in both:
        assert process.returncode == 0, process.stderr
    return both
