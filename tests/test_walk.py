"""A new user's first hour, from an installed wheel in an empty folder: own photos to a compiled LaTeX table.

`pytest -s -k walk` prints commands and seconds. Nothing is found from the repository: PYTHONPATH is not set, and the
wheel lies in a virtual environment of its own, which sees the packages of this one.
"""

import csv
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

HOME = Path(__file__).parent.parent
PHOTOS = "meine Fotos/Bäume & Blüten"
STUDY = f"""
from spaces import RECIPES, Study

BASE = RECIPES["images_gan"].replace(
    dataset="folder:{PHOTOS}",
    resolution=16,
    features="raw",
    backbone_options={{"width": 4, "latent": 8}},
    batch_size=16,
    n_images=96,
    eval_every=48,
    eval_samples=100,
    ema_ramp=0.05,
)
WARM = {{"n_coop": 32, "coop_optimizer": "fresh"}}
STUDY = Study("Bäume & Blüten", BASE, rows={{"GAN": {{}}, "+ CoopInit": WARM}}, seeds=2)
"""
LATEX = r"""
\documentclass{article}
\usepackage{booktabs,graphicx,siunitx}
\begin{document}
Table~\ref{tab:trees} says it.
\input{table.tex}
\end{document}
"""
pytestmark = [pytest.mark.process, pytest.mark.long]


def built(folder):
    """The wheel and the source archive of this tree."""
    folder.mkdir()
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    subprocess.run(command, cwd=HOME, check=True, capture_output=True)
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return built(tmp_path_factory.mktemp("packed") / "dist")


@pytest.fixture(scope="module")
def installed(packed, tmp_path_factory):
    """The folder of commands of an environment with the wheel."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    paths = {"base": str(home), "platbase": str(home)}
    Path(sysconfig.get_path("purelib", vars=paths), "others.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", home / "bin" / "python", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--no-compile", packed[0]], check=True)
    return home / "bin"


class Walk:
    """Types commands in a folder, as a user does, and looks at what they say."""

    def __init__(self, folder, programs):
        self.folder, self.programs = folder, programs
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GANABLATE"))}
        self.environment = {**kept, "PATH": f"{programs}:{os.environ['PATH']}", "COLUMNS": "100"}
        self.options = {"cwd": folder, "env": self.environment, "text": True, "stderr": subprocess.STDOUT}

    def types(self, *command, code=0):
        """What a command says, all of it."""
        started = time.monotonic()
        done = subprocess.run(command, **self.options, stdout=subprocess.PIPE, check=False)
        print(f"{time.monotonic() - started:6.1f} s  {subprocess.list2cmdline(command)}")
        assert done.returncode == code, done.stdout
        assert "Traceback" not in done.stdout, done.stdout
        assert f"{HOME}/" not in done.stdout.replace(sys.prefix, ""), done.stdout
        return done.stdout

    def serves(self, *command):
        """What a command says that serves pages, and the page that it names."""
        started = time.monotonic()
        with subprocess.Popen(command, **self.options, stdout=subprocess.PIPE) as server:
            try:
                said = [server.stdout.readline()]
                while not said[-1].startswith("everything: "):
                    assert said[-1], said
                    said.append(server.stdout.readline())
                links = [line.rpartition(": ")[2].strip() for line in said]
                pages = [answered(link) for link in links]
                print(f"{time.monotonic() - started:6.1f} s  {subprocess.list2cmdline(command)}")
                server.send_signal(signal.SIGINT)
                assert "Traceback" not in server.communicate(timeout=60)[0]
                assert server.returncode in (0, 130, -signal.SIGINT)
            finally:
                server.kill()
        return "".join(said), pages


def answered(link, within=120):
    """The page at an address, once there is one."""
    opener, over = urllib.request.build_opener(urllib.request.ProxyHandler({})), time.monotonic() + within
    while True:
        try:
            with opener.open(link, timeout=within) as page:
                assert page.status == 200
                return page.read().decode()
        except OSError:
            assert time.monotonic() < over
            time.sleep(0.3)


def draw_photos(folder):
    """Thirty images of each of two classes, one that is broken, and a file that is none."""
    for kind, colour in (("Blüten", "crimson"), ("große Bäume", "green")):
        (folder / kind).mkdir(parents=True)
        for i in range(30):
            image = Image.new("RGB", (24 + i % 3, 20), "white")
            ImageDraw.Draw(image).ellipse((i % 7, i % 5, 10 + i % 7, 10 + i % 5), fill=colour)
            image.save(folder / kind / f"Foto {i} ü.png")
    (folder / "Blüten" / "kaputt.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "README.txt").write_text("Fotos vom Sommer")


@pytest.fixture
def walk(installed, tmp_path):
    """Someone in an empty folder, with photos, a study and modules of their own."""
    folder = tmp_path / "Meine Studie"
    draw_photos(folder / PHOTOS)
    (folder / "bäume.py").write_text(STUDY)
    for name in ("search.py", "reports.py", "trainers.py"):  # which is no trouble
        (folder / name).write_text("raise SystemExit('this is mine')\n")
    return Walk(folder, installed)


def looks_at_photos(walk):
    assert re.fullmatch(r"ganablate \d+\.\d+\.\d+(-\S+)?\n", walk.types("ganablate", "--version"))
    look = ["ganablate", "data", f"folder:{PHOTOS}", "--set", "resolution=16", "--out", "seen.png"]
    assert "cannot read image Blüten/kaputt.png: its format is unknown" in walk.types(*look, code=2)
    (walk.folder / PHOTOS / "Blüten" / "kaputt.png").unlink()
    seen = walk.types(*look)
    assert "Bäume & Blüten: 60 images of 2 classes (Blüten 30, große Bäume 30)" in seen
    assert "skipped: .txt files (1)" in seen
    assert Image.open(walk.folder / "seen.png").width > 100


def writes_a_paper(walk, *selectors):
    form = ["--html", "--siunitx", "--caption", "60 Fotos von Bäumen & Blüten", "--label", "tab:trees"]
    told = walk.types("ganablate", "report", "bäume.py", *selectors, *form, "--out", "Bericht")
    assert "Bericht/report.html" in told
    report = walk.folder / "Bericht"
    with (report / "table.csv").open(newline="") as file:
        assert [line["row"] for line in csv.DictReader(file)] == ["GAN", "+ CoopInit"]
    assert "60 Fotos von Bäumen &amp; Blüten" in (report / "report.html").read_text()
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed: the table is not compiled")
    (report / "paper.tex").write_text(LATEX)
    walk.options["cwd"] = report
    assert "Output written on paper.pdf" in walk.types("pdflatex", "-halt-on-error", "paper.tex")


@pytest.mark.slow
def test_a_new_user_walks_from_photos_to_latex(walk):
    looks_at_photos(walk)
    assert walk.types("ganablate", "plan", "bäume.py").endswith("Bäume & Blüten: 4 runs, 4 to run\n")
    made = walk.types("ganablate", "run", "bäume.py")
    assert "Data: Bäume & Blüten, 60 images of 2 classes." in made
    assert len(re.findall(r"^(?:GAN|\+ CoopInit), seed [01]: done", made, re.MULTILINE)) == 4, made
    assert "Bäume & Blüten: 4 runs, 4 done" in walk.types("python", "-m", "ganablate", "status", "bäume.py")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said, pages = walk.serves("ganablate", "ui", "--port", str(port))
    assert said.startswith(f"Bäume & Blüten: http://127.0.0.1:{port}/")
    assert all("<title>MLflow</title>" in page for page in pages)
    writes_a_paper(walk)


def test_a_walk_without_ray_and_the_ui_is_quicker(walk):
    """The same, with `train` and `import` in the place of `run`."""
    looks_at_photos(walk)
    one = ["bäume.py", "--seeds", "1"]
    assert walk.types("ganablate", "plan", *one, "--array") == "0-1\n"
    assert walk.types("ganablate", "train", *one, "--job", "1", "--out", "made/1").endswith("done: made/1\n")
    walk.types("ganablate", "import", "made")
    assert "Bäume & Blüten: 2 runs, 1 missing, 1 done" in walk.types("python", "-m", "ganablate", "status", *one)
    writes_a_paper(walk, *one[1:])


def content(wheel):
    """The files of a wheel, whose record is in no order."""
    with zipfile.ZipFile(wheel) as held:
        files = {name: held.read(name) for name in held.namelist()}
    return {name: sorted(data.splitlines()) if name.endswith("/RECORD") else data for name, data in files.items()}


def test_a_wheel_of_the_source_archive_is_the_same(packed, tmp_path):
    wheel, archive = packed
    shutil.unpack_archive(archive, tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=unpacked, check=True, capture_output=True)
    assert content(tmp_path / wheel.name) == content(wheel)


def test_the_wheel_holds_what_it_needs(packed, tmp_path):
    """All that lies in our folders, the licence and the commit, and nothing else."""
    shutil.unpack_archive(packed[0], tmp_path, "zip")
    held = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    parts = ("trainers", "spaces", "search", "reports", "ganablate")
    ours = (path for part in parts for path in (HOME / part).rglob("*"))
    ours = {path.relative_to(HOME).as_posix() for path in ours if path.is_file() and path.suffix != ".pyc"}
    about = {name for name in held if ".dist-info/" in name}
    assert held - about == ours | ({"trainers/assets/commit.txt"} if (HOME / ".git").exists() else set())
    assert any(name.endswith("/licenses/LICENSE") for name in about)
    assert {"reports/page.html", "trainers/assets/digit_net.npz", "spaces/papers/coopinit/published.csv"} <= held
