import math

import pytest
import torch

from trainers.adversarial import adversarial_step
from trainers.config import Config
from trainers.coopinit import cooperate, cooperative_step
from trainers.data.load import load_dataset
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
from trainers.state import State
from trainers.user_code import load_object

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
