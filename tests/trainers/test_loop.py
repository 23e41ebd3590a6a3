"""Rows, checkpoints and resuming."""

import hashlib
import json
import math
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from forked import Forked
from PIL import Image

from trainers import loop
from trainers.config import Config
from trainers.data.load import load_dataset
from trainers.loop import dry_run, dry_runs, train, wanders
from trainers.names import BACKBONES
from trainers.state import State

TIMES = {"seconds", "eval_seconds", "logged_at"}


def numbers(rows):
    """Rows without their time fields."""
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def everything(**fields):
    """A Config with every moving part that a checkpoint must hold: 16 steps of which 4 are cooperative."""
    return Config(
        backbone_options={"width": 4, "latent": 8},
        batch_size=16,
        n_images=256,
        n_coop=64,
        eval_every=64,
        eval_samples=100,
        eta=0.1,
        aw="normalized",
        probe="unnormalized",
        r1_gamma=0.1,
        r1_interval=3,
        batch_size_g=12,
        spectral_norm="both",
        mirror=True,
        data_noise=0.01,
        zcr_d=0.2,
        zcr_g=0.02,
        ada="bgc",
        ada_images=1_000,
        ema_halflife=100,
        ema_ramp=0.5,
        ema_start=32,
        lr_decay="linear",
        **fields,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a whole run of everything(), and its rows."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, list(train(everything(), folder))


def test_rows_and_folder(tiny_images, tmp_path):
    rows = list(train(tiny_images, tmp_path))
    assert [row["images"] for row in rows] == [0, 48, 96]
    assert [row["state"] for row in rows] == ["running", "running", "done"]
    assert {"images", "seconds", "fid", "state", "logged_at"} <= rows[0].keys()
    assert not {"timestamp", "pid", "done", "config"} & rows[-1].keys()  # Ray's own names
    assert [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()] == rows
    assert Config(**json.loads((tmp_path / "config.json").read_text())) == tiny_images
    assert sorted(p.name for p in (tmp_path / "samples").iterdir()) == [f"{n:012d}.png" for n in (0, 48, 96)]
    kept = {p.name for p in tmp_path.iterdir()}
    assert "checkpoint.pt" not in kept  # a done run is small
    assert {"generator_best.pt", "generator_final.pt", "provenance.json"} <= kept


def test_an_ended_run_yields_its_rows_again_and_trains_nothing(tiny_points, tmp_path, monkeypatch):
    rows = list(train(tiny_points, tmp_path))
    monkeypatch.setattr("trainers.loop._evaluate", None)
    assert list(train(tiny_points, tmp_path)) == rows


def test_rows_are_on_disk_before_they_are_yielded(tiny_points, tmp_path):
    """A scheduler may end the run at any yield."""
    for seen, row in enumerate(train(tiny_points, tmp_path), start=1):
        lines = (tmp_path / "rows.jsonl").read_text().splitlines()
        assert json.loads(lines[-1]) == row
        assert len(lines) == seen
        assert (tmp_path / "checkpoint.pt").exists() == (row["state"] == "running")


@pytest.mark.long
@pytest.mark.parametrize("stop_after", [2, *(pytest.param(rows, marks=pytest.mark.slow) for rows in (1, 4))])
def test_a_run_ended_at_a_row_goes_on_bit_identically(stop_after, whole, tmp_path):
    config = everything()
    for _, _row in zip(range(stop_after), train(config, tmp_path / "parts"), strict=False):
        pass
    rows = list(train(config, tmp_path / "parts"))
    assert numbers(rows) == numbers(whole[1])
    for name in ("generator_best.pt", "generator_final.pt"):
        a, b = (torch.load(folder / name, weights_only=True) for folder in (whole[0], tmp_path / "parts"))
        assert all(torch.equal(a[key], b[key]) for key in a)


KILLED = """
import os, signal, sys
import trainers.loop as loop
from trainers.config import Config
step, left = loop.adversarial_step, [int(sys.argv[3])]
def dies(state):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(state)
loop.adversarial_step = dies
for row in loop.train(Config.model_validate_json(sys.argv[1]), sys.argv[2]):
    print(row["images"], flush=True)
"""


def train_in_a_process(config, folder, steps):
    """Train in a process of its own, which kills itself after so many adversarial steps."""
    done = Forked(KILLED, config.model_dump_json(), folder, steps)
    done.wait()
    return done


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """The folder of a whole run of everything() by a process of its own."""
    folder = tmp_path_factory.mktemp("fresh")
    done = train_in_a_process(everything(), folder, 10**6)
    assert done.stdout.split() == ["0", "64", "128", "192", "256"], done.stderr
    return folder


@pytest.mark.process
def test_a_run_killed_between_evaluations_goes_on_bit_identically(fresh, tmp_path):
    """SIGKILL after 6 adversarial steps, between the rows at 128 and 192; again after 5 more; then to the end."""
    config = everything()
    first = train_in_a_process(config, tmp_path / "killed", 6)
    assert (first.returncode, first.stdout.split()) == (-9, ["0", "64", "128"])
    second = train_in_a_process(config, tmp_path / "killed", 5)
    assert (second.returncode, second.stdout.split()) == (-9, ["0", "64", "128", "192"])
    third = train_in_a_process(config, tmp_path / "killed", 10**6)
    assert third.stdout.split() == ["0", "64", "128", "192", "256"], third.stderr
    rows = [[json.loads(x) for x in (folder / "rows.jsonl").open()] for folder in (fresh, tmp_path / "killed")]
    assert numbers(rows[0]) == numbers(rows[1])


@pytest.mark.process
def test_a_process_that_trained_before_gives_the_same_rows(fresh, tiny_images, tmp_path):
    """A worker that has trained other things, at other thread counts, gives what a fresh process gives."""
    list(train(tiny_images.replace(threads=2, seed=3), tmp_path / "before"))
    torch.randn(7)
    rows = list(train(everything(), tmp_path / "reused"))
    assert numbers(rows) == numbers(map(json.loads, (fresh / "rows.jsonl").open()))


def test_how_often_one_evaluates_changes_no_number(whole, tmp_path):
    rows = {row["images"]: row for row in numbers(whole[1])}
    for row in numbers(train(everything().replace(eval_every=128), tmp_path)):
        assert row == rows[row["images"]]


def test_a_probe_changes_no_number(whole, tmp_path):
    """Bit for bit: it draws from no stream, and leaves D's buffers and Adam's moments alone."""
    probed = numbers(whole[1])
    plain = numbers(train(everything().replace(probe="none"), tmp_path / "plain"))
    for row, expected in zip(probed, plain, strict=True):
        assert row.keys() >= expected.keys()
        assert all(
            row[key] == value for key, value in expected.items() if not key.startswith("aw_")
        )  # those are its own


def test_budgets_that_batches_do_not_divide(tiny_points, tmp_path):
    """A row stands at the first step that reaches its budget; a step is never cut."""
    rows = list(train(tiny_points.replace(n_images=200, eval_every=100), tmp_path))
    assert [row["images"] for row in rows] == [0, 128, 224]
    assert rows[-1]["state"] == "done"


@pytest.mark.parametrize("backbone", ["mlp", "dcgan"])
def test_an_absurd_learning_rate_diverges(backbone, tiny_points, tiny_images, tmp_path):
    """The run ends with a row of NaN metrics that says at which image, and stays ended."""
    config = (tiny_points if backbone == "mlp" else tiny_images).replace(lr=1e30, loss="wasserstein")
    rows = list(train(config, tmp_path))
    last = rows[-1]
    assert last["state"] == "diverged"
    assert 0 < last["images"] <= config.n_images
    assert all(math.isnan(last[key]) for key in config.metric_keys)
    assert len(rows) == 2
    assert numbers(train(config, tmp_path))[-1]["state"] == "diverged"


def test_a_mean_logit_beyond_the_bound_is_divergence(tiny_points, tmp_path, monkeypatch):
    monkeypatch.setattr("trainers.state.MAX_LOGIT", 1e-9)
    rows = list(train(tiny_points, tmp_path))
    assert (rows[-1]["state"], rows[-1]["images"]) == ("diverged", 32)


def test_a_folder_of_another_config_is_refused(tiny_points, tmp_path):
    next(iter(train(tiny_points, tmp_path)))
    with pytest.raises(ValueError, match="another config"):
        list(train(tiny_points.replace(seed=1), tmp_path))


def test_changed_data_are_refused(tiny_points, tmp_path):
    next(iter(train(tiny_points, tmp_path)))
    path = tmp_path / "provenance.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "data_digest": "0" * 16}))
    with pytest.raises(ValueError, match="data_digest"):
        list(train(tiny_points, tmp_path))


def test_a_checkpoint_decides_which_rows_count(tiny_points, tmp_path):
    """Killed between checkpoint and rows: the row is yielded from the checkpoint, and not made a second time."""
    run = train(tiny_points, tmp_path)
    first = next(run)
    rows_of_one = (tmp_path / "rows.jsonl").read_bytes()
    second = next(run)
    run.close()
    (tmp_path / "rows.jsonl").write_bytes(rows_of_one)
    rows = list(train(tiny_points, tmp_path))
    assert rows[:2] == [first, second]  # with their times
    assert [row["images"] for row in rows] == [0, 256, 512]
    assert [json.loads(line) for line in (tmp_path / "rows.jsonl").open()] == rows


def test_a_stopped_run_goes_on_from_the_very_step(whole, tmp_path):
    """stop() writes a checkpoint between two rows; what follows is bit-identical, and no step is repeated."""
    config = everything()
    steps = []
    parts = [
        list(train(config, tmp_path / "parts", stop=lambda: steps.append(0) or len(steps) % 6 == 0)) for _ in range(3)
    ]
    assert [len(rows) for rows in parts] == [2, 3, 4]
    rows = list(train(config, tmp_path / "parts", stop=lambda: steps.append(0) or False))
    assert numbers(rows) == numbers(whole[1])
    assert len(steps) == 16 + 3  # 16 steps, and three questions that were answered with yes


def test_statistics_forget_the_stage_that_is_over(tiny_points, tmp_path, monkeypatch):
    monkeypatch.setattr("trainers.state.Statistics.MEMORY", 10)
    rows = list(train(tiny_points.replace(n_coop=96), tmp_path))
    assert "loss_teaching" in rows[1]  # 5 steps after the switch
    assert "loss_teaching" not in rows[2]  # 13 steps after it
    assert "loss_g" in rows[2]


def test_code_versions_that_go_on_are_added(tiny_points, tmp_path, monkeypatch):
    next(iter(train(tiny_points, tmp_path)))
    monkeypatch.setattr("trainers.run_folder.code_version", lambda: "later")
    list(train(tiny_points, tmp_path))
    list(train(tiny_points, tmp_path))
    version = json.loads((tmp_path / "provenance.json").read_text())["code_version"]
    assert version.split(", ")[1:] == ["later"]


def test_a_second_process_waits_for_the_first(tiny_points, tmp_path, monkeypatch):
    monkeypatch.setattr("trainers.run_folder.LOCK_WAIT", 0.5)
    first = train(tiny_points, tmp_path)
    next(first)
    with pytest.raises(ValueError, match="another process"):
        next(train(tiny_points, tmp_path))
    first.close()
    assert len(list(train(tiny_points, tmp_path))) == 3


def test_check_finds_what_config_cannot_see(tiny_images):
    dry_run(tiny_images)
    with pytest.raises(ValueError, match="n_train"):
        dry_run(tiny_images.replace(n_train=10**6))
    with pytest.raises(ValueError, match="widht"):
        dry_run(tiny_images.replace(backbone_options={"widht": 3}))


def test_the_check_is_made_once_of_what_differs_in_rates_alone(tiny_points, monkeypatch):
    """A rate of 0 is another matter: it switches something off."""
    checked = []
    monkeypatch.setattr(loop, "dry_run", lambda config: checked.append(config) or {"of": str(len(checked))})
    base = tiny_points.replace(loss="hinge")
    same = [base, base.replace(lr=1e-3), base.replace(lr=2e-3, beta1=0.4)]
    others = [base.replace(r1_gamma=1.0), base.replace(n_critic=2), base.replace(backbone_options={"width": 4})]
    found = dry_runs([*same, *others])
    assert [config.cell_key for config in checked] == [config.cell_key for config in (base, *others)]
    assert [found[config.cell_key]["of"] for config in (*same, *others)] == ["1", "1", "1", "2", "3", "4"]


NETWORKS = """
import torch
from torch import nn
from trainers.networks.layers import Generator


class G(Generator):
    def __init__(self, shape):
        super().__init__(4)
        self.shape = shape
        self.layer = nn.Linear(4, 1)

    def forward(self, source, labels):
        return self.layer(source)[..., None, None].expand(-1, *self.shape)


class D(nn.Module):
    def __init__(self, flat):
        super().__init__()
        self.flat = flat
        self.layer = nn.Linear(1, 1)

    def forward(self, x, labels):
        logits = self.layer(x.flatten(1).mean(1, keepdim=True))
        return logits.mean() if self.flat else logits


def build(config, shape, n_classes, *, wrong: str = ""):
    if wrong == "build":
        return G(shape), D("x" + 1)
    if wrong == "pair":
        return G(shape)
    return G((3, 8, 8) if wrong == "shape" else 7 if wrong == "forward" else shape), D(wrong == "logits")
"""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("build", [r"backbone 'MODULE:build' raised TypeError: can only concatenate str", "(MODULE.py, line 30)"]),
        ("pair", ["backbone 'MODULE:build' should return (generator, discriminator)"]),
        ("forward", ["backbone 'MODULE:build' raised TypeError", "(MODULE.py, line 14)"]),
        ("shape", ["backbone 'MODULE:build'", "(2, 1, 16, 16)", "digits", "not (2, 3, 8, 8)"]),
        ("logits", ["backbone 'MODULE:build'", "2 as their first dimension", "not the shape ()"]),
        (3, ["backbone_options of 'MODULE:build'", "wrong", "3", "string"]),
    ],
)
def test_check_tells_what_is_wrong_with_a_users_networks(wrong, words, user_module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = user_module(NETWORKS)
    config = Config(backbone=f"{name}:build")
    digests = dry_run(config)
    assert digests.pop("own_code_digest") == hashlib.sha256(NETWORKS.encode()).hexdigest()[:16]
    assert digests == dry_run(Config())
    with pytest.raises(ValueError) as caught:
        dry_run(config.replace(backbone_options={"wrong": wrong}))
    text = str(caught.value)
    assert "\n" not in text
    assert all(word.replace("MODULE", name) in text for word in words), text


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        (
            "dataset",
            "def make():\n    return {}['faces']\n",
            ["dataset 'MODULE:make' raised KeyError: 'faces'", "line 2"],
        ),
        (
            "dataset",
            "import torch\nfrom trainers.data import Dataset\ndef make():\n"
            "    return Dataset(torch.zeros(3, 2), torch.zeros(3), 1)\n",
            ["dataset 'MODULE:make' raised ValueError: a data set's labels should be int64", "line 4"],
        ),
        ("features", "def make():\n    raise OSError\n", ["features 'MODULE:make' raised OSError (MODULE.py, line 2)"]),
        (
            "features",
            "from trainers.features import FeatureNet\ndef make():\n    return FeatureNet(lambda x: x.undone(), 'd')\n",
            ["features 'MODULE:make' raised ", "(MODULE.py, line 3)"],
        ),
    ],
)
def test_check_tells_where_a_users_data_and_features_fail(field, text, words, user_module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = user_module(text)
    with pytest.raises(ValueError) as caught:
        dry_run(Config(**{"features": "raw", field: f"{name}:make"}))
    assert "\n" not in str(caught.value)
    assert all(word.replace("MODULE", name) in str(caught.value) for word in words), caught.value


def test_check_refuses_features_that_do_not_fit_the_data(photos):
    config = Config(dataset=f"folder:{photos}", features="digits")
    with pytest.raises(ValueError, match="features = 'digits' needs grey images of 16x16"):
        dry_run(config)
    with pytest.raises(ValueError, match=r"power-of-two side from 16, not .3, 8, 8.; set resolution"):
        dry_run(config.replace(resolution=8))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, False),
        ({"ema_halflife": 20}, False),
        ({"ema_halflife": 96}, True),
        ({"ema_halflife": 96, "ema_ramp": 0.05}, False),
        ({"ema_halflife": 20, "ema_start": 80}, True),
    ],
)
def test_check_tells_of_an_average_that_is_still_untrained(tiny_images, caplog, fields, told):
    """What is scored after 96 images; in numbers: after one half-life, a half."""
    dry_run(tiny_images.replace(**fields))
    assert ("is the untrained generator; ema_ramp" in caplog.text) == told
    if fields == {"ema_halflife": 96}:
        assert "50% of the average that is scored is the untrained generator" in caplog.text


def test_check_changes_no_number(tiny_images, tmp_path):
    before = numbers(train(tiny_images, tmp_path / "before"))
    dry_run(tiny_images)
    assert numbers(train(tiny_images, tmp_path / "after")) == before


@pytest.mark.long
def test_a_folder_of_images_trains_and_goes_on_bit_identically(photos, tmp_path):
    config = everything(dataset=f"folder:{photos}", resolution=16, features="raw").replace(n_images=128, n_coop=32)
    whole = list(train(config, tmp_path / "whole"))
    assert whole[-1]["state"] == "done"
    for _, _row in zip(range(2), train(config, tmp_path / "parts"), strict=False):
        pass
    assert numbers(train(config, tmp_path / "parts")) == numbers(whole)
    picture = tmp_path / "whole" / "samples" / f"{128:012d}.png"
    with Image.open(picture) as image:
        assert image.mode == "RGB"


def test_a_changed_folder_is_refused_on_resume(photos, tmp_path):
    """By what the images hold, not by when they were written."""
    from trainers.data import load

    config = everything(dataset=f"folder:{photos}", features="raw")
    next(iter(train(config, tmp_path / "run")))
    (photos / "cat" / "01.png").touch()
    load._load.cache_clear()
    next(iter(train(config, tmp_path / "run")))
    (photos / "cat" / "01.png").unlink()
    load._load.cache_clear()
    with pytest.raises(ValueError, match="data_digest"):
        next(iter(train(config, tmp_path / "run")))


def test_a_conditional_grid_has_one_class_a_row(tmp_path, user_module):
    """Of a generator that paints its label, beside a plain one that does not know it."""
    name = user_module(
        "import torch\n"
        "from trainers.networks.mlp import build as mlp\n"
        "class Painter(torch.nn.Linear):\n"
        "    latent = 1\n"
        "    def sample_source(self, n, rng):\n"
        "        return torch.randn(n, 1, generator=rng)\n"
        "    def forward(self, source, labels):\n"
        "        grey = labels[:, None, None, None] / 9 * 2 - 1 + 0 * super().forward(source)[:, :, None, None]\n"
        "        return grey.expand(-1, 1, 16, 16)\n"
        "def build(config, shape, n_classes):\n"
        "    return Painter(1, 1), mlp(config, shape, n_classes)[1]\n"
    )
    config = Config(backbone=f"{name}:build", conditional=True, batch_size=8, n_images=8, eval_every=8, eval_samples=20)
    next(train(config, tmp_path))
    with Image.open(tmp_path / "samples" / f"{0:012d}.png") as image:
        assert image.size == (8 * 18 + 2, 10 * 18 + 2)
        rows = [[image.getpixel((10 + 18 * column, 10 + 18 * row))[0] for column in range(8)] for row in range(10)]
    assert rows == [[round(255 * row / 9)] * 8 for row in range(10)]


def test_the_grid_of_a_pair_shows_each_source_beside_its_translation(tmp_path):
    config = Config(dataset="digits_outlines", backbone="cut", backbone_options=BACKBONES["cut"].narrow, batch_size=8)
    next(train(config, tmp_path))
    sources = load_dataset(config).pair.test_sources
    with Image.open(tmp_path / "samples" / f"{0:012d}.png") as image:
        assert image.size == (8 * 18 + 2, 8 * 18 + 2)
        grid = torch.from_numpy(np.asarray(image)[:, :, 0].copy())
    for index in (0, 1, 31):
        top, left = 2 + 18 * (index // 4), 2 + 36 * (index % 4)
        assert torch.equal(grid[top : top + 16, left : left + 16], sources.examples[index, 0])
        assert not torch.equal(grid[top : top + 16, left + 18 : left + 34], sources.examples[index, 0])


def test_check_refuses_networks_that_translate_nothing_on_a_pair(user_module):
    """A user's own data set and networks, of which Config knows nothing."""
    data = user_module("from trainers.data.digits import digits_outlines as pair\n")
    nets = user_module("from trainers.networks.dcgan import build\n")
    config = Config(dataset=f"{data}:pair", backbone=f"{nets}:build", features="digits")
    with pytest.raises(ValueError, match=r"is a pair, .* not \(2, 100\)"):
        dry_run(config)
    dry_run(config.replace(backbone="cut", backbone_options=BACKBONES["cut"].narrow))


GOLDEN = {
    "points": {"loss_real": 0.696732, "loss_fake": 0.688643, "loss_g": 0.700518, "energy_distance": 0.350592},
    "images": {"loss_real": 0.650256, "loss_fake": 0.691734, "loss_g": 0.695469, "fid": 1474.22},
    "everything": {"loss_real": 0.540119, "loss_fake": 0.640350, "loss_g": 0.799063, "fid": 1192.04},
    "translation": {"loss_real": 0.451316, "loss_fake": 0.00012991, "loss_g": 0.473018, "fid": 386.190},
}


def translation():
    """CUT with CoopInit: 6 steps of which 2 are cooperative, PatchNCE in all of them."""
    return Config(
        dataset="digits_outlines",
        backbone="cut",
        backbone_options=BACKBONES["cut"].narrow,
        loss="least_squares",
        nce_weight=0.5,
        nce_patches=16,
        batch_size=8,
        n_images=48,
        n_coop=16,
        eval_every=24,
    )


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_losses(name, tiny_points, tiny_images, tmp_path):
    """A refactor leaves these as they are; a change of method moves them, and says so in the CHANGELOG."""
    config = {
        "points": tiny_points,
        "images": tiny_images,
        "everything": everything(),
        "translation": translation(),
    }[name]
    last = list(train(config, tmp_path))[-1]
    got = {key: last[key] for key in ("loss_real", "loss_fake", "loss_g", config.metric)}
    assert got == pytest.approx(GOLDEN[name], rel=1e-3)


def test_seconds_are_read_once_the_device_has_done_all(tiny_images, tmp_path, monkeypatch):
    """By a clock that stands still but for what the device still has to do."""
    clock = [0.0]
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: clock[0], time=time.time))
    monkeypatch.setattr(loop, "synchronize", lambda device: clock.append(clock.pop() + 1))
    assert [row["seconds"] for row in train(tiny_images, tmp_path)] == [1, 2, 3]


def test_chains_that_leave_the_data_twice_in_a_row_have_diverged(tiny_points):
    state = State(tiny_points, torch.device("cpu"))
    assert state.data.std == pytest.approx(0.707, abs=0.01)  # of a coordinate on the unit circle
    far, near = {"langevin_distance": 7.2}, {"langevin_distance": 7.0}
    for before, now, expected in (([far], far, True), ([far], near, False), ([near], far, False), ([], far, False)):
        state.statistics = SimpleNamespace(means=lambda now=now: now)
        assert wanders(state, before) == expected
    state.statistics = SimpleNamespace(means=dict)  # in the adversarial stage there are none
    assert not wanders(state, [far])


def test_a_run_whose_chains_wander_ends(tiny_points, tmp_path, monkeypatch):
    config = tiny_points.replace(n_coop=512, eval_every=128)
    monkeypatch.setattr("trainers.loop.WANDERED", 1e-6)
    rows = list(train(config, tmp_path))
    assert [row["state"] for row in rows] == ["running", "running", "diverged"]
    assert math.isnan(rows[-1]["energy_distance"])
    assert rows[-1]["langevin_distance"] > 0
