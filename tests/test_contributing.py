"""CONTRIBUTING's examples, put where it says into a copy of the product: the rest of it then knows the new names."""

import ast
import csv
import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from forked import Forked

pytestmark = pytest.mark.process
HOME = Path(__file__).parent.parent
TEXT = (HOME / "CONTRIBUTING.md").read_text()
PARTS = ("pyproject.toml", "ganablate", "trainers", "spaces", "search", "reports")
PLACE = re.compile(r"`([\w/]+\.(?:py|csv))`(?:, [^`]* of `(\w+)`)?")  # a file, and a name in it


def examples():
    """File, name in it or "", and lines of each example."""
    for paragraph, lines in re.findall(r"((?:[^\n]+\n)+)\n```\w+\n(.*?)```", TEXT, re.DOTALL):
        (path, name), *others = PLACE.findall(paragraph.replace("\n", " "))
        assert not others, paragraph
        yield path, name, lines


EXAMPLES = list(examples())


def insert(path, name, lines):
    """Put lines at the end of the list or dict that a module's name holds, or of a class's fields."""
    source = path.read_text()
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            last = [i for i, inner in enumerate(node.body) if isinstance(inner, ast.AnnAssign)][-1]
            first, end, comma = node.body[0], node.body[last + 1].end_lineno, ""  # that of the last field's docstring
            break
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if name in [getattr(target, "id", None) for target in targets]:
            held = next(inner for inner in ast.walk(node.value) if isinstance(inner, ast.List | ast.Dict))
            first, end, comma = next(ast.iter_child_nodes(held)), held.end_lineno - 1, ","
            break
    lines = textwrap.indent(lines.rstrip("\n,") + comma + "\n", " " * first.col_offset)
    before = source.splitlines(keepends=True)
    path.write_text("".join([*before[:end], lines, *before[end:]]))


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """A copy of the product with all examples in it."""
    home = tmp_path_factory.mktemp("product")
    for part in PARTS:
        copy = shutil.copytree if (HOME / part).is_dir() else shutil.copy
        copy(HOME / part, home / part)
    for name, inside, lines in EXAMPLES:
        path = home / name
        if inside:
            insert(path, inside, lines)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(f"\n\n{lines}" if file.tell() else lines)
    return home


def sets(*settings):
    return [word for setting in settings for word in ("--set", setting)]


POINTS = sets("dataset=line5", "batch_size=32", "n_images=512", "eval_every=512", "eval_samples=400")
ADDED = sets("loss=squared_hinge", "backbone=linear", "drift_weight=0.001", "features=pooled")
COMMANDS = {
    "list": ["list", "--json"],
    "train": ["train", "digits_gan", "--tiny", "--out", "run", *ADDED],
    "import": ["import", "run"],
    "report": ["report", "losses", "--tiny", "--out", "out"],
    "train points": ["train", "ring8_gan", "--out", "points", *POINTS],
    "plan": ["plan", "sngan-table2"],
    "claims": ["claims", "S1"],
}
IN_ONE_PROCESS = """
import contextlib, io, json, sys
import ganablate

printed = {}
for name, command in COMMANDS.items():
    sys.argv[1:] = command
    try:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            ganablate.main()
    except SystemExit as end:
        assert not end.code, command
    printed[name] = out.getvalue()
print(json.dumps(printed))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def printed(product, home):
    """What each command printed, all in one process and one folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(product))
        patch.setenv("COLUMNS", "200")
        done = Forked(IN_ONE_PROCESS, cwd=home, COMMANDS=COMMANDS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def last_evaluation(run):
    return json.loads((run / "rows.jsonl").read_text().splitlines()[-1])


def test_every_kind_has_an_example():
    kinds = re.findall(r"^### An? (.+)$", TEXT, re.MULTILINE)
    assert sorted(kinds) == sorted(
        ["backbone", "data set", "feature net", "loss", "metric", "paper", "regularizer", "study"]
    )
    assert TEXT.count("```") == 2 * len(EXAMPLES)


def test_the_new_names_are_listed(printed):
    listed = json.loads(printed["list"])
    assert {"losses", "sngan-table2"} <= set(listed["studies"])
    assert "linear" in listed["backbones"]
    assert "line5" in listed["datasets"]


def test_what_was_added_trains_and_makes_a_table(printed, home):
    """Backbone, loss, regularizer, feature net and metric in one run, a cell of the new study."""
    assert printed["train"].endswith("done: run\n")
    evaluation = last_evaluation(home / "run")
    assert evaluation["mean_distance"] > 0
    assert evaluation["loss_drift_weight"] > 0
    config = json.loads((home / "run" / "config.json").read_text())
    assert config["backbone_options"] == {"latent": 8}  # the narrow ones
    with (home / "out" / "table.csv").open() as file:
        cells = {(line["row"], line["column"]): line for line in csv.DictReader(file)}
    found = float(cells["squared hinge", "linear"]["mean_distance_final_mean"])
    assert found == pytest.approx(evaluation["mean_distance"])
    assert {line["mean_distance_final_n"] for line in cells.values()} == {"0", "1"}


def test_the_new_data_train(printed, home):
    assert printed["train points"].endswith("done: points\n")
    assert 0 <= last_evaluation(home / "points")["modes"] <= 5


def test_the_new_paper_has_its_values_and_claims(printed):
    assert "published fid 21.7" in printed["plan"]
    assert "SN-GAN < WGAN-GP on CIFAR-10" in printed["claims"]
    assert "not run" in printed["claims"]


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_the_examples_pass_the_linter(product, command):
    arguments = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
    done = subprocess.run(arguments, cwd=product, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_commands_are_those_of_make():
    targets = set(re.findall(r"^([\w-]+):", (HOME / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^    make ([\w-]+)", TEXT, re.MULTILINE))
    assert named <= targets
    for path in re.findall(r"`((?:tests|docs|spaces)/[\w/.-]+)`", TEXT):
        assert (HOME / path).exists() or path in [name for name, *_ in EXAMPLES], path


def test_the_architecture_names_every_file():
    """The tree of its last section: two spaces a level, folders end in a slash."""
    text = (HOME / "docs" / "architecture.md").read_text().partition("## What each file is for")[2]
    named, folders = set(), {}
    for line in text.splitlines():
        if match := re.match(r"    ( *)((?:[\w.]+/?(?: |$))+)", line):
            level, words = len(match[1]) // 2, match[2].split()
            above = "".join(folders[i] for i in range(level))
            if words[0].endswith("/"):
                folders[level] = words[0]
            named |= {above + word for word in words if word.endswith(".py")}
    there = [path for part in PARTS[1:] for path in (HOME / part).rglob("*.py")]
    files = {path.relative_to(HOME).as_posix() for path in there if path.name != "__init__.py"}
    assert sorted(named ^ files) == []
