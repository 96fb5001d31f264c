"""Every decoder of the library, on any size, and what is said of wrong names."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
import torchvision

smp = pytest.importorskip("segmentation_models_pytorch", reason="segmentation-models-pytorch is not installed")

from adapters.smp.adapter import DECODERS, Adapter, make_network
from bench.adapter import predict
from bench.errors import BenchError
from bench.records import ModelSpec, Target
from tests.adapters.rectangles import THREE_CLASSES, TWO_CLASSES


def config(**options):
    return ModelSpec(name="smp/test", label="smp/test", adapter="smp", task="semantic", description="", options=options)


@pytest.mark.few(6)
@pytest.mark.parametrize("decoder", sorted(set(DECODERS) - {"dpt"}))
def test_every_decoder_labels_images_of_odd_and_tiny_sizes(decoder):
    adapter = Adapter()
    adapter.build(config(decoder=decoder, encoder="resnet18"), THREE_CLASSES, Target(threads=1), None)
    pictures = [np.zeros((33, 47, 3), np.uint8), np.zeros((1, 9, 3), np.uint8)]
    assert [p.labels.shape for p in predict(adapter, pictures)] == [(33, 47), (1, 9)]


def test_an_image_of_a_fitting_size_is_given_to_the_network_as_it_is():
    torch.manual_seed(0)
    network = make_network(config(decoder="unet", encoder="resnet18"), THREE_CLASSES).module.eval()
    pixels = torch.randn(1, 3, 64, 32)
    with torch.inference_mode():
        assert torch.equal(network(pixels), network.module(pixels))


def test_a_sigmoid_head_has_one_channel():
    network = make_network(config(decoder="fpn", encoder="resnet18", head="sigmoid", threshold=0.4), TWO_CLASSES)
    assert network.head.channels == 1
    assert network.head.threshold == 0.4


def test_the_parameters_are_those_of_the_library():
    adapter = Adapter()
    adapter.build(config(decoder="unet", encoder="resnet34"), THREE_CLASSES, Target(threads=1), None)
    own = smp.Unet("resnet34", encoder_weights=None, classes=3)
    assert adapter.describe()["parameters"] == sum(p.numel() for p in own.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder": "unet", "encoder": "resnet35"}, "no encoder named 'resnet35'. Did you mean 'resnet"),
        ({"decoder": "unet", "encoder": "tu-resnet35x"}, "encoder tu-resnet35x: Unknown model"),
        ({"decoder": "unett"}, "option 'decoder'"),
        ({"decoder": "unet", "encoder": "resnet18", "arguments": {"decoder_chanels": [1]}}, "decoder_chanels"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(BenchError, match=message):
        make_network(config(**options), THREE_CLASSES)


def test_an_encoder_starts_from_a_file_of_a_classifier_with_it(tmp_path):
    torch.manual_seed(1)
    classifier = torchvision.models.resnet18(weights=None)
    torch.save({"state_dict": {f"module.{k}": v for k, v in classifier.state_dict().items()}}, tmp_path / "r18.pt")
    options = {"decoder": "unet", "encoder": "resnet18", "encoder_weights": str(tmp_path / "r18.pt")}
    network = make_network(config(**options), THREE_CLASSES)
    encoder = network.module.module.encoder.state_dict()
    assert all(torch.equal(tensor, classifier.state_dict()[name]) for name, tensor in encoder.items())
    assert "encoder_weights" not in network.architecture


def test_an_encoder_starts_from_a_file_of_a_whole_network_of_the_library(tmp_path):
    torch.manual_seed(1)
    whole = smp.FPN("resnet18", encoder_weights=None, classes=7)
    torch.save(whole.state_dict(), tmp_path / "fpn.pt")
    options = {"decoder": "unet", "encoder": "resnet18", "encoder_weights": str(tmp_path / "fpn.pt")}
    encoder = make_network(config(**options), THREE_CLASSES).module.module.encoder.state_dict()
    assert all(torch.equal(tensor, whole.encoder.state_dict()[name]) for name, tensor in encoder.items())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.pt", r"option 'encoder_weights': there is no file at .*none\.pt; give one, 'imagenet' to download"),
        ("r34.pt", r"r34\.pt is not of this encoder: layer1\.2\.\S+ is \(64,.*set 'encoder' to the one"),
    ],
)
def test_encoder_weights_that_do_not_fit_are_explained(tmp_path, name, message):
    torch.save(torchvision.models.resnet34(weights=None).state_dict(), tmp_path / "r34.pt")
    options = {"decoder": "unet", "encoder": "resnet18", "encoder_weights": str(tmp_path / name)}
    with pytest.raises(BenchError, match=message):
        make_network(config(**options), THREE_CLASSES)


@pytest.mark.slow
def test_a_tracker_that_timm_looks_for_is_not_imported_with_it_and_can_be_later():
    pytest.importorskip("wandb", reason="wandb is not installed (extra: wandb)")
    program = (
        "import sys, adapters.smp.adapter; assert 'wandb' not in sys.modules, 'imported'; "
        "import importlib.util; print(importlib.util.find_spec('wandb') is not None)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
