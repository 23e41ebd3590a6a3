"""`ganablate doctor` finds each ill that is simulated here, says its cure, and finds none where there is none."""

import contextlib
import io
import json
import os
import shutil
import sqlite3
import sys
from collections import namedtuple

import numpy as np
import pytest

from ganablate import doctor
from ganablate.command import app
from ganablate.doctor import Probe

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def well(tmp_path, monkeypatch):
    """A machine on which all is well, of which tests make something else: torch sees no GPU, and Ray starts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANABLATE_CACHE", str(tmp_path / "runs" / "cache"))
    for name in ("RAY_TMPDIR", "TMPDIR", "GANABLATE_INCEPTION", "GANABLATE_STORAGE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, "NVIDIA", (tmp_path, "nvidia[0-9]*"))
    monkeypatch.setattr(doctor, "TORCH", 'print(\'{"built": null, "gpus": [], "said": []}\')')
    monkeypatch.setattr(doctor, "RAY", "print('{\"room\": 2}')")
    monkeypatch.setattr(doctor, "MLFLOW", "print('{}')")
    return tmp_path


def findings(name):
    found = list(doctor.examine(None, "runs"))
    return [str(each) for each in found if each.name == name], [each.level for each in found]


def test_all_is_well(well):
    found = list(doctor.examine(None, "runs"))
    assert [str(each) for each in found if each.level == "mend"] == []
    names = ["Python", "torch", "GPUs", "Ray", "MLflow", "disk", "/dev/shm", "TMPDIR", "weights", "data"]
    assert [each.name for each in found] == names
    assert not list(well.iterdir())


def old_python(well, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))


def torch_of_another_pair(well, monkeypatch):
    known = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: "2.11.0" if name == "torch" else known(name))


def torch_that_crashes(well, monkeypatch):
    monkeypatch.setattr(doctor, "TORCH", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")


def torch_without_cuda(well, monkeypatch):
    (well / "nvidia0").touch()


def old_driver(well, monkeypatch):
    (well / "nvidia0").touch()
    said = {"built": "13.0", "gpus": [], "said": ["The NVIDIA driver on your system is too old (found version 11040)"]}
    monkeypatch.setattr(doctor, "TORCH", f"print('''{json.dumps(said)}''')")


def ray_that_does_not_start(well, monkeypatch):
    told = '{"error": "Ray does not start on this machine: no port; RAY_TMPDIR may name a folder"}'
    monkeypatch.setattr(doctor, "RAY", f"print({told!r})")


def no_mlflow(well, monkeypatch):
    known = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: "" if name == "mlflow" else known(name))


def a_store_that_is_none(well, monkeypatch):
    (well / "runs").mkdir()
    (well / "runs" / "mlflow.db").write_text("this is no database")


def a_store_of_a_newer_mlflow(well, monkeypatch):
    (well / "runs").mkdir()
    shutil.copy(well / "empty.db", well / "runs" / "mlflow.db")
    with contextlib.closing(sqlite3.connect(well / "runs" / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")


def full_disk(well, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**11, 10**11, 2 * 10**8))


def storage_that_is_a_file(well, monkeypatch):
    (well / "runs").write_text("")


def little_shared_memory(well, monkeypatch):
    known = shutil.disk_usage
    small = Usage(2**26, 0, 2**26)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: small if str(path) == "/dev/shm" else known(path))


def shared_memory_that_cannot_be_written(well, monkeypatch):
    known = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != "/dev/shm" and known(path, mode))


def tmpdir_that_is_a_file(well, monkeypatch):
    (well / "file").touch()
    monkeypatch.setenv("TMPDIR", str(well / "file"))


def long_tmpdir(well, monkeypatch):
    (well / ("x" * 40)).mkdir()
    monkeypatch.setenv("TMPDIR", str(well / ("x" * 40)))


def weights_that_are_not_there(well, monkeypatch):
    monkeypatch.setenv("GANABLATE_INCEPTION", "absent.pth")


def torn_weights(well, monkeypatch):
    path = well / "runs" / "cache" / "inception" / "weights-inception-2015-12-05-6726825d.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")


def weights_that_are_none(well, monkeypatch):
    (well / "notes.pth").write_text("weights are at home")
    monkeypatch.setenv("GANABLATE_INCEPTION", "notes.pth")


def a_transformer_that_is_none(well, monkeypatch):
    (well / "notes.safetensors").write_text("weights are at home")
    monkeypatch.setenv("GANABLATE_DINOV2", "notes.safetensors")


def torn_transformer(well, monkeypatch):
    head = json.dumps({"norm": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    path = well / "runs" / "cache" / "vit" / "vit_large_patch14_dinov2.lvd142m" / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(len(head).to_bytes(8, "little") + head + bytes(4))


def damaged_images(well, monkeypatch):
    folder = well / "runs" / "cache" / "images" / "0123"
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"source": "cifar10", "count": 3}))
    written = io.BytesIO()
    np.save(written, np.zeros((3, 1, 8, 8), np.uint8))
    (folder / "images.npy").write_bytes(written.getvalue()[:-20])


@pytest.mark.process
@pytest.mark.parametrize(
    ("ill", "name", "words"),
    [
        (old_python, "Python", ["3.10.4 is too old", "3.11 to 3.13"]),
        (torch_of_another_pair, "torch", ["2.11.0 with torchvision", "which needs torch >=", "pip install"]),
        (torch_that_crashes, "torch", ["SIGSEGV", "pip install --upgrade torch torchvision"]),
        (torch_without_cuda, "GPUs", ["nvidia0", "built without CUDA", "pytorch.org"]),
        (old_driver, "GPUs", ["driver on your system is too old", "update the NVIDIA driver"]),
        (ray_that_does_not_start, "Ray", ["no port", "RAY_TMPDIR"]),
        (no_mlflow, "MLflow", ["lacks mlflow>=", "pip install 'ganablate[all]'"]),
        (a_store_that_is_none, "MLflow", ["mlflow.db", "--tracking-uri"]),
        (a_store_of_a_newer_mlflow, "MLflow", ["made by a newer MLflow than the", "--tracking-uri name another"]),
        (full_disk, "disk", ["200 MB left", "make room"]),
        (storage_that_is_a_file, "disk", ["runs", "cannot be written", "--storage"]),
        (little_shared_memory, "/dev/shm", ["67 MB", "--shm-size"]),
        (shared_memory_that_cannot_be_written, "/dev/shm", ["cannot be written", "chmod 1777 /dev/shm"]),
        (tmpdir_that_is_a_file, "TMPDIR", ["file cannot be written", "unset TMPDIR"]),
        (long_tmpdir, "TMPDIR", ["too long for names of sockets", "RAY_TMPDIR"]),
        (weights_that_are_not_there, "weights", ["GANABLATE_INCEPTION=absent.pth is no file", "unset it"]),
        (torn_weights, "weights", ["6726825d.pth of inception is torn", "remove it"]),
        (weights_that_are_none, "weights", ["notes.pth of inception is torn, or holds no weights", "can name another"]),
        (a_transformer_that_is_none, "weights", ["notes.safetensors of dinov2 is torn, or holds no weights"]),
        (torn_transformer, "weights", ["model.safetensors of dinov2 is torn", "remove it"]),
        (damaged_images, "data", ["images/0123 is damaged", "remove it"]),
    ],
)
def test_an_ill_is_told_with_its_cure(well, monkeypatch, request, ill, name, words):
    """It alone, but for what hangs on it; those that runs bear are a note."""
    if ill is a_store_of_a_newer_mlflow:
        shutil.copy(request.getfixturevalue("empty_database"), well / "empty.db")
    ill(well, monkeypatch)
    lines, levels = findings(name)
    told = next(line for line in lines if not line.startswith("ok"))
    assert all(word in told for word in words), told
    is_borne = ill in (little_shared_memory, long_tmpdir)
    assert told.startswith("note" if is_borne else "mend"), told
    assert levels.count("mend") == (not is_borne) + (ill is storage_that_is_a_file), levels


@pytest.mark.process
def test_its_exit_code_says_whether_something_is_to_be_mended(well, monkeypatch):
    from typer.testing import CliRunner

    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0
    old_python(well, monkeypatch)
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert done.stdout.endswith("1 to mend.\n")


GPUS = """
from types import SimpleNamespace as Of

def zeros(*_):
    pass

def ones(_, device):
    if BROKEN and device == "cuda:1":
        raise RuntimeError("CUDA error: no kernel image is available")
    return Of(add=lambda _: Of(item=lambda: 2))

version = Of(cuda="13.0")
cuda = Of(is_available=lambda: True, device_count=lambda: 2, get_device_name=lambda index: f"GPU {index}")
"""


@pytest.mark.process
@pytest.mark.parametrize("broken", [False, True])
def test_gpus_are_told_by_name_and_those_that_compute_nothing_by_what_cuda_says(tmp_path, monkeypatch, broken):
    for package, text in (("torch", f"BROKEN = {broken}\n{GPUS}"), ("torchvision", "")):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(text)
    (tmp_path / "torchvision" / "ops.py").write_text("def nms(*_):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(doctor, "NVIDIA", (tmp_path, "nvidia[0-9]*"))
    with Probe(doctor.TORCH) as probe:
        found = doctor.gpus(probe.answer())
    assert found.level == ("mend" if broken else "ok")
    assert ("no kernel image" if broken else "GPU 0, GPU 1") in found.told


@pytest.mark.process
def test_a_package_that_cannot_be_imported_is_told_by_its_own_words(tmp_path, monkeypatch):
    """The code of the probe itself, on a torch that lacks a library, and one that never answers."""
    (tmp_path / "torch").mkdir()
    lacks = "raise OSError('libcudart.so.13: cannot open shared object file')"
    (tmp_path / "torch" / "__init__.py").write_text(lacks)
    monkeypatch.syspath_prepend(tmp_path)
    with Probe(doctor.TORCH) as probe:
        assert probe.answer() == {"error": "OSError: libcudart.so.13: cannot open shared object file"}
    monkeypatch.setattr(doctor, "WITHIN", 0.1)
    with Probe("import time; time.sleep(60)") as probe:
        assert probe.answer() == {"error": "no answer within 0.1 s, which may be a busy machine"}


@pytest.mark.slow
def test_this_machine_is_well(tmp_path):
    """The probes themselves."""
    found = list(doctor.examine(None, str(tmp_path / "runs")))
    assert [str(each) for each in found if each.level == "mend"] == []
