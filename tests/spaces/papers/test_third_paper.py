"""A third paper is one more folder, and nothing else: lists, plans, tables and verdicts then have it too."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from forked import Forked

HOME = Path(__file__).parents[3]
FILES = {
    "__init__.py": """
from spaces.claims import Claim, contrasts
from spaces.paper import Paper, read_published
from spaces.study import Study

PAPER = Paper(
    name="third",
    year=2030,
    studies=[
        Study(
            "third-table1",
            "sngan_cifar10",
            rows={"plain": {}, "R1": {"r1_gamma": 0.1}},
            metrics=("kid_final", "fid_final"),
            published="third/table1",
        )
    ],
    claims=[Claim("T1", "R1 < plain", "table 1", contrasts("third-table1", "R1", "plain"))],
    published=read_published(__name__),
    metrics={"fid": "fid_final", "kid": "kid_final"},
    features="inception",
    samples=10_000,
)
""",
    "published.csv": """table,dataset,conditional,row,column,metric,value,std,source,quoted,comparable,note
table1,cifar10,no,plain,,fid,21.5,0.2,page 5,no,yes,
table1,cifar10,no,R1,,kid,0.0125,,page 5,no,yes,
table1,cifar10,no,other,,fid,30,,page 5,yes,yes,
""",
}
RUN = """
import json, sys
from typer.testing import CliRunner
from ganablate.command import app
for arguments in json.loads(sys.argv[1]):
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    print(json.dumps(done.stdout))
"""


@pytest.fixture
def commands(tmp_path, store, monkeypatch):
    """What commands print in a copy of the project that has the folder."""
    for name in ("ganablate", "trainers", "search", "reports"):
        (tmp_path / name).symlink_to(HOME / name)
    shutil.copytree(HOME / "spaces", tmp_path / "spaces", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "spaces/papers/third").mkdir()
    for name, text in FILES.items():
        (tmp_path / "spaces/papers/third" / name).write_text(text)

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def run(*lines):
        done = Forked(RUN, json.dumps([line.split() for line in lines]), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


@pytest.mark.slow  # test_contributing has a paper of its own
def test_a_folder_is_all_that_a_paper_needs(commands, tmp_path):
    listed, planned, claims, one, report = commands(
        "list --json",
        "plan third-table1 --json",
        "claims --json",
        "claims T1",
        "report third-table1 --out report",
    )
    studies = json.loads(listed)["studies"]
    assert studies.index("third-table1") == studies.index("coopinit-table1") - 1  # the newest paper first
    cells = json.loads(planned)["cells"]
    assert [(cell["row"], cell["published"]) for cell in cells] == [
        ("plain", {"fid": 21.5}),
        ("R1", {"kid": 0.0125}),
        ("other", {"fid": 30.0}),
    ]
    assert [len(cell["runs"]) for cell in cells] == [3, 3, 0]
    verdicts = {claim["id"]: claim for claim in json.loads(claims)}
    assert {"T1", "C26", "A12"} <= set(verdicts)
    assert (verdicts["T1"]["paper"], verdicts["T1"]["verdict"]) == ("third", "not run")
    assert verdicts["C1"]["paper"] == "coopinit"
    assert "R1 < plain" in one
    assert "other (quoted)" in report
    table = pd.read_csv(tmp_path / "report/table.csv").set_index("row")
    assert table.loc[["plain", "other"], "fid_final_published"].tolist() == [21.5, 30]
    assert table.loc["R1", "kid_final_published"] == 0.0125
    assert table.loc["plain", "fid_final_notes"] == "ours has eval_samples 50,000, not 10,000"  # its own protocol
