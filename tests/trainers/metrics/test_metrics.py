"""Distances against closed forms and reference implementations."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from forked import two_at_once
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from trainers.config import Config
from trainers.data.load import load_dataset
from trainers.data.points import grid25, ring8
from trainers.features import FeatureNet, load_features
from trainers.metrics.evaluate import evaluate, generate
from trainers.metrics.frechet import Moments, frechet_distance, symmetric_root
from trainers.metrics.inception import inception_score, kid
from trainers.metrics.points import energy_distance, mode_shares
from trainers.metrics.reference import Reference
from trainers.metrics.reference import reference as real_reference
from trainers.metrics.sampled import Rows, Sampled
from trainers.names import FEATURES
from trainers.state import State

CPU = torch.device("cpu")


def sample(seed, n, d, rank=None):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, rank or d, generator=rng, dtype=torch.float64)
    return x @ torch.randn(rank or d, d, generator=rng, dtype=torch.float64) + torch.randn(d, generator=rng)


def moments(x):
    return x.mean(0), torch.cov(x.T)


@pytest.mark.parametrize("d", [1, 2, 10])
def test_frechet_of_commuting_gaussians(d):
    """Closed form for covariances that commute: |m1 - m2|^2 + sum (s1 - s2)^2."""
    rng = torch.Generator().manual_seed(d)
    basis = torch.linalg.qr(torch.randn(d, d, generator=rng, dtype=torch.float64))[0]
    s1, s2 = torch.rand(2, d, generator=rng, dtype=torch.float64) + 0.1
    m1, m2 = torch.randn(2, d, generator=rng, dtype=torch.float64)
    cov1, cov2 = (basis @ torch.diag(s**2) @ basis.T for s in (s1, s2))
    expected = float((m1 - m2).square().sum() + (s1 - s2).square().sum())
    assert frechet_distance(m1, cov1, m2, cov2) == pytest.approx(expected, rel=1e-9)


def test_frechet_of_singular_covariances():
    """Ranks 1 and 2 in 4 dimensions, commuting: zeros of the spectrum included."""
    zero = torch.zeros(4, dtype=torch.float64)
    cov1 = torch.diag(torch.tensor([4.0, 0, 0, 0], dtype=torch.float64))
    cov2 = torch.diag(torch.tensor([1.0, 9, 0, 0], dtype=torch.float64))
    assert frechet_distance(zero, cov1, zero, cov2) == pytest.approx(1 + 9)
    assert frechet_distance(zero, cov1, zero, cov1) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(zero + 1, 0 * cov1, zero, 0 * cov1) == pytest.approx(4)


def reference_fid(x, y):
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    statistics = [fid_features_to_statistics(features) for features in (x, y)]
    return fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


@pytest.mark.parametrize(("n", "d", "rank"), [(500, 16, None), (40, 64, None), (300, 32, 5)])
def test_frechet_equals_torch_fidelity(n, d, rank):
    """Also with n < d and with features of low rank."""
    x, y = sample(1, n, d, rank), sample(2, n + 7, d, rank)
    assert frechet_distance(*moments(x), *moments(y)) == pytest.approx(reference_fid(x, y), rel=1e-6)


@given(st.integers(0, 1000), st.integers(1, 8), st.integers(2, 40))
def test_frechet_properties(seed, d, n):
    """Symmetric, zero on equals, not below zero; a root at hand changes nothing; d may exceed n."""
    x, y = moments(sample(seed, n, d)), moments(sample(seed + 1, n, d))
    x, y = ((m, c.reshape(d, d)) for m, c in (x, y))
    there, back = frechet_distance(*x, *y), frechet_distance(*y, *x)
    scale = 1 + float(x[1].trace() + y[1].trace())
    assert there == pytest.approx(back, abs=1e-7 * scale)
    assert there > -1e-7 * scale
    assert frechet_distance(*x, *x) == pytest.approx(0, abs=1e-7 * scale)
    assert frechet_distance(*x, *y, root1=symmetric_root(x[1])) == there


def test_moments_stream():
    """Any split into batches gives torch's mean and covariance, far from zero too."""
    x = sample(3, 1000, 6) + 1e4
    streamed = Moments()
    for part in x.split([1, 2, 500, 497]):
        streamed.update(part)
    mean, covariance = moments(x)
    assert torch.allclose(streamed.mean, mean, rtol=1e-12)
    assert torch.allclose(streamed.covariance, covariance, rtol=1e-9)


def test_energy_distance_equals_scipy_on_a_line():
    x, y = sample(4, 700, 1)[:, 0], sample(5, 900, 1)[:, 0]
    ours = energy_distance(*(torch.stack([v, torch.zeros_like(v)], dim=1) for v in (x, y)))
    assert ours == pytest.approx(stats.energy_distance(x, y), rel=1e-9)


def test_energy_distance_sees_what_frechet_does_not():
    """Half of the ring's modes, opposite ones, have the ring's mean and covariance, but not its distribution."""
    data = ring8()
    x = data.examples[data.labels % 2 == 0][:4000]
    y = data.examples[:4000]
    assert frechet_distance(*moments(x.double()), *moments(y.double())) < 1e-3
    assert energy_distance(x, y) > 5 * energy_distance(data.examples[4000:8000], y)


@pytest.mark.parametrize("data", [ring8(), grid25(), ring8(radius=2.0, std=0.02)], ids=["ring8", "grid25", "radius 2"])
def test_real_points_cover_all_modes(data):
    shares = mode_shares(data.fresh(10_000, torch.Generator().manual_seed(0)), data.modes, 10 * data.mode_std)
    assert torch.allclose(shares, torch.full_like(shares, 1 / len(shares)), atol=0.02)
    assert float(shares.sum()) == pytest.approx(1)
    gaps = torch.cdist(data.modes, data.modes) + 1e9 * torch.eye(len(data.modes))
    assert float(gaps.min()) > 2 * 10 * data.mode_std  # no point is near two modes


def test_mode_shares_by_hand():
    modes = torch.tensor([[0.0, 0.0], [5.0, 0.0]])
    points = torch.tensor([[0.0, 0.5], [0.0, 1.5], [5.0, -1.0], [9.0, 9.0]])
    assert mode_shares(points, modes, 1.0).tolist() == [0.25, 0.25]


def test_evaluation_depends_on_weights_and_seed_alone(tiny_points):
    state = State(tiny_points, CPU)
    first = evaluate(state.config, state.data, state.generator, CPU)
    torch.randn(5)
    state.real_batch()
    assert evaluate(state.config, state.data, state.generator, CPU) == first
    assert first.keys() == {"fid", "energy_distance", "modes", "high_quality", "all_modes"}
    assert state.generator.training


def test_a_perfect_generator_scores_near_zero(tiny_points):
    """The real distribution itself: FID about 0, all modes, all samples of high quality."""
    state = State(tiny_points.replace(eval_samples=10_000), CPU)
    state.generator.forward = lambda source, labels: state.data.fresh(
        len(source), torch.Generator().manual_seed(int(source[0, 0] * 1e6))
    )
    values = evaluate(state.config, state.data, state.generator, CPU)
    assert values["fid"] < 1e-3
    assert values["energy_distance"] < 0.05
    assert (values["modes"], values["all_modes"]) == (8, 1)
    assert values["high_quality"] == pytest.approx(1)


def test_digits_floor(tiny_images):
    """Real digits replayed score 0; noise scores far away."""
    state = State(tiny_images.replace(eval_samples=1797), CPU)
    shown = iter(torch.arange(1797).split(500))
    state.generator.forward = lambda source, labels: state.data.scaled(next(shown))
    assert evaluate(state.config, state.data, state.generator, CPU)["fid"] == pytest.approx(0, abs=1e-6)
    noise = State(tiny_images, CPU)
    assert evaluate(noise.config, noise.data, noise.generator, CPU)["fid"] > 500


def test_a_pair_is_scored_by_the_translations_of_test_a_against_test_b():
    """Of a generator that changes nothing: the Frechet distance of test A to test B, each image once."""
    config = Config(dataset="digits_outlines", backbone="cut", nce_patches=8)
    data = load_dataset(config)

    class Nothing(nn.Module):
        def forward(self, source, labels):
            return source

    extract = load_features("digits").extract
    (mean, cov), target = (moments(extract(part.scaled(torch.arange(400))).double()) for part in data.pair[1:])
    got = evaluate(config, data, Nothing(), CPU)["fid"]
    assert got == pytest.approx(frechet_distance(*target, mean, cov))
    few = torch.cat(list(generate(config, data, Nothing(), CPU, 405)))
    assert torch.equal(few[400:], few[:5])
    half = evaluate(config.replace(eval_samples=200), data, Nothing(), CPU)["fid"]
    assert half != got
    assert half == pytest.approx(got, rel=0.2)


def test_generate_gives_the_asked_number(tiny_images):
    state = State(tiny_images, CPU)
    batches = list(generate(state.config, state.data, state.generator, CPU, 1234))
    assert [len(batch) for batch in batches] == [500, 500, 234]
    assert not math.isnan(float(torch.cat(batches).sum()))


def test_large_images_are_generated_in_parts_of_a_batch(tiny_images, monkeypatch):
    """Of the same latents and labels."""
    state = State(tiny_images, CPU)
    whole = torch.cat(list(generate(state.config, state.data, state.generator, CPU, 520)))
    sizes = []
    state.generator.register_forward_hook(lambda net, inputs, samples: sizes.append(len(samples)))
    monkeypatch.setattr("trainers.metrics.evaluate.PIXELS", 300 * 16 * 16)
    parts = list(generate(state.config, state.data, state.generator, CPU, 520))
    assert [len(batch) for batch in parts] == [500, 20]
    assert sizes == [300, 200, 20]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-5)


def test_rows_are_the_parts_in_order_held_once():
    parts = sample(11, 7, 3).float().split([3, 3, 1])
    rows = Rows(7)
    assert len(rows.rows) == 0
    rows.add(parts[0])
    place = rows.rows.data_ptr()
    for part in parts[1:]:
        rows.add(part)
    assert torch.equal(rows.rows, torch.cat(parts))
    assert rows.rows.data_ptr() == place


def cubic_mmd(x, y):
    """The unbiased squared MMD of the kernel (x.y / d + 1)^3 (Binkowski et al. 2018), pair by pair."""

    def mean(a, b, same):
        kernel = (a @ b.T / a.shape[1] + 1) ** 3
        return float((kernel.sum() - kernel.trace()) / (len(a) * (len(a) - 1)) if same else kernel.mean())

    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


@pytest.fixture
def few_subsets(monkeypatch):
    """A thousandth of the work of a KID."""
    monkeypatch.setattr("trainers.metrics.inception.KID_SUBSETS", 10)
    monkeypatch.setattr("trainers.metrics.inception.KID_SUBSET", 100)


def sure(features):
    """Logits of a classifier that is sure of the largest feature."""
    return 50 * features


def inception_metrics(fake, real, logits=sure):
    """Of a classifier that is sure, or another."""
    reference = Reference(None, None, None, real, torch.arange(len(real)))
    sampled = Sampled(None, FeatureNet(sure, "d", logits=logits), reference, None, fake, None)
    return inception_score(sampled) | kid(sampled)


@pytest.mark.usefixtures("few_subsets")
def test_kid_is_the_unbiased_mmd_of_the_cubic_kernel():
    """With no more features than a subset holds, every subset is all of them; and as many as the smaller side has."""
    x, y = sample(6, 40, 8), sample(7, 40, 8)
    values = inception_metrics(x, y)
    assert values["kid"] == pytest.approx(cubic_mmd(x, y), rel=1e-9)
    assert values["kid_std"] == pytest.approx(0, abs=1e-9 * values["kid"])
    uneven = inception_metrics(x, sample(7, 60, 8))
    assert uneven["kid"] == pytest.approx(values["kid"], rel=0.3)
    assert uneven["kid_std"] > 1e-3 * uneven["kid"]


@pytest.mark.usefixtures("few_subsets")
@pytest.mark.parametrize(("n_fake", "n_real"), [(330, 250), (90, 130)])
def test_inception_rows_of_features_equal_torch_fidelity(n_fake, n_real):
    """Of the same parts and subsets: sides of two lengths, parts that are not of one, in 32 bits as nets give them."""
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    fake, real = sample(9, n_fake, 24).float(), 1.3 * sample(10, n_real, 24).float()
    size = min(100, n_fake, n_real)
    distance = kid_features_to_metric(fake, real, kid_subsets=10, kid_subset_size=size, verbose=False)
    score = isc_features_to_metric(sure(fake / 100), splits=10)
    values = inception_metrics(fake, real, lambda features: sure(features / 100))
    assert values["kid"] == pytest.approx(distance["kernel_inception_distance_mean"], rel=1e-4)
    assert values["kid_std"] == pytest.approx(distance["kernel_inception_distance_std"], rel=1e-4)
    assert values["inception_score"] == pytest.approx(score["inception_score_mean"], rel=1e-9)
    assert values["inception_score_std"] == pytest.approx(score["inception_score_std"], rel=1e-7)


@pytest.mark.usefixtures("few_subsets")
def test_kid_of_equal_distributions_is_about_zero():
    x = torch.randn(3_000, 5, generator=torch.Generator().manual_seed(8))
    same, other = (inception_metrics(x[:1_500], x[1_500:] + shift) for shift in (0, 1))
    assert abs(same["kid"]) < 2 * same["kid_std"]
    assert other["kid"] > 3 * other["kid_std"]


@pytest.mark.usefixtures("few_subsets")
@pytest.mark.parametrize("classes", [1, 4])
def test_inception_score_counts_classes(classes):
    """Of samples that are each sure of one of k equally frequent classes: k (Salimans et al. 2016)."""
    x = 20 * torch.eye(4)[:classes].repeat(1_000, 1)  # so sure that the others have no chance in 64 bits
    values = inception_metrics(x, x)
    assert values["inception_score"] == pytest.approx(classes, rel=0.01)
    assert values["inception_score_std"] < 0.05


class Pixels(torch.utils.data.Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]


def low_rank_frechet(x, y):
    """Of the moments of fewer samples than dimensions: tr (S1 S2)^(1/2) is the nuclear norm of their cross product."""
    a, b = ((v - v.mean(0)) / (len(v) - 1) ** 0.5 for v in (x, y))
    cross = torch.linalg.matrix_norm(a @ b.T, "nuc")
    return float((x.mean(0) - y.mean(0)).square().sum() + a.square().sum() + b.square().sum() - 2 * cross)


@pytest.mark.slow
def test_inception_rows_equal_torch_fidelity(inception, inception_weights, photos):
    """IS and KID are those of its calculate_metrics on the same images in 8 bits, and FID is that of its features."""
    from torch_fidelity import FeatureExtractorInceptionV3, calculate_metrics

    config = Config(dataset=f"folder:{photos}", features="inception", backbone_options={"width": 4}, eval_samples=15)
    state = State(config, CPU)
    (samples,) = generate(config, state.data, state.generator, CPU, 15)
    real, fake = state.data.examples, ((samples + 1) * 127.5).round().to(torch.uint8)
    got = evaluate(config, state.data, state.generator, CPU)
    options = {"isc": True, "kid": True, "kid_subset_size": 12, "cuda": False, "save_cpu_ram": True, "verbose": False}
    weights = {"feature_extractor_weights_path": str(inception_weights)}
    expected = calculate_metrics(input1=Pixels(fake), input2=Pixels(real), **options, **weights)
    net = FeatureExtractorInceptionV3("i", ["2048"], **weights)
    names = ("inception_score_mean", "inception_score_std", "kernel_inception_distance_mean")
    assert tuple(got) == config.metric_keys
    assert got["fid"] == pytest.approx(low_rank_frechet(*(net(x)[0].double() for x in (fake, real))), rel=1e-5)
    for key, name in zip(("inception_score", "inception_score_std", "kid"), names, strict=True):
        assert got[key] == pytest.approx(expected[name], rel=1e-4), key


@pytest.mark.slow
def test_samples_that_are_not_numbers_have_no_score(inception, photos):
    """Though 8-bit images of them would."""
    config = Config(dataset=f"folder:{photos}", features="inception", backbone_options={"width": 4}, eval_samples=10)
    state = State(config, CPU)
    state.generator.forward = lambda source, labels: torch.full((len(source), 3, 16, 16), math.nan)
    values = evaluate(config, state.data, state.generator, CPU)
    assert tuple(values) == config.metric_keys
    assert all(map(math.isnan, values.values()))


SLOW = """
import torch
from trainers.features import FeatureNet

calls = []

def net():
    def extract(x):
        calls.append(len(x))
        print("extract", len(x))
        return x.flatten(1)[:, :5]
    return FeatureNet(extract, "{digest}", slow={slow})
"""


@pytest.fixture
def slow_net(user_module):
    """Makes a module with a feature net that counts its calls; returns the net's name and the list of calls."""

    def make(slow=True, digest="d1"):
        name = user_module(SLOW.format(slow=slow, digest=digest))
        return f"{name}:net", __import__(name).calls

    return make


def reference(config):
    """The real statistics as a fresh process would have them."""

    real_reference.cache_clear()
    return real_reference(load_dataset(config), config.feature_net, CPU, torch.get_num_threads())


def test_statistics_of_a_slow_net_are_taken_once(photos, slow_net, cache):
    name, calls = slow_net()
    config = Config(dataset=f"folder:{photos}", features=name)
    first, second = reference(config), reference(config)
    assert calls == [12]
    assert all(torch.equal(a, b) for a, b in zip(first[:3], second[:3], strict=True))
    assert len(first.features) == len(second.features) == 0
    (path,) = (cache / "statistics").iterdir()
    with np.load(path, allow_pickle=False) as stored:
        assert {n: stored[n].dtype for n in stored.files} == {"mean": np.float64, "covariance": np.float64}
    x = load_dataset(config).scaled(torch.arange(12)).flatten(1)[:, :5].double()
    assert torch.allclose(first.mean, x.mean(0))
    assert torch.allclose(first.covariance, torch.cov(x.T))
    assert torch.allclose(first.root @ first.root, first.covariance)


def test_real_features_of_a_kid_are_kept_with_the_moments(photos, slow_net, cache, monkeypatch):
    """Those of the same few examples for all runs, in a file of plain arrays."""
    name, calls = slow_net()
    monkeypatch.setattr("trainers.metrics.reference.KID_REAL", 5)
    monkeypatch.setitem(FEATURES, name, FEATURES["inception"]._replace(build=name))
    config = Config(dataset=f"folder:{photos}", features=name)
    first, second = reference(config), reference(config.replace(seed=3))
    assert calls == [12]
    assert torch.equal(first.features, second.features)
    (path,) = (cache / "statistics").iterdir()
    with np.load(path, allow_pickle=False) as stored:
        assert sorted(stored.files) == ["covariance", "features", "mean"]
    every = load_dataset(config).scaled(torch.arange(12)).flatten(1)[:, :5]
    assert torch.equal(first.features, every[[0, 6, 7, 8, 10]])


def test_statistics_belong_to_data_net_and_threads(photos, slow_net, cache, picture):
    name, calls = slow_net()
    config = Config(dataset=f"folder:{photos}", features=name)
    reference(config)
    reference(config.replace(resolution=8))
    reference(config.replace(features=slow_net()[0]))
    torch.set_num_threads(2)
    reference(config)
    torch.set_num_threads(1)
    assert len(list((cache / "statistics").iterdir())) == 4
    reference(config.replace(dataset=f"folder:{photos}/../photos"))  # equal content
    assert len(list((cache / "statistics").iterdir())) == 4
    assert calls == [12] * 3


def test_a_quick_net_and_embedded_data_need_no_cache_folder(photos, slow_net, cache, tiny_images, tiny_points):
    for config in (tiny_images, tiny_points):
        state = State(config, CPU)
        evaluate(config, state.data, state.generator, CPU)
    assert not cache.exists()
    name, calls = slow_net(slow=False)
    for _ in range(2):
        reference(Config(dataset=f"folder:{photos}", features=name))
    assert calls == [12, 12]
    assert not (cache / "statistics").exists()


def test_a_net_that_fails_leaves_nothing(photos, user_module, cache):
    name = user_module(
        "from trainers.features import FeatureNet\n"
        "def net():\n    return FeatureNet(lambda x: x.no_such_method(), 'd', slow=True)\n"
    )
    with pytest.raises(AttributeError):
        reference(Config(dataset=f"folder:{photos}", features=f"{name}:net"))
    assert not list((cache / "statistics").iterdir())


TWO = """
import sys, torch
sys.path.append(sys.argv[3])
torch.set_num_threads(1)
from trainers.config import Config
from trainers.data import load_dataset
from trainers.metrics.reference import reference
config = Config(dataset=sys.argv[1], features=sys.argv[2])
data = load_dataset(config)
meet()
print(reference(data, config.feature_net, torch.device("cpu"), 1).mean.tolist())
"""


@pytest.mark.process
def test_two_processes_at_once_take_the_statistics_once(photos, slow_net):
    config = Config(dataset=f"folder:{photos}", features=slow_net()[0])
    load_dataset(config)
    both = two_at_once(TWO, config.dataset, config.features, photos.parent)
    out = [process.stdout.splitlines() for process in both]
    assert sorted(map(len, out)) == [1, 2]  # one of them says "extract 12" first
    assert out[0][-1] == out[1][-1]


MEMORY = """
import threading, time
import psutil, torch
from trainers.metrics import reference as module
from trainers.data import Dataset
from trainers.features import FeatureNet
torch.set_num_threads(1)
pixels = torch.randint(0, 256, (50_000, 3, 4, 4), dtype=torch.uint8)
data = Dataset(pixels, torch.zeros(50_000, dtype=torch.int64), 1, stored_digest="50,000 images")
weights = torch.randn(48, 2048)
net = FeatureNet(lambda x: (x.flatten(1) @ weights).relu(), "digest", slow=True)
module.load_features = lambda name: net
torch.linalg.eigh(torch.eye(50, dtype=torch.float64))  # loads its library
process, seen = psutil.Process(), []
start = process.memory_full_info().uss
def watch():
    while not done.wait(0.02):
        seen.append(process.memory_full_info().uss - start)
done = threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
module.reference(data, "inception", torch.device("cpu"), 1)
done.set()
watcher.join()
print(max(seen))
"""


@pytest.mark.slow
def test_real_statistics_of_50_000_images_need_less_than_300_mb(cache):
    """At 2,048 features, those kept for the KID included, above the network."""
    command = [sys.executable, "-c", MEMORY]
    assert int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) < 300e6
