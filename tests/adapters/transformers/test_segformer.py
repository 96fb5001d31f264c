"""SegFormer from its configuration, and from a folder that `save_pretrained` wrote."""

from __future__ import annotations

import pytest
import torch

transformers = pytest.importorskip("transformers", reason="transformers is not installed; make install")

from adapters.transformers.segformer import make_network
from bench.errors import BenchError
from bench.suite.model_configs import resolve_model
from tests.adapters.rectangles import THREE_CLASSES


def state(options):
    torch.manual_seed(0)
    return make_network(resolve_model("transformers/segformer_b0", options=options), THREE_CLASSES).module


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("variant", "millions"), [("b0", 3.7), ("b1", 13.7), ("b2", 27.4), ("b3", 47.3), ("b4", 64.1), ("b5", 84.7)]
)
def test_parameters_are_those_of_the_paper(variant, millions):
    # Xie et al., NeurIPS 2021, table 1: 3.8, 13.7, 27.5, 47.3, 64.1, 84.7 M with the 150 classes of ADE20K
    network = make_network(resolve_model(f"transformers/segformer_{variant}"), THREE_CLASSES)
    assert sum(p.numel() for p in network.module.parameters()) / 1e6 == pytest.approx(millions, abs=0.15)


def test_weights_of_a_local_folder_are_taken_and_a_classifier_of_other_classes_is_made_anew(tmp_path):
    config = transformers.SegformerConfig(num_labels=7)
    torch.manual_seed(3)
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(tmp_path)
    given = transformers.SegformerForSemanticSegmentation.from_pretrained(tmp_path).state_dict()
    loaded = state({"pretrained": str(tmp_path)}).module.state_dict()
    encoder = [name for name in given if name.startswith("segformer.")]
    assert encoder
    assert all(torch.equal(given[name], loaded[f"module.{name}"]) for name in encoder)
    assert loaded["module.decode_head.classifier.weight"].shape[0] == 3


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(BenchError, match="option 'pretrained': nothing to load at"):
        state({"pretrained": str(tmp_path)})
