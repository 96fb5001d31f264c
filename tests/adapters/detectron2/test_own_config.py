"""Tests that what a training of Detectron2 leaves, config.yaml and model_final.pth, is run as it was trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("detectron2", reason="detectron2 is not installed; make install")

from bench.adapter import predict
from bench.errors import BenchError, Unsupported
from bench.records import Size
from tests.adapters.detectron2.made import built

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def left_by_a_training(folder, architecture="mask_rcnn"):
    """A small network that Detectron2's own trainer could have left, and what it predicts at its own size."""
    adapter = built(architecture, short_edge=64, max_size=96)
    config = adapter._config.clone()
    config.defrost()
    config.INPUT.MIN_SIZE_TEST, config.INPUT.MAX_SIZE_TEST = 64, 96
    config.MODEL.PIXEL_MEAN = [100.0, 110.0, 120.0]
    (folder / "config.yaml").write_text(config.dump())
    state = {name: torch.rand_like(t) if t.is_floating_point() and t.dim() > 1 else t for name, t in
             adapter._network.module.state_dict().items()}  # fmt: skip
    torch.save({"model": state, "iteration": 9, "optimizer": {"state": {}}}, folder / "model_final.pth")
    return state


def test_its_own_configuration_and_weights_are_taken_with_its_sizes_and_its_preprocessing(tmp_path):
    state = left_by_a_training(tmp_path)
    adapter = built("mask_rcnn", weights=tmp_path / "model_final.pth", config=str(tmp_path / "config.yaml"))
    own = adapter._network.module.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in state.items())
    assert adapter.describe()["weights_read"]["loaded"] == len(own)
    contract = adapter.describe()["input_contract"]
    assert contract["channels"] == "bgr"
    assert contract["mean"] == pytest.approx([120 / 255, 110 / 255, 100 / 255])  # R, G, B
    assert adapter._input_size(Size(40, 60)) == Size(64, 96)
    assert predict(adapter, [IMAGE])[0].size == (40, 60)


def test_a_configuration_beside_the_weights_is_followed_without_a_word(tmp_path):
    left_by_a_training(tmp_path)
    adapter = built("mask_rcnn", weights=tmp_path / "model_final.pth")
    contract = adapter.describe()["input_contract"]
    assert contract["mean"] == pytest.approx([120 / 255, 110 / 255, 100 / 255])
    assert adapter._input_size(Size(40, 60)) == Size(64, 96)
    assert contract["short_edge"] == [64, 96]
    assert "config.yaml beside the weights was followed" in adapter.describe()["weights_read"]["remarks"]
    said = built("mask_rcnn", weights=tmp_path / "model_final.pth", short_edge=32, input={"mean": 0.5, "std": 0.5})
    assert said.describe()["input_contract"]["mean"] == [0.5] * 3
    assert said._input_size(Size(40, 60)) == Size(32, 48)


def test_colours_and_numbers_that_the_file_itself_states_come_before_a_configuration(tmp_path):
    state = left_by_a_training(tmp_path)
    buffers = {"pixel_mean": torch.tensor([1.0, 2, 3]).view(3, 1, 1), "pixel_std": torch.full((3, 1, 1), 50.0)}
    torch.save({"model": {**state, **buffers}}, tmp_path / "model_final.pth")
    adapter = built("mask_rcnn", weights=tmp_path / "model_final.pth")
    contract = adapter.describe()["input_contract"]
    assert contract["mean"] == pytest.approx([3 / 255, 2 / 255, 1 / 255])  # of B, G, R in the file
    assert "pixel_mean" in contract["from"]["mean"]
    assert adapter._network.module.pixel_mean.flatten().tolist() == pytest.approx([1, 2, 3])
    assert adapter._network.module.pixel_std.flatten().tolist() == pytest.approx([50] * 3)


def test_colours_that_are_neither_rgb_nor_bgr_are_refused(tmp_path):
    left_by_a_training(tmp_path)
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text().replace("FORMAT: BGR", "FORMAT: YUV-BT.601"))
    with pytest.raises(Unsupported, match=r"INPUT\.FORMAT 'YUV-BT\.601'"):
        built("mask_rcnn", weights=tmp_path / "model_final.pth")


def test_a_configuration_of_another_kind_is_refused_with_the_model_config_of_its_own(tmp_path):
    left_by_a_training(tmp_path, "panoptic_fpn")
    with pytest.raises(BenchError, match=r"is a panoptic_fpn, and the model config is a mask_rcnn; use detectron2/pan"):
        built("mask_rcnn", config=str(tmp_path / "config.yaml"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("MODEL: {NO_SUCH_KEY: 1}", "keys that a project adds"),
        ("MODEL: !!python/object/apply:os.system ['touch planted']", "cannot be read"),
        ("MODEL: [", "cannot be read"),
    ],
)
def test_a_configuration_that_cannot_be_taken_is_told_and_runs_nothing(tmp_path, monkeypatch, text, why):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(BenchError, match=why):
        built("mask_rcnn", config=str(tmp_path / "config.yaml"))
    assert not (tmp_path / "planted").exists()


def test_the_option_input_comes_before_what_the_configuration_says(tmp_path):
    left_by_a_training(tmp_path)
    said = {"channels": "rgb", "mean": [0.1, 0.2, 0.3], "std": 1}
    adapter = built("mask_rcnn", config=str(tmp_path / "config.yaml"), input=said)
    assert adapter._network.module.pixel_mean.flatten().tolist() == pytest.approx([25.5, 51, 76.5])
    assert adapter._config.INPUT.FORMAT == "RGB"
