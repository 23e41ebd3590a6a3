"""Tables, figures and verdicts of runs that other code made are those that SciPy gives of its values."""

import json
import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given
from plain_script import EXPERIMENT, METHODS, NAMES, SEEDS, run_script, values, write_twin
from scipy import stats
from typer.testing import CliRunner

from ganablate.command import app
from reports.dots import dots_data
from reports.foreign import ForeignResults
from reports.spreadsheet import to_csv
from reports.table import as_text
from search.store.foreign import ForeignMetric, ForeignRun, Imported


def imported_of(cells, *, paired=False, scale="ratio", lower=True):
    """An import of {row: {seed: value}}."""
    runs = [
        ForeignRun(row=row, column="", seed=seed, run_id=f"{row}-{seed}", values={"m": value})
        for row, seeds in cells.items()
        for seed, value in seeds.items()
    ]
    metrics = [ForeignMetric(key="m", lower_is_better=lower, scale=scale)]
    return Imported(name="bench", source="t.csv", place="t.csv", paired=paired, metrics=metrics, runs=runs)


numbers = st.floats(0.1, 1000).map(lambda value: round(value, 3))
samples = st.lists(numbers, min_size=3, max_size=6, unique=True)


@given(samples, samples, st.sampled_from(["ratio", "difference"]), st.booleans())
def test_comparisons_are_those_of_scipy(first, second, scale, paired):
    """Of seeds that are any numbers; those that one row lacks are in no pair."""
    cells = {"a": dict(zip((7, 40, 3, 99, 12, 5), first, strict=False))}
    cells["b"] = dict(zip((7, 40, 3, 99, 12, 5), second, strict=False))
    found = ForeignResults(imported_of(cells, paired=paired, scale=scale)).comparisons["b", "", "m"]
    on_scale = np.log if scale == "ratio" else np.asarray
    back = math.exp if scale == "ratio" else float
    a, b = on_scale(first), on_scale(second)
    n = min(len(a), len(b))
    assume(not paired or np.std(b[:n] - a[:n]) > 1e-6)  # SciPy has no p where all pairs differ alike
    test = stats.ttest_rel(b[:n], a[:n]) if paired else stats.ttest_ind(b, a, equal_var=False)
    interval = test.confidence_interval()
    assert found.method == ("paired t" if paired else "Welch t")
    assert found.p == pytest.approx(test.pvalue, rel=1e-6, abs=1e-12)
    assert found.low == pytest.approx(back(interval.low), rel=1e-6, abs=1e-9)
    assert found.high == pytest.approx(back(interval.high), rel=1e-6, abs=1e-9)


def test_rows_without_pairs_may_have_seeds_of_their_own():
    cells = {"a": {1: 5.0, 2: 6.0, 3: 5.5}, "b": {901: 3.0, 902: 3.5, 903: 3.1}}
    alone = ForeignResults(imported_of(cells))
    assert alone.study.seeds == 3
    assert "not done" not in as_text(alone).caption
    assert alone.comparisons["b", "", "m"].p == pytest.approx(
        stats.ttest_ind(np.log([3.0, 3.5, 3.1]), np.log([5.0, 6.0, 5.5]), equal_var=False).pvalue
    )
    paired = ForeignResults(imported_of(cells, paired=True))
    assert paired.study.seeds == 6
    assert math.isnan(paired.comparisons["b", "", "m"].p)
    assert "6 runs are not done" in as_text(paired).caption


def test_a_lost_run_is_counted_and_in_no_mean():
    results = ForeignResults(imported_of({"a": {0: 5.0, 1: 6.0, 2: 5.5}, "b": {0: 3.0, 1: math.nan, 2: 3.4}}))
    table = to_csv(results).set_index("row")
    assert table.loc["b", "m_lost"] == 1
    assert table.loc["b", "m_mean"] == pytest.approx(3.2)
    assert "runs that ended with a value that is not finite" in as_text(results).caption
    assert len(dots_data(results, "m")) == 5


@pytest.mark.parametrize(("size", "shown"), [(1e-5, 7), (0.01, 4), (3.0, 2), (5000.0, 0)])
def test_decimals_show_three_digits_of_the_deviation(size, shown):
    cells = {row: {seed: size * (10 + seed) for seed in range(3)} for row in ("a", "b")}
    assert imported_of(cells).study.metric("m").decimals == shown


@pytest.fixture(scope="module")
def reports(tmp_path_factory, empty_database):
    """The three commands, of the user's MLflow and of his CSV, each in a folder of its own: what each printed."""
    found = {}
    metrics = ["--metric", "eval/fid:lower:ratio", "--metric", "eval/acc:higher", "--paired"]
    for source in ("mlflow", "csv"):
        home = tmp_path_factory.mktemp(source)
        run_script(home / "mine.db", empty_database)
        write_twin(home / "results.csv")
        (home / "mine.py").write_text(CLAIMS)
        place = ["--storage", str(home / "runs")]
        where = f"mlflow:{EXPERIMENT}" if source == "mlflow" else f"csv:{home / 'results.csv'}"
        uri = ["--tracking-uri", f"sqlite:///{home / 'mine.db'}"] if source == "mlflow" else []
        commands = {
            "import": ["import", where, "--study", "bench", *NAMES, *metrics, *uri],
            "report": ["report", "bench", "--html"],
            "claims": ["claims", "bench", "--json"],
            "own": ["claims", str(home / "mine.py"), "--json"],
            "register": ["claims", str(home / "mine.py"), "--register"],
            "plan": ["plan", "bench", "--json", "--detect", "0.8"],
            "why": ["why", "bench", "sn"],
            "tiny": ["report", "bench", "--tiny"],
            "run": ["run", "bench"],
        }
        reports = str(home / "runs" / "reports")
        commands |= {
            "again": ["report", "--from", f"{reports}/bench", "--out", str(home / "again")],
            "claims again": ["claims", "bench", "--json", "--from", reports],
            "own again": ["claims", str(home / "mine.py"), "--json", "--from", reports],
            "other": ["report", "quick", "--from", f"{reports}/bench"],
        }
        told = {}
        for name, command in commands.items():
            elsewhere = ["--storage", str(home / "none")] if "--from" in command else place
            told[name] = CliRunner().invoke(app, [*command, *elsewhere])
        found[source] = (told, home / "runs" / "reports" / "bench")
    return found


CLAIMS = """
from spaces.claims import Claim, LESS, contrasts

ours = contrasts("bench", "sn + ours", "vanilla", "sn", metric="eval/fid")
worse = contrasts("bench", "sn + ours", "vanilla", metric="eval/acc", kind="difference", claimed=LESS)
claims = [Claim("M1", "ours is best", "section 4", ours), Claim("M2", "ours is less exact", "section 4", worse)]
"""


def test_three_commands_give_table_figure_and_verdict(reports):
    for told, folder in reports.values():
        for name in ("import", "report", "claims", "own", "plan", "why"):
            assert told[name].exit_code == 0, told[name].output
        assert {"table.tex", "table.csv", "dots.png", "dots.pdf", "methods.md"} <= {p.name for p in folder.iterdir()}
        page = (folder / "report.html").read_text()
        assert page.count("<details") == len(METHODS)
        assert "Settings that differ" not in page
        fids = values()
        table = (folder / "table.md").read_text()
        mean, std = np.mean(fids["sn + ours"]), np.std(fids["sn + ours"], ddof=1)
        assert f"{mean:.2f} ± {std:.2f}" in table
        logs = np.log(fids["sn + ours"]) - np.log(fids["vanilla"])
        low, high = np.exp(stats.t.interval(0.95, len(logs) - 1, logs.mean(), stats.sem(logs)))
        assert f"{np.exp(logs.mean()):.2f} [{low:.2f}, {high:.2f}]*" in table
        verdicts = {claim["id"]: claim["verdict"] for claim in json.loads(told["claims"].stdout)}
        assert verdicts["sn + ours"] == "supported"
        assert verdicts.keys() == METHODS.keys() - {"vanilla"}
        assert {c["id"]: c["verdict"] for c in json.loads(told["own"].stdout)} == {
            "M1": "supported",
            "M2": "contradicted",
        }


def test_the_csv_gives_what_the_mlflow_gives(reports):
    (mlflow, of_mlflow), (csv, of_csv) = reports["mlflow"], reports["csv"]
    assert (of_mlflow / "dots.csv").read_text() == (of_csv / "dots.csv").read_text()
    assert (of_mlflow / "dots.png").read_bytes() == (of_csv / "dots.png").read_bytes()
    tables = [(folder / "table.md").read_text().partition("Protocol")[0] for folder in (of_mlflow, of_csv)]
    assert tables[0] == tables[1]
    verdicts = [
        [(c["id"], c["verdict"], c["parts"][0]["p_for"]) for c in json.loads(told["own"].stdout)]
        for told in (mlflow, csv)
    ]
    assert verdicts[0] == verdicts[1]
    assert (of_mlflow / "curves.png").exists()  # MLflow knows how the values came about
    assert not (of_csv / "curves.png").exists()


def test_a_report_and_its_claims_are_made_again_without_a_store(reports):
    for told, folder in reports.values():
        again = folder.parents[2] / "again"
        names = {path.name for path in folder.iterdir() if path.suffix in (".csv", ".md", ".tex", ".json")}
        assert {"table.csv", "tests.csv", "methods.md", "imported.json"} <= names
        for name in names:
            assert (again / name).read_bytes() == (folder / name).read_bytes(), name
        for name in ("claims", "own"):
            assert told[f"{name} again"].stdout == told[name].stdout
        assert not (folder.parents[2] / "none").exists()
        assert "has the report on bench, not on quick" in str(told["other"].exception)


def test_plan_and_why_name_the_users_seeds(reports):
    told, _ = reports["mlflow"]
    plan = json.loads(told["plan"].stdout)
    assert [run["seed"] for run in plan["cells"][0]["runs"]] == list(SEEDS)
    assert {run["state"] for cell in plan["cells"] for run in cell["runs"]} == {"done"}
    assert {need["paired"] for need in plan["detect"]["needs"]} == {True}
    assert [f"seed {seed}: done, eval/fid" in told["why"].stdout for seed in SEEDS] == [True] * len(SEEDS)
    assert "the MLflow experiment 'gan bench'" in told["why"].stdout


def test_what_makes_no_sense_of_them_is_refused(reports):
    for told, _ in reports.values():
        assert "--tiny changes nothing" in str(told["tiny"].exception)
        assert "was imported" in str(told["run"].exception)
        assert "were made before they were imported" in str(told["register"].exception)
