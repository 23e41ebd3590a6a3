import math
import re

import pytest
import torch

from trainers.adversarial import adversarial_step
from trainers.config import Config
from trainers.coopinit import cooperate, cooperative_step
from trainers.data.load import load_dataset
from trainers.loop import dry_run, train
from trainers.regularizers import (
    Batch,
    contrast,
    gradient_penalty,
    patch_nce,
    penalties,
    r1,
    zcr_discriminator,
    zcr_generator,
)
from trainers.run_folder import read_provenance
from trainers.scoring import load_generator
from trainers.state import State
from trainers.user_code import load_object, own_code_digest

CPU = torch.device("cpu")


def batch_of(critic, real, fake, perturbed=None, generator_input=None, generator=None, config=None):
    rng = torch.Generator().manual_seed(0)
    return Batch(real, fake, lambda: perturbed, lambda: critic, rng, lambda: generator_input, generator, config)


def test_r1_of_a_quadratic():
    """D(x) = |x|^2 / 2 has gradient x: R1 is half the mean of |x|^2, over images as well."""
    x = torch.randn(6, 1, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    value = r1(batch_of(lambda x: x.square().sum((1, 2, 3)) / 2, x, x))
    assert torch.allclose(value, x.flatten(1).square().sum(1).mean() / 2)


def test_gradient_penalty_of_a_plane():
    """A plane of slope s costs (s - 1)^2 wherever it is taken."""
    x = torch.randn(5, 2, dtype=torch.float64)
    normal = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert float(gradient_penalty(batch_of(lambda x: x @ normal, x, -x))) == pytest.approx(16)
    assert float(gradient_penalty(batch_of(lambda x: x @ normal / 5, x, -x))) == pytest.approx(0)


def test_gradient_penalty_is_taken_between_real_and_fake():
    seen = []
    real, fake = torch.zeros(500, 2), torch.ones(500, 2)

    def critic(x):
        seen.append(x.detach())
        return x.sum(1)

    gradient_penalty(batch_of(critic, real, fake))
    assert torch.equal(seen[0][:, 0], seen[0][:, 1])  # one share for all elements of an example
    assert 0 <= float(seen[0].min()) < 0.05
    assert 0.95 < float(seen[0].max()) <= 1


def test_zcr_of_a_plane():
    """Samples that differ by d: D's logits differ by its slope times d, G's term is minus the mean square of d."""
    x = torch.randn(5, 2, dtype=torch.float64)
    shift = torch.tensor([0.3, -0.1], dtype=torch.float64)
    normal = torch.tensor([3.0, 4.0], dtype=torch.float64)
    batch = batch_of(lambda x: x @ normal, x, x, x + shift)
    assert float(zcr_discriminator(batch)) == pytest.approx((0.9 - 0.4) ** 2)
    assert float(zcr_generator(batch)) == pytest.approx(-(0.09 + 0.01) / 2)
    alike = batch_of(lambda x: x @ normal, x, x, x)
    assert float(zcr_discriminator(alike)) == float(zcr_generator(alike)) == 0


@pytest.mark.parametrize("name", [name for name in Config.regularizers() if name != "nce_weight"])
def test_penalties_reach_the_parameters_of_their_network(name):
    of_d = torch.tensor([2.0, 1.0], requires_grad=True)
    of_g = torch.tensor([0.5, 0.2], requires_grad=True)
    z = torch.randn(4, 2)
    batch = batch_of(lambda x: (x @ of_d).tanh(), z, z * of_g, (z + 0.1) * of_g)
    row = Config.regularizers()[name]
    load_object(row.penalty)(batch).backward()
    its = of_d if row.of == "discriminator" else of_g
    assert its.grad.abs().sum() > 0


def cut(**fields):
    options = {"width": 4, "d_width": 4, "blocks": 5, "d_layers": 2, "projection": 8}
    fields = {"nce_weight": 1.0, "nce_patches": 6, "batch_size": 2, "n_images": 8} | fields
    return Config(dataset="digits_outlines", backbone="cut", backbone_options=options, **fields)


def test_contrast_is_its_definition():
    """Cross-entropy of one positive and S - 1 negatives of the same image, by plain loops."""
    rng = torch.Generator().manual_seed(0)
    queries, keys = (torch.randn(2, 3, 4, generator=rng, dtype=torch.float64) for _ in range(2))
    losses = []
    for q, k in zip(queries, keys, strict=True):
        for place in range(3):
            cosines = [float(q[place] @ k[other] / (q[place].norm() * k[other].norm())) for other in range(3)]
            scores = [math.exp(cosine / 0.07) for cosine in cosines]
            losses.append(-math.log(scores[place] / sum(scores)))
    assert float(contrast(queries, keys, 0.07)) == pytest.approx(sum(losses) / len(losses))
    assert float(contrast(torch.eye(5)[None], torch.eye(5)[None], 0.05)) < 1e-6  # each is nearest its own
    alike = torch.ones(1, 5, 4)
    assert float(contrast(alike, alike, 0.07)) == pytest.approx(math.log(5))  # nothing tells them apart


def nce_by_loops(state, before, after, rng):
    """Of two batches of images, with the places drawn as patch_nce does, layer by layer."""
    g, losses = state.generator, []
    for project, key, query in zip(g.projections, g.encode(before), g.encode(after), strict=True):
        places = torch.randperm(key.shape[2] * key.shape[3], generator=rng)[: state.config.nce_patches].tolist()
        units = [
            torch.stack([project(x[:, :, p // x.shape[3], p % x.shape[3]]) for p in places], 1) for x in (query, key)
        ]
        losses.append(contrast(*units, state.config.nce_temperature))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("identity", [True, False])
def test_patch_nce_is_the_mean_over_layers_and_terms(identity):
    config = cut(nce_identity=identity, nce_temperature=0.5)
    state = State(config, CPU)
    real, labels = state.real_batch()
    generator_input, fake = state.generator_input("z", 2), state.generate("z", labels)
    got = patch_nce(
        batch_of(None, real, fake, generator_input=generator_input, generator=state.generator, config=config)
    )
    rng = torch.Generator().manual_seed(0)
    terms = [nce_by_loops(state, generator_input, fake, rng)]
    if identity:
        terms.append(nce_by_loops(state, real, state.generator(real), rng))
    torch.testing.assert_close(got, torch.stack(terms).mean())
    found = penalties(state, "generator", "z", real, fake, labels)
    assert found.keys() == {"loss_nce_weight"}  # of the same source as fake, by the purpose alone
    assert float(found["loss_nce_weight"].detach()) > 0


def test_patch_nce_teaches_g_and_its_projections_by_the_queries_alone():
    state = State(cut(nce_identity=False), CPU)
    _, labels = state.real_batch()
    generator_input = state.generator_input("z", 2).requires_grad_(True)
    fake = state.generator(generator_input.detach(), labels).detach().requires_grad_(True)
    patch_nce(
        batch_of(None, None, fake, generator_input=generator_input, generator=state.generator, config=state.config)
    ).backward()
    assert generator_input.grad is None
    assert fake.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in state.generator.projections.parameters())
    assert state.generator.layers[1].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("coop", ["init", "joint"])
@pytest.mark.parametrize("on", [True, False])
def test_patch_nce_in_the_cooperative_stage(on, coop):
    """As nce_coop says, and on top of the teaching loss; the joint objective has it once, in G's adversarial update."""
    step = cooperative_step if coop == "init" else adversarial_step
    statistics = step(State(cut(n_coop=4, nce_coop=on, coop=coop), CPU))
    assert ("loss_nce_weight" in statistics) == (on or coop == "joint")
    assert "loss_teaching" in statistics


def test_the_start_of_the_chain_is_the_translation_of_the_source():
    state = State(cut(n_coop=4, eta=0.5), CPU)
    real, labels = state.real_batch()
    learned = cooperate(state, real, labels)
    torch.testing.assert_close(learned.start, state.generator(state.generator_input("z", 2)))
    sources = load_dataset(state.config).pair.sources
    images = sources.scaled(torch.arange(len(sources.examples)))
    assert all((images == x).all((1, 2, 3)).any() for x in state.generator_input("z", 2))


OWN = """
import torch
from trainers.regularizers import r1 as ours

def r1(batch):
    return ours(batch)

def shape(batch):
    return batch.critic()(batch.real).square()

def number(batch):
    return 3.0

def far(batch):
    return batch.real.sum()

def raises(batch):
    return 1 / 0

def pull(batch):
    return batch.fake.square().mean()
"""


def test_a_regularizer_of_ones_own_is_trained_as_ours_is(tiny_points, user_module, tmp_path):
    """Bit for bit, and its code is part of what the run was made with."""
    module = user_module(OWN)
    ours, mine = tiny_points.replace(r1_gamma=0.3), tiny_points.replace(penalty_d={f"{module}:r1": 0.3})
    assert len({tiny_points.cell_key, ours.cell_key, mine.cell_key}) == 3
    assert tiny_points.replace(penalty_d={}, penalty_g={}).cell_key == tiny_points.cell_key
    rows = [list(train(config, tmp_path / config.cell_key))[-1] for config in (ours, mine)]
    assert rows[1][f"loss_penalty_d_{module}_r1"] == rows[0]["loss_r1_gamma"] > 0
    assert all(rows[0][key] == rows[1][key] for key in (*ours.metric_keys, "loss_g", "logit_real"))
    assert read_provenance(tmp_path / mine.cell_key)["own_code_digest"] == own_code_digest(mine) != ""


def test_a_regularizer_of_ones_own_acts_on_the_generator(tiny_points, user_module, tmp_path):
    pulled = tiny_points.replace(penalty_g={f"{user_module(OWN)}:pull": 1e4})
    weights = []
    for config in (tiny_points, pulled):
        assert list(train(config, tmp_path / config.cell_key))
        weights.append(next(load_generator(tmp_path / config.cell_key).parameters()))
    assert not torch.equal(*weights)


@pytest.mark.parametrize(
    ("field", "name", "words"),
    [
        ("penalty_d", "shape", r"penalty_d: '\w+:shape' should return a 0-d tensor that .*, not one of \[2\]"),
        ("penalty_d", "number", "should return a 0-d tensor that depends on the network, not one float"),
        ("penalty_d", "far", r"depends on the network, not one of \[\]"),
        ("penalty_d", "pull", "depends on the network"),  # D's fake samples have no graph
        ("penalty_g", "raises", r"penalty_g '\w+:raises' raised ZeroDivisionError: division by zero \(.*, line 18\)"),
        ("penalty_g", "absent", "has no attribute 'absent'"),
    ],
)
def test_a_regularizer_of_ones_own_that_is_none_is_a_sentence_before_training(
    tiny_points, user_module, field, name, words
):
    with pytest.raises(ValueError, match=words):
        dry_run(tiny_points.replace(**{field: {f"{user_module(OWN)}:{name}": 1.0}}))


@pytest.mark.parametrize(
    ("penalty", "words"),
    [
        ({"drift": 1.0}, "penalty_d: 'drift' should be module:object"),
        ({"a b:c": 1.0}, "should be module:object"),
        ({f"{'m' * 80}:f": 1.0}, "at most 80 letters"),
        ({"m:f": 0}, "the weight of 'm:f' should be greater than 0"),
        ({"m:f": -1}, "penalty_d.m:f = -1"),
        ("m:f", "penalty_d = 'm:f'"),
    ],
)
def test_a_wrong_weight_or_name_is_a_sentence(penalty, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        Config(penalty_d=penalty)
