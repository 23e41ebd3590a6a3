"""Kept generators give the numbers that training by another protocol would have given, once."""

import json
import math
import shutil

import pytest
import torch

from trainers import scoring
from trainers.data.load import load_dataset
from trainers.loop import train
from trainers.metrics.evaluate import generate
from trainers.names import metric_named
from trainers.run_folder import FORM, generator_path, read_evaluations
from trainers.score_request import (
    SCORES_FILE,
    ScoreRequest,
    StoredScore,
    name_pattern,
    own_modules,
    read_scores,
    requested,
    write_scores,
)
from trainers.scoring import load_generator, score


@pytest.fixture
def run(tiny_images, trained, tmp_path):
    """A done run on digits, of which a test may change the folder."""
    config = tiny_images.replace(ema_halflife=8.0, coop="init", n_coop=32, lr=0.1)
    return config, shutil.copytree(trained(config), tmp_path / "run")


def value(config, folder, **asked):
    (found,) = score(config, folder, ScoreRequest(**{"features": "raw", "scores": ("fid",), **asked}))
    return found.value


def test_the_last_generator_scores_as_training_by_that_protocol(run, tmp_path):
    """Bit for bit, of the average and on the seed's own latents; and by the run's own protocol as it did."""
    config, folder = run
    *_, last = train(config.replace(features="raw", eval_samples=300), tmp_path / "other")
    assert value(config, folder, samples=300) == last["fid"]
    assert value(config, folder, features="digits") == read_evaluations(folder)[-1]["fid"]


def test_the_best_generator_is_that_of_the_best_evaluation(run):
    config, folder = run
    fids = [row["fid"] for row in read_evaluations(folder)]
    assert min(fids) < fids[-1]
    assert value(config, folder, features="digits", which="best") == min(fids)
    assert value(config, folder, which="best") != value(config, folder)


def test_what_is_scored_is_not_scored_again(run, monkeypatch):
    config, folder = run
    both = ScoreRequest("raw", ("fid", "kid"))
    first = score(config, folder, both._replace(scores=("fid",)))
    kept = (folder / SCORES_FILE).read_bytes()
    asked = []
    evaluate = scoring.evaluate
    monkeypatch.setattr(scoring, "evaluate", lambda *a: asked.append(a[-1]) or evaluate(*a))
    (kid,) = score(config, folder, both)
    assert asked == [["kid"]]
    assert score(config, folder, both) == []
    assert asked == [["kid"]]
    assert read_scores(folder) == [*first, kid]
    assert (folder / SCORES_FILE).read_bytes().startswith(kept)
    assert score(config, folder, both._replace(samples=100))[0].protocol != first[0].protocol


def test_an_interruption_leaves_no_half_line(run, monkeypatch):
    config, folder = run
    score(config, folder, ScoreRequest("raw", ("fid",)))
    before = (folder / SCORES_FILE).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("trainers.files.os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()), raising=False)
        patch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            score(config, folder, ScoreRequest("raw", ("kid",)))
    assert (folder / SCORES_FILE).read_bytes() == before


def test_a_generator_loads_without_its_data(run, monkeypatch):
    folder = run[1]
    expected = load_generator(folder)
    monkeypatch.setattr(scoring, "load_dataset", lambda _: pytest.fail("the data were read"))
    generator = load_generator(folder, "best")
    source = generator.sample_source(3, torch.Generator().manual_seed(0))
    assert generator.eval()(source, torch.zeros(3, dtype=torch.int64)).shape == (3, 1, 16, 16)
    monkeypatch.undo()
    (folder / FORM).unlink()  # as earlier versions left it
    again = load_generator(folder)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), expected.parameters(), strict=True))
    assert {tensor.device.type for tensor in torch.load(generator_path(folder, "final")).values()} == {"cpu"}


def test_features_that_are_not_finite_are_a_value(run, user_module):
    name = user_module(
        "import torch\nfrom trainers.features import FeatureNet\n"
        "LEVELS = torch.arange(256).float() / 127.5 - 1\n"
        "def extract(x):\n    return x.flatten(1)[:, :9].where(torch.isin(x, LEVELS).all(), float('nan'))\n"
        "def net():\n    return FeatureNet(extract, 'd')\n"
    )
    config, folder = run
    request = ScoreRequest(f"{name}:net", ("fid", "kid"))
    assert [math.isnan(each.value) for each in score(config, folder, request)] == [True, True]
    assert score(config, folder, request) == []
    assert [math.isnan(each.value) for each in read_scores(folder)] == [True, True]


def damaged(folder, name, content):
    (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: generator_path(folder, "final").unlink(), "keeps no generator_final.pt"),
        (lambda folder: damaged(folder, "generator_final.pt", b"none"), "holds no generator of this run"),
        (lambda folder: damaged(folder, FORM, b'{"shape": [1, "a"], "n_classes": 10}'), "data.json"),
        (lambda folder: damaged(folder, FORM, b'{"shape": [1, 32, 32], "n_classes": 10}'), "holds no generator"),
        (
            lambda folder: damaged(folder, SCORES_FILE, b'{"metric": "fid"}\n'),
            r"scores.jsonl, line 1: which is missing",
        ),
        (lambda folder: damaged(folder, SCORES_FILE, b"\xff\n"), r"scores.jsonl, line 1"),
        (lambda folder: damaged(folder, "provenance.json", b'{"data_digest": "0123"}'), "the data changed"),
    ],
)
def test_what_cannot_be_scored_is_a_sentence_and_writes_nothing(run, change, told):
    config, folder = run
    change(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}
    with pytest.raises(ValueError, match=told) as error:
        value(config, folder)
    assert "\n" not in str(error.value)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}
    assert after == before


def test_a_folder_of_another_run_is_refused(run, tiny_images):
    _, folder = run
    with pytest.raises(ValueError, match="another config"):
        value(tiny_images, folder)


def test_the_first_of_two_scores_of_one_identity_stays(tmp_path):
    one = StoredScore(
        metric="fid", which="final", features="raw", protocol="p", weights="w", value=1.0, seconds=0.1, logged_at=1e9
    )
    other = one.model_copy(update={"value": 2.0})
    write_scores(tmp_path, [one, other, one.model_copy(update={"which": "best"})])
    assert [(each.which, each.value) for each in read_scores(tmp_path)] == [("final", 1.0), ("best", 1.0)]
    assert json.loads((tmp_path / SCORES_FILE).read_text().splitlines()[0])["metric"] == "fid"


OWN = """
from trainers.names import Score

mean = Score("mean pixel", True, 3, f"{__name__}:measured", takes="samples")
spread = Score("spread", True, 3, f"{__name__}:measured", takes="samples")
absent = Score("absent", True, 3, f"{__name__}:measured", takes="samples")
raising = Score("raising", True, 3, f"{__name__}:raises")
of_state = Score("of D", True, 3, f"{__name__}:measured", takes="state")
scaled = Score("scaled", True, 3, f"{__name__}:measured", scale="percent")
number = 3

def measured(sampled):
    return {"mean": sampled.samples.mean().item(), "spread": sampled.samples.std().item()}

def raises(sampled):
    return 1 / 0
"""


def test_a_score_of_ones_own_is_of_the_same_samples(run, user_module):
    config, folder = run
    module = user_module(OWN)
    request = requested("raw", f"{module}:mean,fid,{module}:spread", 50, "final")
    assert own_modules([request]) == [f"{module}:{name}" for name in ("mean", "measured", "spread")]
    mean, fid, spread = score(config, folder, request)
    config = config.acting().replace(eval_samples=50)
    data, generator = load_dataset(config), load_generator(folder)
    with torch.no_grad():
        samples = torch.cat(list(generate(config, data, generator, torch.device("cpu"), 50)))
    assert (mean.value, spread.value) == (samples.mean().item(), samples.std().item())
    assert score(run[0], folder, request) == []
    assert fid.metric == "fid"
    assert name_pattern("raw", mean.metric, "final").fullmatch(mean.name)
    assert metric_named(f"{module}:mean_best@raw").label == "mean pixel on raw of the best generator"


def test_changed_code_of_a_score_is_another_protocol(run, user_module, tmp_path):
    config, folder = run
    module = user_module(OWN)
    request = requested("raw", f"{module}:mean", 50, "final")
    (first,) = score(config, folder, request)
    path = tmp_path / f"{module}.py"
    path.write_text(path.read_text() + "# changed")
    (second,) = score(config, folder, request)
    assert first.protocol != second.protocol
    assert first.name != second.name
    assert first.protocol.rpartition(" ")[0] == second.protocol.rpartition(" ")[0]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone", "has no attribute 'gone'"),
        ("number", "should be a Score, not a int"),
        ("of_state", "should be a Score whose compute is module:function"),
        ("scaled", "scale ratio or difference or event"),
    ],
)
def test_what_is_no_score_is_told_when_it_is_named(user_module, name, words):
    with pytest.raises(ValueError, match=words):
        metric_named(f"{user_module(OWN)}:{name}@raw")


@pytest.mark.parametrize(
    ("name", "words"), [("absent", "should return {'absent': a number}, not {'mean'"), ("raising", "ZeroDivisionError")]
)
def test_a_score_of_ones_own_that_fails_leaves_nothing(run, user_module, name, words):
    config, folder = run
    with pytest.raises(ValueError, match=words):
        score(config, folder, requested("raw", f"fid,{user_module(OWN)}:{name}", 50, "final"))
    assert not (folder / SCORES_FILE).exists()
