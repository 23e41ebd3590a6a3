"""Spectral norm of all layers at once, against torch's of one layer."""

import copy

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils._python_dispatch import TorchDispatchMode

from trainers.networks.stylegan2 import equalized
from trainers.spectral import SpectralNorm, divide, held, normalize
from trainers.state import frozen


class Layers(nn.Module):
    """One of each kind; x [N, 3, 6, 6] -> [N]."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)  # [N, 5, 4, 4]
        self.up = nn.ConvTranspose2d(5, 4, 2)  # [N, 4, 5, 5]
        self.linear = nn.Linear(100, 7)
        self.embedding = nn.Embedding(2, 7)
        self.plain = nn.BatchNorm2d(4)

    def forward(self, x):
        h = self.linear(self.plain(self.up(self.conv(x).relu())).flatten(1))
        return (h * self.embedding(torch.arange(len(x)) % 2)).sum(1)


def networks():
    """The same network with torch's spectral norm and with ours, in float64, and a batch."""
    torch.manual_seed(0)
    plain = Layers().double()
    theirs, ours = copy.deepcopy(plain), copy.deepcopy(plain)
    torch.manual_seed(1)
    for layer in (theirs.conv, theirs.up, theirs.linear, theirs.embedding):
        spectral_norm(layer)
    torch.manual_seed(1)
    normalize(ours, embeddings=True)
    return theirs, ours, torch.randn(4, 3, 6, 6, dtype=torch.float64)


def test_it_is_torchs():
    """The same start, names, outputs, gradients and iterations, in training and out of it."""
    theirs, ours, x = networks()
    for training in (True, True, False, True):
        found = []
        for network in (theirs, ours):
            network.train(training)
            real, fake = network(x), network(x.flip(0))  # two passes before one backward
            grads = torch.autograd.grad(real.square().sum() + fake.sum(), list(network.parameters()))
            found.append([real, fake, *grads, *network.state_dict().values()])
        assert [*theirs.state_dict()] == [*ours.state_dict()]
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_states_of_torchs_are_taken():
    """Checkpoints of earlier versions have them."""
    theirs, ours, x = networks()
    theirs(x)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize(("shape", "dim"), [((4, 3, 2, 2), 0), ((3, 4, 2, 2), 1), ((5, 3), 0), ((1, 6), 0)], ids=str)
def test_its_derivative(shape, dim):
    torch.manual_seed(0)
    weight = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    norm = SpectralNorm(weight.detach() + 1, dim)  # u and v of another matrix, so that they matter
    assert gradcheck(lambda weight: divide([norm], [weight], iterate=False)[0], weight)


def test_second_derivatives_of_the_input_go_through():
    """R1 differentiates D's slope at the data by the weights."""
    theirs, ours, x = networks()
    found = []
    for network in (theirs, ours):
        x.requires_grad_(True)
        (slope,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
        weights = [p for name, p in network.named_parameters() if "bias" not in name and "plain" not in name]
        found.append(torch.autograd.grad(slope.square().sum(), weights))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_a_layer_that_is_used_outside_its_networks_forward():
    """As by PatchNCE, which looks into G."""
    theirs, ours, x = networks()
    torch.testing.assert_close(ours.conv(x), theirs.conv(x))
    torch.testing.assert_close(ours.conv(x), theirs.conv(x))  # each time one iteration


def test_on_an_equalized_learning_rate():
    torch.manual_seed(0)
    network = nn.Sequential(equalized(nn.Linear(6, 5)), equalized(nn.Linear(5, 1)))
    normalize(network, embeddings=True)
    for _ in range(50):
        network(torch.ones(2, 6))
    with frozen(network):
        norms = [float(torch.linalg.matrix_norm(layer.weight, 2)) for layer in network]
    assert norms == pytest.approx([1, 1], abs=1e-4)


def test_a_copy_has_weights_of_its_own():
    _, ours, x = networks()
    before = ours.eval()(x).detach()
    other = copy.deepcopy(ours)
    with torch.no_grad():
        other.conv.parametrizations.weight.original[0].zero_()
    assert torch.equal(ours(x), before)
    assert not torch.equal(other(x), before)


def test_nothing_is_left_of_a_pass_that_failed():
    _, ours, x = networks()
    with pytest.raises(RuntimeError):
        ours(x[:, :1])
    with pytest.raises(RuntimeError), held(ours):
        ours(x[:, :1])
    norms = [module for module in ours.modules() if isinstance(module, SpectralNorm)]
    assert len(norms) == 4
    assert all(norm.ready is None and norm.held is None for norm in norms)


def test_it_stays_in_32_bits_under_autocast():
    theirs, ours, x = networks()
    found = []
    for network in (theirs, ours):
        network.float()
        with torch.autocast("cpu", torch.bfloat16, enabled=network is ours):
            network(x.float())
        found.append(network.linear.parametrizations.weight[0]._u)
    torch.testing.assert_close(*found)


class Launches(TorchDispatchMode):
    """Counts operations that are no views."""

    n = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.n += not any(r.alias_info and not r.alias_info.is_write for r in func._schema.returns)
        return func(*args, **(kwargs or {}))


def test_a_layer_more_costs_three_launches_and_four_back():
    counts = []
    for n in (2, 3):
        network = nn.Sequential(*(nn.Linear(4, 4, bias=False) for _ in range(n)))
        plain = copy.deepcopy(network)
        normalize(network, embeddings=False)
        for each in (plain, network):
            x = torch.ones(2, 4, requires_grad=True)
            each(x)
            with Launches() as forward:
                y = each(x)
            with Launches() as backward:
                torch.autograd.grad(y.sum(), list(each.parameters()))
            counts.append(torch.tensor([forward.n, backward.n]))
    plain_2, ours_2, plain_3, ours_3 = counts
    assert ((ours_3 - plain_3) - (ours_2 - plain_2)).tolist() == [3, 4]
