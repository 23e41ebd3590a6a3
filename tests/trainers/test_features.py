from importlib.resources import files

import numpy as np
import torch

from trainers.config import FEATURES
from trainers.data import Sampler, load_dataset
from trainers.features import DigitNet, load_features


def test_every_feature_net_has_a_digest():
    for name in FEATURES:
        assert load_features(name).digest


def test_digit_net_has_its_stated_accuracy():
    """On the digits that it was not trained on; the number travels with the weights."""
    data = load_dataset("digits")
    held_out = torch.ones(1797, dtype=torch.bool)
    held_out[Sampler(data, 1_000, 0, torch.device("cpu")).indices] = False
    with np.load(str(files("trainers.assets") / "digit_net.npz"), allow_pickle=False) as stored:
        stated = float(stored["test_accuracy"])
        net = DigitNet()
        net.load_state_dict({k: torch.from_numpy(stored[k]) for k in stored.files if k != "test_accuracy"})
    guesses = net(data.scaled(held_out.nonzero()[:, 0])).argmax(1)
    accuracy = float((guesses == data.labels[held_out]).double().mean())
    assert abs(accuracy - stated) < 0.002
    assert accuracy > 0.97


def test_digit_features_are_64_and_do_not_depend_on_the_batch():
    net, x = load_features("digits"), load_dataset("digits").scaled(torch.arange(20))
    features = net.extract(x)
    assert features.shape == (20, 64)
    assert torch.allclose(features[3:4], net.extract(x[3:4]), atol=1e-5)
