"""Where trials run: this machine, or the nodes of a Ray cluster, which get our code and packages."""

import atexit
import contextlib
import logging
import math
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the older output keeps quiet when told to
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # a user's relative paths mean the driver's folder
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # the run folder has it all
os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # we have our own
os.environ.setdefault("RAY_enable_worker_prestart", "0")  # Tune's workers, of an environment of their own, are others
os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.store.address import with_timeout
from search.store.connection import ANSWER_WITHIN
from search.tune.sockets import has_room, temporary_folder
from trainers.config import Config
from trainers.names import feature_extractor
from trainers.namesakes import HOME
from trainers.user_code import describe, module_file, user_modules

logger = logging.getLogger(__name__)

SHIPPED = ("trainers", "spaces", "search")  # what a trial imports
PACKAGES = (  # what that imports in its turn, and what feature nets do
    "torch", "torchvision", "numpy", "scipy", "pillow", "filelock", "pydantic", "pyarrow", "pandas", "tensorboardX",
)  # fmt: skip
LONGEST = 500  # letters of what Ray says
LOOK_WITHIN = 120  # seconds that all nodes have to say what they have
SETUP_WITHIN = 1_800  # seconds that they have to install what they lack


@dataclass(frozen=True)
class Cluster:
    """Where trials run, and what one takes: cores, and a GPU or a share of one; None is one where there are GPUs.
    `address` names a Ray cluster, None this machine. Raises ValueError for amounts that no trial can have.
    """

    cpus_per_trial: float = 1.0
    gpus_per_trial: float | None = None
    address: str | None = None
    verbose: bool = False

    def __post_init__(self) -> None:
        cpus, gpus = self.cpus_per_trial, self.gpus_per_trial or 0.0
        if not (math.isfinite(cpus) and cpus > 0):
            raise ValueError(f"cpus-per-trial = {cpus:g} should be greater than 0")
        if not 0 <= gpus <= 1:  # nan too
            raise ValueError(f"gpus-per-trial = {gpus:g} should be 0, a fraction of 1, or 1: a trial trains on one GPU")
        if (self.address or "").startswith("ray://"):
            raise ValueError(
                f"address = {self.address!r} is a Ray client's; run the command on a machine of the cluster, with "
                f"--address auto or HOST:PORT"
            )

    def start(self, shared: Path | None = None, configs: Iterable[Config] = (), own: Iterable[str] = ()) -> int:
        """Start Ray, or join what runs; returns the number of trials that it has room for at a time.

        A cluster's nodes get what the configs need: our code, the user's own modules that they or `own` name, and, if
        one lacks some or has others, the packages of this machine. `shared` is the folder that they all should see.

        Ray ends with the process, so that a search and the table of its winner start it once. Raises ValueError if no
        node has what a trial asks for, or a node cannot take part.
        """
        if not ray.is_initialized():
            if self.address:
                self._join(shared, list(configs), own)
            else:
                self._init("local", include_dashboard=False, **_local_options())
        self._nodes()  # is there one for a trial?
        return self.room

    def sent(self, function: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
        """A function (task) of ours as a worker gets it: by value, since Ray puts the folders of the driver first on a
        worker's module path, where a user may have a module of the name of ours."""
        module, name = function.__module__, function.__name__
        home = [] if self.address else [str(HOME)]  # a cluster's nodes got our code
        users = [os.path.realpath(folder) for folder in (".", Path(sys.argv[0]).resolve().parent)]

        def call(task: dict[str, Any]) -> Any:
            import os
            import sys
            from importlib import import_module
            from importlib.machinery import PathFinder
            from importlib.util import module_from_spec

            if "trainers" not in sys.modules:
                places = [*home, *(folder for folder in sys.path if os.path.realpath(folder) not in users)]
                spec = PathFinder.find_spec("trainers", places)
                assert spec is not None
                assert spec.loader is not None
                sys.modules["trainers"] = module_from_spec(spec)
                spec.loader.exec_module(sys.modules["trainers"])
                import_module("trainers.namesakes").Ours.places = places
            return getattr(import_module(module), name)(task)

        call.__name__ = name
        return call

    @property
    def room(self) -> int:
        """How many trials the living nodes have room for at a time, now."""
        nodes, asked = [node["Resources"] for node in ray.nodes() if node["Alive"]], self._asked.items()
        return sum(min(int(node.get(name, 0) / amount) for name, amount in asked) for node in nodes)

    @property
    def share(self) -> float:
        """GPUs of a trial, known once Ray runs: what was asked for, else 1 if a machine has one and 0 if none has."""
        if self.gpus_per_trial is not None:
            return self.gpus_per_trial
        return float(any(node["Alive"] and node["Resources"].get("GPU") for node in ray.nodes()))

    @property
    def _asked(self) -> dict[str, float]:
        return {name: n for name, n in (("CPU", self.cpus_per_trial), ("GPU", self.share)) if n}

    def _nodes(self) -> list[dict[str, Any]]:
        """The living nodes that have room for a trial. Raises ValueError if there are none."""
        nodes = [node for node in ray.nodes() if node["Alive"]]
        for name, amount in self._asked.items():
            most = max(node["Resources"].get(name, 0) for node in nodes)
            if amount > most:
                raise ValueError(f"a trial asks for {amount:g} {name}s, but the largest machine has {most:g}")
        return [node for node in nodes if all(node["Resources"].get(name, 0) >= n for name, n in self._asked.items())]

    def _init(self, address: str, **options: Any) -> None:
        level, hint = logging.INFO if self.verbose else logging.ERROR, ""
        if not self.verbose:  # pages of the log of a part that is slow to start
            logging.getLogger("ray._private.services").setLevel(logging.CRITICAL)
        try:
            _probe(address)
            hint = "; one that has a token wants RAY_AUTH_MODE=token and the token in ~/.ray/auth_token"
            ray.init(address=address, log_to_driver=self.verbose, logging_level=level, **options)
            atexit.register(ray.shutdown)  # before Ray's own, which waits for logs
        except Exception as error:  # of a node that does not start Ray raises just that
            if address == "local":
                hint = "-v shows Ray's log; RAY_TMPDIR may name a folder with room, in which it may write"
                if "timed out" in str(error):
                    hint = f"on a busy machine it may take longer than it waits: try again; {hint}"
                raise ValueError(f"Ray does not start on this machine: {describe(error)[:LONGEST]}; {hint}") from None
            raise ValueError(
                f"the Ray cluster {address!r} does not answer: {describe(error)[:LONGEST]}{hint}"
            ) from None

    def _join(self, shared: Path | None, configs: list[Config], own: Iterable[str]) -> None:
        """Join a cluster whose nodes have, or get, what trials need."""
        home = HOME.resolve()
        modules = set(map(module_file, (*own, *(name for config in configs for name in user_modules(config)))))
        code = {"py_modules": [*(str(home / part) for part in SHIPPED), *sorted(modules)], "excludes": ["__pycache__"]}
        self._init(str(self.address), runtime_env=code)
        features = {name for config in configs for name in feature_extractor(config.feature_net).packages}
        wanted = {name: here for name in (*PACKAGES, *sorted(features)) if (here := _version(name))}
        lacking = self._survey(wanted, shared, LOOK_WITHIN)
        if not lacking:
            return
        names = ", ".join(f"{name}=={wanted[name]}" for name in lacking)
        logger.warning("nodes lack %s, which is installed there first; that may take minutes", names)
        ray.shutdown()
        pip = {"packages": [f"{name}=={wanted[name]}" for name in lacking], "pip_check": False}
        self._init(str(self.address), runtime_env={**code, "pip": pip})
        self._survey(wanted, shared, SETUP_WITHIN)

    def _survey(self, wanted: dict[str, str], shared: Path | None, within: float) -> list[str]:
        """Which of the packages some node has not in this version. Raises ValueError for one that cannot take part."""
        token = uuid.uuid4().hex
        if shared:
            shared.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=shared, prefix="tune-") as marker:
            marker.write(token)
            marker.flush()

            def look() -> tuple[str, list[str], bool]:  # goes there by value: a node may lack what this module imports
                import pathlib
                import socket
                from importlib import metadata

                def differs(name: str) -> bool:
                    try:
                        return metadata.version(name).partition("+")[0] != wanted[name]
                    except metadata.PackageNotFoundError:
                        return True

                path = pathlib.Path(marker_name)
                sees = not has_shared or (path.exists() and path.read_text() == token)
                return socket.gethostname(), [name for name in wanted if differs(name)], sees

            marker_name, has_shared = marker.name, shared is not None
            remote = ray.remote(num_cpus=0)(look)
            asked = [node["NodeID"] for node in self._nodes()]
            strategies = [NodeAffinitySchedulingStrategy(node, soft=False) for node in asked]
            try:
                answers = ray.get([remote.options(scheduling_strategy=s).remote() for s in strategies], timeout=within)
            except GetTimeoutError:
                raise ValueError(f"not all nodes of {self.address} answered within {within} s") from None
            except RayError as error:
                if not set(asked) <= {node["NodeID"] for node in self._nodes()}:  # one died, which Ray sees late
                    return self._survey(wanted, shared, within)
                lines = [line.strip() for line in str(error).splitlines() if line.strip()]
                raise ValueError(f"a node of {self.address} cannot take part: {lines[-1][:500]}") from None
        for host, _, sees in answers:
            if not sees:
                raise ValueError(
                    f"node {host} does not see the folder {shared}; --storage should be one that all nodes share, or "
                    f"an object store"
                )
        return [name for name in wanted if any(name in lacks for _, lacks, _ in answers)]


def is_alive() -> bool:
    """Whether the machine that this process runs on is a living part of its cluster, or of its own Ray."""
    own = ray.get_runtime_context().get_node_id()
    try:
        return any(node["Alive"] and node["NodeID"] == own for node in with_timeout(ray.nodes, ANSWER_WITHIN))
    except TimeoutError:
        return False


def _local_options() -> dict[str, str]:
    """What Ray on this machine is told where its defaults would not do: no token in a home, no room for a socket's name
    below TMPDIR. Raises ValueError if there is no other place."""
    kept = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token")
    with contextlib.suppress(RuntimeError):  # a user without a home
        kept = kept.expanduser()
    if not os.access(kept, os.R_OK):  # Ray would write one there, which fails where a home is nobody's
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    if has_room(temporary_folder()):
        return {}
    try:
        folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # which no other user can enter
    except OSError as error:
        text = f"TMPDIR is too long for Ray's sockets, and {describe(error)}; RAY_TMPDIR may name a short folder"
        raise ValueError(text) from None
    atexit.register(_leave, folder)
    return {"_temp_dir": folder}


def _leave(folder: str) -> None:
    """End Ray, and remove its files."""
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def _version(name: str) -> str:
    """A package's version here, without what says for which device it was built; "" if it is not here."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return ""


def _probe(address: str) -> None:
    """Connect to the host and port that an address names, since Ray would wait for minutes. Raises OSError."""
    match = re.fullmatch(r"\[?([^\]/]+?)\]?:(\d+)", address)
    if match:
        socket.create_connection((match[1], int(match[2])), timeout=ANSWER_WITHIN).close()
