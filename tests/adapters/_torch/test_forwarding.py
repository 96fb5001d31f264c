"""Adapters that hand everything to another one: they offer what it has, and it says what it lacks."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from adapters._torch.runtimes.runtime import RUNTIMES
from bench.adapter import load_adapter
from bench.errors import BenchError, Unsupported
from bench.records import Target
from bench.suite.model_configs import resolve_model
from tests.adapters.rectangles import INSTANCES, THREE_CLASSES

FORWARDING = {
    "torchvision": ("torchvision/fcn_resnet50", "network", "fcn_resnet50"),
    "transformers": ("transformers/segformer_b0", "architecture", "segformer"),
}
"""Adapter -> a model config, the option that chooses, and its value there; none of these imports the framework."""


@pytest.mark.parametrize("name", FORWARDING)
def test_a_forwarding_adapter_has_the_runtimes_and_the_passes_of_those_behind_it(name):
    adapter = load_adapter(name)
    assert adapter.runtimes == RUNTIMES


@pytest.mark.parametrize("name", FORWARDING)
def test_a_wrong_choice_is_refused_with_the_nearest_right_one(name):
    model_config, option, nearest = FORWARDING[name]
    model = resolve_model(model_config, options={option: nearest[:-1]})
    with pytest.raises(BenchError, match=f"option '{option}': there is no .*Did you mean '{nearest}'"):
        load_adapter(name).build(model, THREE_CLASSES, Target(), None)


@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed; make install")
@pytest.mark.parametrize("runtime", RUNTIMES[1:])
def test_a_network_of_proposals_says_why_it_has_no_other_runtime(runtime):
    model = resolve_model("torchvision/maskrcnn_small")
    with pytest.raises(Unsupported, match=f"no runtime {runtime}: its heads run for each region"):
        load_adapter("torchvision").build(model, INSTANCES, Target(runtime=runtime), None)
