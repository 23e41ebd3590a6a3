"""A study of one's own, in a file or in the dict, needs no other change."""

import json
from pathlib import Path

import pandas as pd
from typer.testing import CliRunner

from ganablate.command import app
from spaces import STUDIES, Study

FILE = """
from spaces import Study

study = Study(
    "mine",
    "stylegan2_cifar10",
    rows={"StyleGAN2 (gamma=0.00)": {"r1_gamma": 0.0}},
    columns={"lr=0.0030": {"lr": 0.003}},
    seeds=2,
    published="coopinit/table7",
)
"""


def command(*arguments):
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def meets_the_rest(name, store, folder):
    """Plan and table have the study's cell, with the value that is published of it."""
    told = json.loads(command("plan", name, "--json", "--storage", str(store.storage)))
    cell, *quoted = told["cells"]
    assert (told["study"], cell["row"], cell["published"]) == ("mine", "StyleGAN2 (gamma=0.00)", {"fid": 14.94})
    assert len(told["missing"]) == 2
    assert not any(each["runs"] for each in quoted)
    printed = command("report", name, "--storage", str(store.storage), "--out", str(folder))
    assert "14.94" in printed
    table = pd.read_csv(folder / "table.csv").set_index(["row", "column"])
    assert table.loc[("StyleGAN2 (gamma=0.00)", "lr=0.0030"), "fid_best_published"] == 14.94
    assert table.loc[("StyleGAN2 (gamma=0.00)", "lr=0.0030"), "fid_best_comparable"]


def test_a_users_file_is_a_study(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(FILE)
    meets_the_rest("mine.py", store, tmp_path / "out")


def test_an_entry_of_studies_is_a_study(store, tmp_path, monkeypatch):
    names: dict = {}
    exec(FILE, names)
    assert isinstance(names["study"], Study)
    monkeypatch.setitem(STUDIES, "mine", names["study"])
    assert json.loads(command("list", "--json"))["studies"][-1] == "mine"
    meets_the_rest("mine", store, tmp_path / "out")
