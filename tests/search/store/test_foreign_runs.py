"""Runs that other code made are taken in whole, by its own names, or refused in one sentence."""

import json
import math
import sys
from pathlib import Path

import pytest
from plain_script import EXPERIMENT, METHODS, NAMES, SEEDS, log_run, run_script, values, write_twin

from ganablate.__main__ import main
from search.store import Store
from search.store.foreign import find_imported, read_imported


@pytest.fixture
def home(tmp_path, empty_database, monkeypatch):
    """A folder with the user's database, and the CSV; what is typed there."""
    monkeypatch.chdir(tmp_path)
    client, experiment = run_script(tmp_path / "mine.db", empty_database)
    write_twin(tmp_path / "results.csv")
    return client, experiment


def typed(monkeypatch, capsys, *arguments):
    """Exit code and output of the command, in this process, where MLflow remembers databases by their addresses."""
    whole = [each.replace("sqlite:///mine.db", f"sqlite:///{Path('mine.db').absolute()}") for each in arguments]
    monkeypatch.setattr(sys, "argv", ["ganablate", *whole])
    with pytest.raises(SystemExit) as left:
        main()
    told = capsys.readouterr()
    return left.value.code or 0, told.out + told.err


METRIC = ["--metric", "eval/fid:lower:ratio", "--metric", "eval/acc:higher"]
FROM_MLFLOW = [
    "import",
    f"mlflow:{EXPERIMENT}",
    "--study",
    "bench",
    *NAMES,
    *METRIC,
    "--tracking-uri",
    "sqlite:///mine.db",
]
FROM_CSV = ["import", "csv:results.csv", "--study", "bench", *NAMES, *METRIC]


def test_both_sources_give_the_same_runs(home, tmp_path, monkeypatch, capsys):
    found = {}
    for command in (FROM_MLFLOW, FROM_CSV):
        code, told = typed(monkeypatch, capsys, *command)
        assert code == 0, told
        assert "20 runs of" in told
        assert ("in place of what was imported before" in told) == bool(found)
        imported = read_imported(Store(storage=tmp_path / "runs"), "bench")
        found[command[1]] = imported.frame().drop(columns=["run_id", "protocol"])
    first, second = found.values()
    assert first.equals(second)
    assert list(dict.fromkeys(first["row"])) == list(METHODS)
    assert first["eval/fid"].tolist() == [value for each in values().values() for value in each]
    assert sorted(set(first["seed"])) == list(SEEDS)
    assert not first["lost"].any()


def test_the_users_mlflow_is_only_read_and_importing_again_changes_nothing(home, tmp_path, monkeypatch, capsys):
    before = (tmp_path / "mine.db").read_bytes()
    written = []
    for _ in range(2):
        assert typed(monkeypatch, capsys, *FROM_MLFLOW)[0] == 0
        written.append((tmp_path / "runs" / "foreign" / "bench.json").read_bytes())
    assert written[0] == written[1]
    assert (tmp_path / "mine.db").read_bytes() == before


def test_unfinished_runs_and_parents_are_left_out_and_told(home, monkeypatch, capsys, tmp_path):
    client, experiment = home
    parent = log_run(client, experiment, {"sweep": 1}, [])
    tags = {"mlflow.parentRunId": parent}
    log_run(client, experiment, {"method": "sn", "rng_seed": 66}, [(1, {"eval/fid": 1.0})], "RUNNING", tags)
    code, told = typed(monkeypatch, capsys, *FROM_MLFLOW)
    assert code == 0, told
    assert "not finished: 1 running" in told
    assert len(read_imported(Store(storage=tmp_path / "runs"), "bench").runs) == 20


def test_a_run_is_lost_if_its_value_is_not_finite_alone(home, monkeypatch, capsys, tmp_path):
    client, experiment = home
    for seed, value in ((66, math.inf), (77, math.nan), (88, 1e6)):
        log_run(client, experiment, {"method": "sn", "rng_seed": seed}, [(1, {"eval/fid": value, "eval/acc": 0.1})])
    code, told = typed(monkeypatch, capsys, *FROM_MLFLOW)
    assert code == 0, told
    assert "2 lost" in told
    runs = read_imported(Store(storage=tmp_path / "runs"), "bench").frame()
    assert sorted(runs.loc[runs["lost"], "seed"]) == [66, 77]
    assert set(runs.loc[runs["lost"], "state"]) == {"diverged"}


def test_the_latest_of_two_runs_counts_only_if_so_asked(home, monkeypatch, capsys, tmp_path):
    client, experiment = home
    again = log_run(client, experiment, {"method": "sn", "rng_seed": 11}, [(1, {"eval/fid": 7.0, "eval/acc": 0.1})])
    code, told = typed(monkeypatch, capsys, *FROM_MLFLOW)
    assert (code, "2 runs of sn, seed 11" in told, (tmp_path / "runs" / "foreign").exists()) == (2, True, False)
    code, told = typed(monkeypatch, capsys, *FROM_MLFLOW, "--latest")
    assert code == 0, told
    assert "for a later run of the same seed: 1" in told
    (run,) = (r for r in read_imported(Store(storage=tmp_path / "runs"), "bench").runs if r.label == "sn, seed 11")
    assert (run.run_id, run.values["eval/fid"]) == (again, 7.0)


BAD_MLFLOW = [
    (["import", "mlflow:gan bensh", *FROM_MLFLOW[2:]], "no experiment 'gan bensh'; did you mean 'gan bench'"),
    ([*FROM_MLFLOW, "--tracking-uri", "sqlite:///none.db"], "there is no store at sqlite:///none.db"),
    ([*FROM_MLFLOW, "--row", "metod"], "has a param 'metod'; did you mean 'method'"),
    ([*FROM_MLFLOW, "--seed", "lr"], "lr = '0.0002' should be a whole number"),
    ([*FROM_MLFLOW, "--metric", "eval/fdi"], "has a metric 'eval/fdi'; did you mean 'eval/fid'"),
    ([*FROM_MLFLOW, "--metric", "eval/fid"], "--metric eval/fid is given twice"),
    ([*FROM_MLFLOW, "--metric", "seed"], "a column of tables is called 'seed'"),
    ([*FROM_MLFLOW, "--reference", "vanila"], "no row 'vanila'; did you mean 'vanilla'"),
    ([*FROM_MLFLOW, "--study", "quick"], "a study of ganablate is called so"),
    ([*FROM_MLFLOW, "--study", "my.py"], "no name for a study"),
    (["import", "mlflow:gan bench", "--study", "bench"], "needs --row, --seed, --metric"),
    (["import", "mlflow:gan bench", "made"], "one mlflow:EXPERIMENT or csv:FILE at a time"),
    (["import", "made", "--study", "bench"], "--study is for runs that other code made"),
]


def test_bad_input_from_mlflow_is_one_sentence_and_imports_nothing(home, monkeypatch, capsys, tmp_path):
    client, experiment = home
    for command, sentence in BAD_MLFLOW:
        code, told = typed(monkeypatch, capsys, *command)
        assert (code, told.count("\n")) == (2, 1), told
        assert sentence in told
    log_run(client, experiment, {"method": "sn", "rng_seed": 66}, [(1, {"eval/fid": 1.0})])
    assert "has no metric 'eval/acc'" in typed(monkeypatch, capsys, *FROM_MLFLOW)[1]
    assert not (tmp_path / "runs" / "foreign").exists()
    assert not (tmp_path / "none.db").exists()


HEAD = "row,seed,fid\n"
BAD_CSV = {
    HEAD + "a,0,1.5\na,1,many\n": "line 3: fid has 'many' where a number should be",
    HEAD + "a,0,1.5\nb,0,\n": "line 3: fid has no value",
    HEAD + "a,zero,1.5\n": "line 2: seed = 'zero' should be a whole number",
    HEAD + "a,0.5,1.5\n": "line 2: seed = '0.5' should be a whole number",
    HEAD + "a,0,1.5\na,0,1.6\n": "2 runs of a, seed 0 (bad.csv:2 and bad.csv:3); --latest takes the last",
    HEAD + ",0,1.5\n": "line 2: row is empty",
    HEAD + "a,0\n": "line 2: it should have 3 fields",
    HEAD + "a,0,1,5\n": "line 2: it should have 3 fields",
    HEAD: "has no run",
    "": "has no column 'row'",
    "row;seed;fid\na;0;1.5\n": "has no column 'row'; its first line names row;seed;fid",
    "row,seed,fid,fid\na,0,1,2\n": "more than one column 'fid'",
    'row,seed,fid\n"a,0,1.5\n': "is no CSV in UTF-8",
}


@pytest.mark.parametrize("text", BAD_CSV)
def test_a_bad_csv_is_one_sentence_and_imports_nothing(text, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text(text)
    code, told = typed(monkeypatch, capsys, "import", "csv:bad.csv", "--study", "bench", "--metric", "fid")
    assert (code, told.count("\n")) == (2, 1), told
    assert BAD_CSV[text] in told
    assert not (tmp_path / "runs" / "foreign").exists()


def test_other_files_that_are_no_csv(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bytes.csv").write_bytes(b"row,seed,fid\n\xff,0,1\n")
    for name, sentence in {"bytes.csv": "no CSV in UTF-8", "none.csv": "No such file", ".": "Is a directory"}.items():
        code, told = typed(monkeypatch, capsys, "import", f"csv:{name}", "--study", "bench", "--metric", "fid")
        assert (code, told.count("\n"), sentence in told) == (2, 1, True), told


def test_a_csv_of_a_spreadsheet(monkeypatch, capsys, tmp_path):
    """With a byte order mark, seeds that became decimals, columns that nobody asked for, and infinity."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_bytes("\ufeffrow, column,seed,note,fid\r\na,x,0.0,,1.5\r\na,y,1.0,n,inf\r\n".encode())
    command = ("import", "csv:t.csv", "--study", "t", "--column", "column", "--metric", "fid")
    code, told = typed(monkeypatch, capsys, *command)
    assert code == 0, told
    imported = read_imported(Store(storage=tmp_path / "runs"), "t")
    assert imported.study.places == [("a", "x"), ("a", "y")]
    assert [run.seed for run in imported.runs] == [0, 1]
    assert imported.frame()["lost"].tolist() == [False, True]


def test_a_damaged_import_and_an_unknown_name_are_sentences(home, monkeypatch, capsys, tmp_path):
    assert typed(monkeypatch, capsys, *FROM_CSV)[0] == 0
    store, path = Store(storage=tmp_path / "runs"), tmp_path / "runs" / "foreign" / "bench.json"
    assert find_imported(store, "quick") is None
    with pytest.raises(ValueError, match="'bensh' is unknown; did you mean 'bench'"):
        find_imported(store, "bensh")
    whole = json.loads(path.read_text())
    for damaged in ({}, {**whole, "runs": []}, {**whole, "runs": whole["runs"] * 2}, {**whole, "extra": 1}):
        path.write_text(json.dumps(damaged))
        with pytest.raises(ValueError, match=r"bench.json is no study that `import` wrote: .*import it again"):
            find_imported(store, "bench")
