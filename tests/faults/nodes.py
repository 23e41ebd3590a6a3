"""A Ray cluster of real raylets on this machine, whose nodes may each see other files."""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

RAY = str(Path(sys.executable).with_name("ray"))


def can_hide():
    """Whether a process here may have mounts of its own."""
    return (
        os.geteuid() == 0
        and shutil.which("unshare") is not None
        and subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode == 0
    )


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Nodes:
    """One raylet with the cluster's head, and others that join; each with one core."""

    def __init__(self, folder):
        self.folder, self.started = folder, []
        self.address = f"127.0.0.1:{free_port()}"
        port = self.address.rpartition(":")[2]
        self.add("--head", f"--port={port}", "--include-dashboard=false", joins=False)

    def add(self, *arguments, hide=(), joins=True):
        """Start a node; it finds the files and folders in `hide` empty. Returns its process, which leads a session."""
        command = [RAY, "start", "--block", "--num-cpus=1", "--disable-usage-stats"]
        command += arguments
        command += [f"--address={self.address}"] if joins else []
        mounts = [
            f"mount -t tmpfs none {shlex.quote(str(path))}"
            if path.is_dir()
            else f"mount --bind /dev/null {shlex.quote(str(path))}"
            for path in map(Path, hide)
        ]
        if mounts:
            command = ["unshare", "--mount", "sh", "-ec", "\n".join([*mounts, f"exec {shlex.join(command)}"])]
        log = self.folder / f"node{len(self.started)}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                command,
                cwd="/",
                stdout=file,
                stderr=file,
                start_new_session=True,
                env={"RAY_health_check_period_ms": "1000", **os.environ},
            )
        self.started.append(process)
        deadline = time.monotonic() + 120
        while "Ray runtime started" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        return process

    @staticmethod
    def kill(process):
        """All of a node at once, as when a machine loses power."""
        import psutil

        for one in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getsid(one.pid) == process.pid:
                    one.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self):
        for process in reversed(self.started):
            self.kill(process)
