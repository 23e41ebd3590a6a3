"""Processes of their own, forked from one that has the packages loaded, whose import takes a fresh one seconds."""

import atexit
import multiprocessing
import os
import sys
import tempfile
from multiprocessing.context import ForkServerProcess
from pathlib import Path

# none of the project's own modules, which may lie in a copy of it
PACKAGES = ["torch._dynamo", "torchvision", "scipy.stats", "mlflow.store.tracking.sqlalchemy_store"]
multiprocessing.set_forkserver_preload(["pytest", *PACKAGES])


class Forked(ForkServerProcess):
    """`python -c code *arguments` in the folder cwd, with the environment of this moment. As a context, it is killed."""

    def __init__(self, code, *arguments, cwd="."):
        super().__init__()
        self.code, self.arguments = code, [str(argument) for argument in arguments]
        self.cwd, self.environment = str(Path(cwd).absolute()), dict(os.environ)
        files = [tempfile.NamedTemporaryFile() for _ in range(2)]
        self.outputs = [Path(file.name) for file in files]
        self.start()
        self.files = files  # which are removed with this object

    def run(self):
        for number, path in enumerate(self.outputs, start=1):
            os.dup2(os.open(path, os.O_WRONLY), number)
        os.chdir(self.cwd)
        os.environ.clear()
        os.environ.update(self.environment)
        sys.argv = ["-c", *self.arguments]
        sys.path[:0] = ["", *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        try:
            exec(self.code, {"__name__": "__main__"})
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
        """Its exit status, minus the signal's number where one ended it; None if it still runs after so many seconds."""
        self.join(seconds)
        return self.exitcode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.join()


def ganablate(folder, *arguments):
    """The command in a folder: its exit status, stdout and stderr."""
    command = Forked("from ganablate import main; main()", *arguments, cwd=folder)
    command.wait()
    assert "Traceback" not in command.stderr, command.stderr
    return command
