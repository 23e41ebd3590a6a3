"""What README and the pages of docs/ say of the product is so."""

import ast
import csv
import re
import shlex
from pathlib import Path

import pytest
import typer
from sources import nodes_of

from ganablate.command import app
from reports.spreadsheet import COMPARED
from spaces import RECIPES, STUDIES
from spaces.find import find_study
from trainers.config import Config
from trainers.names import METRICS, SCORES
from trainers.run_folder import read_evaluations
from trainers.run_state import RunState

HOME = Path(__file__).parent.parent
PAGES = {path.name: path.read_text() for path in (HOME / "README.md", *sorted((HOME / "docs").glob("*.md")))}
COMMANDS = typer.main.get_command(app).commands
EXPLAINED = {"...", "STUDY", "RECIPE", "FOLDER", "NAME", "PATH"}  # what stands for words of a user's own


def test_the_table_of_states_is_the_enum():
    """Those that `plan` shows, and of each whether `run` leaves it alone."""
    table = PAGES["concepts.md"].partition("| state of a run |")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| (\w+) \| .+ \| (.+) \|$", table, re.MULTILINE))
    assert rows.keys() == {state.value for state in RunState}
    for state in RunState:
        if state.enters_table:
            assert rows[state].startswith("nothing"), state
    assert {state for state in rows if rows[state].startswith("makes it")} == {RunState.MISSING, RunState.STOPPED}


def commands_in(text):
    """The lines of code blocks that begin with `ganablate COMMAND`, without what explains them behind more spaces."""
    joined = re.sub(r" *\\\n +", " ", text)
    for line in re.findall(r"^ {4}ganablate (\S.*)$", joined, re.MULTILINE):
        yield re.split(" {2,}", line)[0]


def test_commands_are_found():
    assert list(commands_in("    ganablate a b   what it does\n    ganablate import x \\\n        --y z\n")) == [
        "a b",
        "import x --y z",
    ]
    assert sum(len(list(commands_in(text))) for text in PAGES.values()) > 80


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_can_be_read(page):
    """By the options that there are; nothing is run."""
    for line in commands_in(PAGES[page]):
        name, *words = shlex.split(line)
        if name == "--version":
            continue
        assert name in COMMANDS, line
        COMMANDS[name].make_context(name, words)


@pytest.mark.parametrize("page", PAGES)
def test_every_study_of_a_page_is_there(page):
    for line in commands_in(PAGES[page]):
        name, *words = shlex.split(line)
        if name in ("plan", "run", "status", "stop", "why") and not {words[0]} & EXPLAINED and "." not in words[0]:
            assert words[0] in STUDIES or words[0] in ("bench", "RUN_ID"), line


def test_every_command_stands_among_the_commands():
    assert [name for name in COMMANDS if not re.search(rf"ganablate {name}\b", PAGES["commands.md"])] == []


def test_the_readmes_study_is_one(tmp_path, monkeypatch):
    (block,) = re.findall(r"```python\n(.*?)```", PAGES["README.md"], re.DOTALL)
    (tmp_path / "my_study.py").write_text(block)
    monkeypatch.chdir(tmp_path)
    assert len(find_study("my_study.py").cells()) == 3


def section(page, head):
    return PAGES[page].partition(f"\n## {head}\n")[2].partition("\n## ")[0]


def headers(name):
    """The columns of such a file in all reports of docs/results, which tests hold to be what `report` writes."""
    lines = [path.read_text().partition("\n")[0] for path in (HOME / "docs" / "results").glob(f"*/{name}")]
    return dict.fromkeys(column for line in lines for column in next(csv.reader([line])))


def test_every_column_of_table_csv_is_explained():
    """Those of ratios, of differences and events, of published values, and of searches."""
    told, columns = section("tables.md", "table.csv"), headers("table.csv")
    metrics = [column.removesuffix("_mean") for column in columns if column.endswith("_mean")]
    explained = set()
    for column in columns:
        metric = next((metric for metric in metrics if column.startswith(f"{metric}_")), "")
        explained.add(f"M{column.removeprefix(metric)}" if metric else column)
    assert {"M_published_std", "search_value"} <= explained
    explained |= {f"M_{name}".format(scale) for name in COMPARED for scale in ("ratio", "difference", "odds")}
    assert [column for column in explained if f"`{column}`" not in told] == []


@pytest.mark.parametrize("name", ["runs.csv", "tests.csv", "evaluations.csv"])
def test_every_column_of_other_files_is_explained(name):
    told = section("tables.md", name)
    columns = [column for column in headers(name) if column not in {*METRICS, *SCORES} and "@" not in column]
    assert len(columns) > 5
    assert [column for column in columns if f"`{column}`" not in told] == []


def test_every_number_of_an_evaluation_is_explained(trained):
    """Of both methods, probes, regularizers, and 2-D data; those that are counted, as the modes' logits, by one."""
    short = {"batch_size": 16, "n_images": 64, "eval_every": 32, "eval_samples": 100}
    probed = Config(**short, backbone_options={"width": 4, "latent": 8}, n_coop=32, probe="normalized")
    configs = probed.replace(aw="normalized", ada="bgc", r1_gamma=0.1), RECIPES["ring8_deep_gan"].replace(**short)
    keys = {key for config in configs for row in read_evaluations(trained(config)) for key in row}
    told = {re.sub(r"_\d+$", "_N", name) for name in re.findall(r"`(\w+)`", PAGES["charts.md"])}
    scores = {metric.key for metric in METRICS.values()}
    assert {"aw_case_3", "langevin_curvature", "loss_r1_gamma", "ada_p", "real_vanished", "class_logit_07"} <= keys
    unexplained = {re.sub(r"_\d+$", "_N", key) for key in keys - scores} - told
    assert unexplained == {"images", "state", "logged_at"}


def texts_in_code():
    """All texts of the product, those between the values of an f-string each for itself."""
    parts = ("trainers", "spaces", "search", "reports", "ganablate")
    nodes = (node for part in parts for path in (HOME / part).rglob("*.py") for node in nodes_of(path))
    return "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


MESSAGES = re.findall(r"^### `+(.+?)`+$", PAGES["troubleshooting.md"], re.MULTILINE)


def test_messages_are_those_of_the_product():
    assert len(MESSAGES) > 40
    pieces, texts = [piece.strip(" .;:,()") for each in MESSAGES for piece in each.split("…")], texts_in_code()
    assert [piece for piece in pieces if piece not in texts] == []
