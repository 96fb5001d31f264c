"""Outputs that are not what their head takes them for: flagged, or refused where it is certain."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adapters._torch.network import SemanticNetwork, head_of
from adapters._torch.output_values import contradiction
from adapters._torch.semantic import SemanticAdapter
from bench.errors import BenchError
from bench.records import ModelSpec, Target
from tests.adapters.rectangles import TWO_CLASSES

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0, 3, (2, 4, 8, 9))
SIGMOID = 1 / (1 + np.exp(-LOGITS))
SOFTMAX = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("outputs", "claimed", "sigmoid", "seen", "is_certain"),
    [
        (LOGITS, "logits", False, None, None),
        (SOFTMAX, "logits", False, "sum to 1 over the classes, as behind a softmax", False),
        (SIGMOID, "logits", False, "as behind a sigmoid", False),
        (SIGMOID[:, :1], "logits", True, "as behind a sigmoid", False),
        (LOGITS, "probabilities", False, "no probabilities", True),
        (LOGITS[:, :1], "probabilities", True, "no probabilities", True),
        (SIGMOID, "probabilities", False, "do not sum to 1", False),
        (SIGMOID, "probabilities", True, None, None),
        (SOFTMAX.astype(np.float16), "probabilities", False, None, None),
    ],
)
def test_values_say_whether_they_are_logits_or_probabilities(outputs, claimed, sigmoid, seen, is_certain):
    found = contradiction(outputs, claimed=claimed, sigmoid=sigmoid)
    if seen is None:
        assert found is None
    else:
        assert seen in found.seen
        assert found.is_certain == is_certain


class EndsWithASigmoid(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 1, 1)

    def forward(self, pixels):
        return self.layer(pixels).sigmoid()


def doubts(module, gives):
    def make(_, task):
        return SemanticNetwork(module, head_of("sigmoid", None, task, gives=gives), {"network": "x"}, ("a", "b"))

    adapter = SemanticAdapter(make)
    model = ModelSpec(name="x/x", label="mine", adapter="x", task="semantic", description="")
    adapter.build(model, TWO_CLASSES, Target(device="cpu", threads=1), None)
    image = RANDOM.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert adapter.describe()["output_rule"].startswith("one sigmoid")
    return adapter.doubts([image])


def test_a_sigmoid_within_the_network_is_told_and_read_where_the_head_says_so():
    (flag,) = doubts(EndsWithASigmoid(), "logits")
    assert flag.name == "outputs_unlike_head"
    assert "gives='probabilities'" in flag.advice
    assert doubts(EndsWithASigmoid(), "probabilities") == ()


def test_logits_that_are_called_probabilities_are_refused():
    with pytest.raises(BenchError, match=r"no probabilities.*gives='logits'"):
        doubts(torch.nn.Conv2d(3, 1, 1), "probabilities")
