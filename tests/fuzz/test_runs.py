"""Run folders as `train` and `import` meet them, the command line, and what comes back from a store."""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import strategies as st
from mutations import counts, mutated, mutated_json

import trainers.checkpoint
from ganablate.__main__ import main
from reports.latex import to_latex
from reports.markdown import to_markdown
from reports.results import Results
from reports.spreadsheet import to_csv
from reports.table import as_text
from reports.why import explain
from search.importing import import_runs
from search.plan import make_plan
from search.store import Store, queries
from search.store.database import StoredRun
from search.store.delivery import mlflow_metrics
from spaces import Study
from trainers.config import Config
from trainers.loop import train
from trainers.run_folder import open_run, read_run, record_provenance

pytestmark = pytest.mark.usefixtures("undrawn")
CONFIG = {
    "dataset": "ring8",
    "backbone": "mlp",
    "backbone_options": {"width": 8},
    "lr": 1e-3,
    "n_images": 512,
    "seed": 3,
}
ROWS = [
    {"images": n, "state": state, "energy_distance": 0.5, "modes": 8.0, "high_quality": 0.9, "fid": fid, "loss_d": 1.1}
    | {"seconds": 1.5, "eval_seconds": 0.1, "logged_at": 1.7e9}
    for n, state, fid in ((0, "running", 3.0), (256, "running", float("nan")), (512, "done", 2.0))
]
PROVENANCE = {"data_digest": "0" * 16, "torch": "2.14.1", "device": "x86_64", "code_version": "0.1-abc, 0.2"}


def run_folders():
    """(config.json, rows.jsonl, provenance.json), one of them changed, as values or as bytes."""
    whole = [json.dumps(CONFIG), "".join(json.dumps(row) + "\n" for row in ROWS), json.dumps(PROVENANCE)]
    contents = [text.encode() for text in whole]
    changed_rows = st.lists(mutated_json(ROWS), min_size=1, max_size=3).map(b"\n".join)
    changes = [mutated_json([CONFIG]), changed_rows, mutated_json([PROVENANCE])]

    def with_one(index):
        one = st.one_of(changes[index], changes[index], mutated([contents[index]]))
        return one.map(lambda content: [*contents[:index], content, *contents[index + 1 :]])

    return st.one_of(*map(with_one, range(3)))


def write(folder, contents):
    folder.mkdir(exist_ok=True)
    for name, content in zip(("config.json", "rows.jsonl", "provenance.json"), contents, strict=True):
        (folder / name).write_bytes(content)
    return folder


@contextlib.contextmanager
def told_shortly():
    try:
        yield
    except ValueError as error:
        if len(str(error)) > 2_000 or "is no run folder that can be read: " not in str(error):
            raise AssertionError from error
        raise


@counts(100, 5_000)
def test_run_folders(fuzz, n):
    def attempt(contents):
        folder = write(Path("run"), contents)
        with told_shortly():
            config, rows = read_run(folder)
        assert len(config.cell_key) == 16
        assert config.protocol
        for row in rows:  # as the command prints it and the store takes it
            seconds = row["seconds"] + row["eval_seconds"]
            print(f"{row['images']:>12,} images  {config.metric} {row[config.metric]:10.4f}  {seconds:8.1f} s")
            assert all(-(2**63) <= metric.timestamp < 2**63 for metric in mlflow_metrics(row))
        open_run(config, folder)
        record_provenance(folder, {"data_digest": "0" * 16}, {"torch": "2.14.1", "device": "x86_64"})

    assert fuzz(n, run_folders(), attempt)["works"] > n / 50


CHECKSUMS = hasattr(trainers.checkpoint, "save_checkpoint")


@pytest.mark.skipif(not CHECKSUMS, reason="checkpoints without a checksum: torch.load raises anything")
@counts(10, 500)
def test_checkpoints(fuzz, n, tiny_points):
    """Damaged, and made by someone who gave the damage its checksum."""
    from hashlib import sha256

    run = train(tiny_points, "run")
    next(run)
    run.close()
    path = Path("run", "checkpoint.pt")
    original = path.read_bytes()
    rows = Path("run", "rows.jsonl").read_bytes()

    def attempt(drawn):
        content, signed = drawn
        Path("run", "checkpoint_before.pt").unlink(missing_ok=True)
        Path("run", "rows.jsonl").write_bytes(rows)
        path.write_bytes(sha256(content[32:]).digest() + content[32:] if signed else content)
        again = train(tiny_points, "run")
        next(again)
        again.close()

    fuzz(n, st.tuples(mutated([original]), st.booleans()), attempt)


def test_what_is_in_a_run_folder_beside_its_files_is_not_copied(store, tmp_path, tiny_points):
    """Links may lead anywhere, and pipes and devices never end."""
    folder = tmp_path / "elsewhere" / "a"
    list(train(tiny_points, folder))
    (tmp_path / "secret").write_text("secret")
    (folder / "samples" / "link.png").symlink_to(tmp_path / "secret")
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    (taken,) = import_runs([folder], store)
    assert "(done)" in taken
    copy = next((store.storage / "trials").iterdir())
    left = {path.name for path in copy.rglob("*")}
    assert {"config.json", "rows.jsonl", "generator_final.pt"} <= left
    assert left.isdisjoint({"link.png", "zero", "loop", "pipe", "lock"})
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "rows.jsonl").write_text("")
    os.mkfifo(tmp_path / "b" / "config.json")
    with pytest.raises(ValueError, match="holds no run folder"):
        list(import_runs([tmp_path / "b"], store))


def test_importing_runs_no_code(store, tmp_path, tiny_points):
    """A config is data: what it names is not imported."""
    folder = tmp_path / "a"
    list(train(tiny_points, folder))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "backbone": "antigravity:build"}))
    list(import_runs([folder], store))
    assert "antigravity" not in sys.modules


WORDS = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
    st.text("\udc80\udcff/x", max_size=4),  # bytes that are not UTF-8, as Python gives them
    st.sampled_from(
        ["1e999", "nan", "-inf", "0", "1" * 30, "1" * 5_000, "[" * 20_000, "null", "true", "{}", "x" * 300]
    ),
    st.floats().map(repr),
    st.integers().map(str),
)
FIELDS = st.one_of(
    st.sampled_from([*Config.model_fields, "backbone_options.width", "backbone_options.", "self", "cls", ""]), WORDS
)
GOOD = st.sampled_from(["quick", "ring", "mine.py", "mine.py:s"])
NAMES = st.one_of(GOOD, GOOD, GOOD, GOOD, st.sampled_from(["mine.py:x", ".py", "a.py:", "../mine.py"]), WORDS)
URIS = ["http://[", "http://127.0.0.1:x", "sqlite:///", "sqlite:///a\n/b", "x:", "postgresql://u:p@127.0.0.1:9/x", ""]
OPTIONS = st.one_of(
    st.tuples(FIELDS, WORDS).map(lambda pair: ["--set", "=".join(pair)]),
    WORDS.map(lambda word: ["--set", word]),
    WORDS.map(lambda word: ["--budget", word]),
    WORDS.map(lambda word: ["--seeds", word]),
    WORDS.map(lambda word: ["--storage", word]),
    st.sampled_from(URIS).map(lambda uri: ["--tracking-uri", uri]),
    st.sampled_from([["--tiny"], ["--seeds", "2"], ["--budget", "0.5"], ["--set", "lr=1e-3"]]),
    WORDS.map(lambda word: [word]),
    st.just(["GAN"]),
)
COMMANDS = st.sampled_from([["plan"], ["plan", "--json"], ["plan", "--tiny"], ["why"], ["import"], []])


@counts(25, 2_000)
def test_the_command_line(fuzz, n, monkeypatch):
    Path("mine.py").write_text("from spaces import Study\ns = Study('s', 'digits_gan', rows={'a': {}})\n")
    monkeypatch.setenv("GANABLATE_CACHE", "cache")

    def attempt(arguments):
        monkeypatch.setattr(sys, "argv", ["ganablate", *arguments])
        monkeypatch.setattr(sys, "path", list(sys.path))
        told = io.TextIOWrapper(io.BytesIO(), errors="backslashreplace", encoding="utf-8")  # as stderr is
        said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(said), pytest.raises(SystemExit) as ended:
            main()
        told.flush()
        sentence = told.buffer.getvalue().decode()
        assert ended.value.code in (0, None, 2), (arguments, sentence)
        assert sentence.count("\n") <= 1, sentence
        assert sentence.replace("\n", "").isprintable(), sentence
        if ended.value.code == 2 and sentence:
            raise ValueError(sentence.strip())

    options = st.lists(OPTIONS, max_size=2).map(lambda parts: [word for part in parts for word in part])
    free = st.tuples(COMMANDS, NAMES, options).map(lambda parts: [*parts[0], parts[1], *parts[2]])
    plans = st.tuples(GOOD, options).map(lambda parts: ["plan", parts[0], *parts[1]])
    assert fuzz(n, plans, attempt)["works"] > 0
    fuzz(n, free, attempt)
    assert not [path for path in Path().rglob("*") if path.name not in ("mine.py", "__pycache__")]


def records(study):
    """A record a seed, and one of the tags or metrics of one of them changed."""
    originals = []
    for cell in study.cells():
        for seed in range(study.seeds):
            tags = {"cell_key": cell.config.cell_key, "study": "s", "row": cell.row, "column": "", "seed": str(seed)}
            tags |= {"state": "done", "protocol": "p", "code_version": "1", "data_digest": "d", "features_digest": "f"}
            metrics = {"images": 512.0, "seconds": 3.0, "eval_seconds": 1.0, "fid_final": 2.0, "evaluations": 3.0}
            originals.append(StoredRun(f"r{len(originals)}", "1", 5, 6, tags, metrics))

    @st.composite
    def changed(draw):
        held = [record._replace(tags=dict(record.tags), metrics=dict(record.metrics)) for record in originals]
        for _ in range(draw(st.integers(1, 2))):
            record = draw(st.sampled_from(held))
            kind = draw(st.sampled_from(["tag", "metric", "drop"]))
            if kind == "metric":
                odd = st.floats() | st.sampled_from([1e308, float("inf"), float("nan"), -1.0])
                record.metrics[draw(st.sampled_from([*record.metrics, "fid_best"]))] = draw(odd)
            elif kind == "drop":
                record.tags.pop(draw(st.sampled_from(list(record.tags))))
            else:
                text = st.text(max_size=6) | st.sampled_from(["", "-1", "1e9", "[/]", "=1+1", "\x1b[2J", "9" * 40])
                record.tags[draw(st.sampled_from([*record.tags, "trial", "error"]))] = draw(text)
        return held

    return changed()


@counts(20, 1_000)
def test_what_comes_back_from_a_store(fuzz, n, monkeypatch):
    study = Study("s", Config(n_images=512, n_coop=0), rows={"GAN": {}, "+ aw": {"aw": "normalized"}}, seeds=2)
    store = Store(storage=Path("runs"))

    def attempt(held):
        monkeypatch.setattr(
            queries, "_from_database", lambda store, read, *asked: held if read is queries.runs_from_database else []
        )
        json.dumps(make_plan(study, store).to_json())
        explain(study, store, "GAN")
        results = Results(study, store)
        text = as_text(results)
        assert to_markdown(text)
        assert to_latex(text, results)
        assert len(to_csv(results)) == 2

    fuzz(n, records(study), attempt)
    with pytest.raises(ValueError, match="whose id"):
        store.folder("../../x")


@pytest.mark.parametrize("width", [10**12, 2**62])
def test_networks_that_fit_in_no_memory(width, tiny_points):
    from trainers.data.load import load_dataset
    from trainers.state import build_networks

    config = tiny_points.replace(backbone_options={"width": width})
    with pytest.raises(ValueError, match="backbone 'mlp' cannot be made with"):
        build_networks(config, *load_dataset(config).form)
    assert torch.get_num_threads() == 1
