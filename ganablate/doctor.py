"""`ganablate doctor`: whether this machine has what runs need, a line each, with the cure of what it lacks.

What may crash, or takes long to import, is tried in processes of their own.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import typer

from ganablate import places
from ganablate.options import Storage, TrackingUri, app
from ganablate.selection import STORAGE, open_store

PYTHONS = (3, 11), (3, 13)  # the oldest and the newest that is tested
ROOM, LITTLE_ROOM = 1e9, 1e8  # bytes that a disk should have: of runs, and of passing files
SHARED = 75 * 2**20  # bytes of Ray's smallest object store
WITHIN = 300  # seconds that a probe has: to import torch takes minutes on a machine that is busy and has just started
NVIDIA = Path("/dev"), "nvidia[0-9]*"  # where Linux has GPUs
SHM = Path("/dev/shm")
TORCH = """
import json, warnings, torch
from torchvision.ops import nms
nms(torch.zeros(1, 4), torch.zeros(1), 0.5)  # compiled for one torch
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    gpus, said = [], []
    if torch.cuda.is_available():
        try:
            for index in range(torch.cuda.device_count()):
                torch.ones(1, device=f"cuda:{index}").add(1).item()  # is there a kernel for it?
                gpus.append(torch.cuda.get_device_name(index))
        except RuntimeError as error:
            gpus, said = [], [str(error).splitlines()[0]]
said += [str(each.message) for each in warned]
print(json.dumps({"built": torch.version.cuda or torch.version.hip, "gpus": gpus, "said": said}))
"""
RAY = """
import json
from search.tune.cluster import Cluster
try:
    print(json.dumps({"room": Cluster(gpus_per_trial=0).start()}))
except ValueError as error:
    print(json.dumps({"error": str(error)}))
"""
MLFLOW = "import json, mlflow; print(json.dumps({}))"


class Finding(NamedTuple):
    """What was found of one thing: fine, worth a note, or to be mended, and then how."""

    name: str
    level: Literal["ok", "note", "mend"]
    told: str
    cure: str = ""

    def __str__(self) -> str:
        return f"{self.level:<4}  {self.name}: {self.told}" + (f"; {self.cure}" if self.cure else "")


@app.command()
def doctor(tracking_uri: TrackingUri = None, storage: Storage = STORAGE) -> None:
    """Check what runs need, with the cure of what lacks: Python, torch, GPUs, Ray, MLflow, disk, shared memory, TMPDIR,
    weights of feature nets, data. Exit code 1 if something is to be mended."""
    from trainers.messages import printable

    ill = 0
    for finding in examine(*places.places(tracking_uri, storage)):
        ill += finding.level == "mend"
        print(printable(finding), flush=True)
    if ill:
        print(f"{ill} to mend.")
        raise typer.Exit(1)


def examine(tracking_uri: str | None, storage: str) -> Iterator[Finding]:
    """All findings, in the order in which one would mend them."""
    folder = places.folder(storage)
    places.use_cache_below(folder)
    with Probe(TORCH) as torch, Probe(RAY) as ray, Probe(MLFLOW) as mlflow:
        yield python()
        yield from torch_and_gpus(torch)
        yield ray_(ray)
        yield from mlflow_(mlflow, tracking_uri, storage)
        yield disk(folder)
        yield shared_memory()
        yield temporary()
        yield from weights()
        yield from data()


class Probe:
    """Code that runs in a process of its own, begun at once, and ended with this context."""

    def __init__(self, code: str) -> None:
        whole = f"import sys; sys.path[:] = {sys.path!r}\n{code}"
        self.process = subprocess.Popen(
            [sys.executable, "-c", whole], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def answer(self) -> dict[str, Any]:
        """The object that it prints last, or an `error`: the last line of its errors, or how it died."""
        try:
            out, errors = self.process.communicate(timeout=WITHIN)
        except subprocess.TimeoutExpired:
            return {"error": f"no answer within {WITHIN} s, which may be a busy machine"}
        if self.process.returncode < 0:
            return {"error": f"its process died of {signal.Signals(-self.process.returncode).name}"}
        if self.process.returncode or not out.strip():
            lines = [line for line in errors.splitlines() if line.strip() and not line.startswith(" ")]
            return {"error": lines[-1][:300] if lines else f"exit status {self.process.returncode}"}
        answer: dict[str, Any] = json.loads(out.splitlines()[-1])
        return answer


def python() -> Finding:
    """Its version."""
    here, (oldest, newest) = sys.version_info[:2], PYTHONS
    told, allowed = ".".join(map(str, sys.version_info[:3])), " to ".join(f"{a}.{b}" for a, b in PYTHONS)
    if here < oldest:
        return Finding("Python", "mend", f"{told} is too old", f"make an environment of Python {allowed}")
    if here > newest:
        return Finding("Python", "note", f"{told} is newer than what is tested", f"{allowed} are")
    return Finding("Python", "ok", told)


def lacking(*packages: str) -> list[str]:
    """Those that are not installed, or older than what ganablate asks for, as pip takes them."""
    asked = [re.match(r"([\w.-]+)(\[.*?\])?>=([\d.]+)", line) for line in _required("ganablate")]
    least = {match[1]: match[3] for match in asked if match}
    return [
        f"{name}>={least[name]}" if name in least else name
        for name in packages
        if _numbers(_version(name)) < _numbers(least.get(name, "0"))
    ]


def torch_and_gpus(probe: Probe) -> Iterator[Finding]:
    """Whether torch and torchvision are there, of one kind, and work together; then what torch sees of GPUs."""
    together = "pip install --upgrade torch torchvision brings a pair that fits"
    if missing := lacking("torch", "torchvision"):
        yield Finding("torch", "mend", f"lacks {', '.join(missing)}", together)
        return
    here, beside = _version("torch"), _version("torchvision")
    told, answer = f"{here} with torchvision {beside}", probe.answer()
    wanted = next((m for r in _required("torchvision") if (m := re.match(r"torch\s*\(?([=><]=)\s*([\d.]+)", r))), None)
    kinds = {kind for _, plus, kind in (each.partition("+") for each in (here, beside)) if plus}
    if wanted and not _fits(_numbers(here), wanted[1], _numbers(wanted[2])):
        yield Finding("torch", "mend", f"{told}, which needs torch {wanted[1]}{wanted[2]}", together)
    elif len(kinds) > 1:
        yield Finding("torch", "mend", f"{told}: one is built for {' and one for '.join(sorted(kinds))}", together)
    elif "error" in answer:
        yield Finding("torch", "mend", f"{told} cannot be imported: {answer['error']}", together)
    else:
        yield Finding("torch", "ok", told)
        yield gpus(answer)


def gpus(answer: dict[str, Any]) -> Finding:
    """What torch sees, beside what the machine has."""
    there = sorted(path.name for path in NVIDIA[0].glob(NVIDIA[1]))
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if answer["gpus"]:
        return Finding("GPUs", "ok", ", ".join(answer["gpus"]))
    if not there:
        return Finding("GPUs", "ok", "none; runs train on the cores")
    if hidden in ("", "-1"):
        return Finding(
            "GPUs", "note", f"{len(there)} are hidden by CUDA_VISIBLE_DEVICES={hidden}", "unset it to train there"
        )
    if not answer["built"]:
        cure = "pip install torch torchvision by the line that https://pytorch.org/get-started has for your CUDA"
        return Finding("GPUs", "mend", f"{', '.join(there)}, but this torch was built without CUDA", cure)
    said = (answer["said"] or ["it says not why"])[0].partition(" (Triggered")[0]
    cure = "update the NVIDIA driver, or install a torch that was built for an older CUDA"
    return Finding(
        "GPUs", "mend", f"{', '.join(there)}, but torch for CUDA {answer['built']} can use none: {said}", cure
    )


def ray_(probe: Probe) -> Finding:
    """Whether Ray is there, and starts."""
    if missing := lacking("ray", "optuna"):
        return Finding("Ray", "mend", f"`run` and `search` lack {', '.join(missing)}", "pip install 'ganablate[all]'")
    answer = probe.answer()
    if "error" in answer:
        cure = "" if "RAY_TMPDIR" in answer["error"] else "pip install --upgrade 'ganablate[all]'"
        return Finding("Ray", "mend", f"{_version('ray')}: {answer['error']}", cure)
    return Finding("Ray", "ok", f"{_version('ray')} starts, with room for {answer['room']} runs of a core at a time")


def mlflow_(probe: Probe, tracking_uri: str | None, storage: str) -> Iterator[Finding]:
    """Whether MLflow is there, and the store answers."""
    everything = "pip install 'ganablate[all]'"
    if missing := lacking("mlflow", "sqlalchemy", "pandas"):
        yield Finding("MLflow", "mend", f"what keeps runs lacks {', '.join(missing)}", everything)
        return
    if error := probe.answer().get("error"):
        yield Finding("MLflow", "mend", f"{_version('mlflow')} cannot be imported: {error}", everything)
        return
    from search.store.queries import find_runs

    try:
        store = open_store(tracking_uri, storage)
        if store.server or store.file_stamp():  # MLflow alone knows whether it takes a database of this schema
            _ = store.client
        find_runs(store, "seed", [])
    except (ValueError, OSError) as error:
        yield Finding("MLflow", "mend", str(error), "--storage or --tracking-uri name another")
        return
    yield Finding("MLflow", "ok", f"{_version('mlflow')}, store {store.address}")


def disk(storage: Path) -> Finding:
    """Whether runs can be written to the storage folder, or where it would be made, and locked there."""
    from trainers.files import waiting_lock

    place = _nearest(storage)
    another = "--storage or GANABLATE_STORAGE names another folder"
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix="tune-") as aside, waiting_lock(Path(aside, "lock")):
            free = shutil.disk_usage(place).free
    except OSError as error:
        return Finding("disk", "mend", f"{storage} cannot be written: {error.strerror}", another)
    except ValueError as error:
        return Finding("disk", "mend", str(error), another)
    if free < ROOM:
        return Finding("disk", "mend", f"{storage} has {free / 1e6:,.0f} MB left", f"make room, or {another}")
    return Finding("disk", "ok", f"{storage} has {free / 1e9:,.0f} GB left")


def shared_memory() -> Finding:
    """Whether Ray's object store has room in memory."""
    free = shutil.disk_usage(SHM).free if SHM.is_dir() else 0
    if free and not os.access(SHM, os.W_OK):
        return Finding(str(SHM), "mend", "it cannot be written, where Ray has its objects", f"chmod 1777 {SHM}")
    if free < SHARED:
        cure = "a container gets more by `docker run --shm-size=2g`; or delete files there"
        return Finding(
            str(SHM), "note", f"{free / 1e6:,.0f} MB, so that Ray's objects lie on disk, which is slower", cure
        )
    return Finding(str(SHM), "ok", f"{free / 1e9:,.1f} GB")


def temporary() -> Finding:
    """Whether passing files can be written, and sockets have names there."""
    from search.tune.sockets import has_room, temporary_folder

    folder = temporary_folder()
    name = next((name for name in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(name)), "/tmp")
    told = f"{folder}" if name == "/tmp" else f"{name}={folder}"
    cure = "export TMPDIR as a folder that you may write" if name == "/tmp" else f"unset {name}, or export another"
    try:
        with tempfile.TemporaryDirectory(dir=_nearest(folder), prefix="tune-"):  # Ray makes it where it lacks
            free = shutil.disk_usage(_nearest(folder)).free
        if has_room(folder) and free >= LITTLE_ROOM:
            return Finding("TMPDIR", "ok", told)
        if free < LITTLE_ROOM:
            return Finding("TMPDIR", "mend", f"{told} has {free / 1e6:,.0f} MB left", f"make room, or {cure}")
        with tempfile.TemporaryDirectory(dir="/tmp", prefix="tune-"):
            long = f"{told} is too long for names of sockets, so that Ray's files go to /tmp"
            return Finding("TMPDIR", "note", long, "RAY_TMPDIR names another place, of at most 35 bytes")
    except OSError as error:
        too = "" if has_room(folder) else ", or too long for names of sockets while /tmp cannot be"
        return Finding("TMPDIR", "mend", f"{told} cannot be written{too}: {error.strerror}", cure)


def weights() -> Iterator[Finding]:
    """The feature nets: their packages, and weights that are files of their own; a line an ill, or one for all."""
    from trainers.files import cache_folder
    from trainers.names import FEATURES

    told, ills = [], 0
    for name, row in FEATURES.items():
        given = os.environ.get(variable := f"GANABLATE_{name.upper()}", "") if row.fetched else ""
        cache = cache_folder()
        files = [*cache.glob(f"{name}/*.pth"), *cache.glob(f"vit/*{name}*/*.safetensors")]
        files = [Path(given).expanduser()] if given else files
        for path in files:
            if not path.is_file():
                ills += 1
                yield Finding("weights", "mend", f"{variable}={given} is no file", "mend the path, or unset it")
            elif not _is_whole(path):
                ills += 1
                cure = f"{variable} can name another" if given else "remove it, and have it fetched again"
                yield Finding("weights", "mend", f"{path} of {name} is torn, or holds no weights", cure)
        if missing := lacking(*row.packages):
            told.append(f"{name} needs pip install {' '.join(missing)}")
        else:
            told.append(f"{name} is {'here' if files or not row.fetched else 'fetched when it is first used'}")
    if not ills:
        yield Finding("weights", "ok", ", ".join(told))


def data() -> Iterator[Finding]:
    """The named data sets: which travel along, which are in the cache, whole, and which are fetched."""
    from trainers.files import cache_folder, waiting_lock
    from trainers.names import DATASETS

    cache, here, ills = cache_folder(), [], 0
    try:
        with (
            tempfile.TemporaryDirectory(dir=_nearest(cache), prefix="tune-") as aside,
            waiting_lock(Path(aside, "lock")),
        ):
            pass
    except (OSError, ValueError) as error:
        ills += 1
        told = f"the cache {cache} cannot be written: {getattr(error, 'strerror', None) or error}"
        yield Finding("data", "mend", told, "GANABLATE_CACHE names another folder")
    for path in sorted(cache.glob("images/*/meta.json")):
        if name := _decoded(path):
            here.append(name)
        else:
            ills += 1
            yield Finding("data", "mend", f"{path.parent} is damaged", "remove it, and it is made anew")
    if not ills:
        fetched = [name for name, row in DATASETS.items() if row.origin == "torchvision" and name not in here]
        embedded = [name for name, row in DATASETS.items() if row.origin == "embedded"]
        kinds = {"travel along": embedded, "in the cache": sorted(set(here)), "fetched when first used": fetched}
        told = "; ".join(f"{', '.join(names)} {words}" for words, names in kinds.items() if names)
        yield Finding("data", "ok", told)


def _decoded(meta: Path) -> str:
    """Of what decoded images of the cache are; "" if they are damaged."""
    import numpy as np

    try:
        held = json.loads(meta.read_bytes())
        whole = len(np.load(meta.with_name("images.npy"), mmap_mode="r", allow_pickle=False)) == held["count"]
        return str(held["source"]) if whole else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _is_whole(weights: Path) -> bool:
    """Whether a file of safetensors is as long as its head says, and one of torch's has the digest in its name, as
    torch's hub writes it, or without one is a zip, whose end tells that it is whole, or a pickle."""
    with weights.open("rb") as file:
        if said := re.search(r"-([0-9a-f]{8})\.pth$", weights.name):
            return hashlib.file_digest(file, "sha256").hexdigest().startswith(said[1])
        if weights.suffix != ".safetensors":
            return file.read(1) == pickle.PROTO or zipfile.is_zipfile(file)
        head, size = int.from_bytes(file.read(8), "little"), weights.stat().st_size
        try:
            tensors = [each for name, each in json.loads(file.read(min(head, size))).items() if name != "__metadata__"]
            return 8 + head + max(each["data_offsets"][1] for each in tensors) == size
        except (ValueError, KeyError, TypeError, AttributeError):
            return False


def _nearest(folder: Path) -> Path:
    """The folder itself, or the one in which it would be made."""
    return next(each for each in (folder, *folder.parents) if each.exists())


def _version(name: str) -> str:
    """A package's version; "" if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _required(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


def _numbers(text: str) -> tuple[int, ...]:
    """A version's numbers, without what stands behind them; () of none."""
    return tuple(map(int, re.findall(r"\d+", (re.match(r"[\d.]*", text) or [""])[0])))


def _fits(here: tuple[int, ...], sign: str, wanted: tuple[int, ...]) -> bool:
    return {"==": here == wanted, ">=": here >= wanted, "<=": here <= wanted}[sign]
