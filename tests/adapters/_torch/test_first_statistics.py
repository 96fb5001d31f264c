"""A network that is fed otherwise than it was trained is told of, with what it was trained with."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from adapters._torch.input import IMAGENET_MEAN, IMAGENET_STD
from adapters._torch.network import Head, SemanticNetwork
from adapters._torch.semantic import SemanticAdapter
from bench.records import ClassSpec, ModelSpec, Target, TaskSpec

TASK = TaskSpec(kind="semantic", classes=tuple(ClassSpec(name=n, colour=(i, 0, 0)) for i, n in enumerate("ab")))
MODEL = ModelSpec(name="unet/x", label="x", adapter="unet", task="semantic", description="")


def pictures(count):
    """Smooth colours over the whole range, as photographs have them."""
    random = np.random.default_rng(0)
    small = torch.from_numpy(random.uniform(0, 255, (count, 3, 4, 4)).astype(np.float32))
    large = torch.nn.functional.interpolate(small, size=(32, 32), mode="bilinear")
    return large.permute(0, 2, 3, 1).to(torch.uint8).numpy()


def trained(mean, std):
    """A network whose batch normalisation has seen pictures by a preprocessing."""
    torch.manual_seed(0)
    first, last = torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.Conv2d(16, 2, 1)
    layers = torch.nn.Sequential(first, torch.nn.BatchNorm2d(16), last)
    values = torch.from_numpy(pictures(64)).permute(0, 3, 1, 2).float() / 255
    layers[1].momentum = None  # the mean of all it sees
    layers.train()((values - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1))
    return layers.eval()


def flags(module, options):
    adapter = SemanticAdapter(lambda *_: SemanticNetwork(module, Head(2), {"network": "x"}, ("a", "b")))
    adapter.build(MODEL.model_copy(update={"options": {"input": options}}), TASK, Target(device="cpu", threads=1), None)
    return adapter.doubts(list(pictures(3)))


BYTES = {"mean": [0, 0, 0], "std": [1, 1, 1], "scale": 255}


@pytest.mark.parametrize(
    ("mean", "std", "said"),
    [((0.0,) * 3, (1.0,) * 3, "mean: 0, std: 1"), (IMAGENET_MEAN, IMAGENET_STD, "ImageNet's mean and std")],
)
def test_a_network_that_is_fed_bytes_instead_is_told_of_with_what_fits(mean, std, said):
    (flag,) = flags(trained(mean, std), BYTES)
    assert flag.name == "input_unlike_training"
    assert flag.seen.endswith(said)
    assert "input: {mean, std" in flag.advice


def test_a_network_that_is_fed_as_it_was_trained_is_not():
    assert flags(trained(IMAGENET_MEAN, IMAGENET_STD), {"mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}) == ()
    assert flags(trained((0.0,) * 3, (1.0,) * 3), {"mean": [0, 0, 0], "std": [1, 1, 1]}) == ()


def test_a_network_without_statistics_says_nothing():
    assert flags(torch.nn.Conv2d(3, 2, 1), BYTES) == ()
