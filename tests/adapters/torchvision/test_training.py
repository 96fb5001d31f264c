"""Mask R-CNN's training: resumed, validated, kept."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("torchvision", reason="torchvision is not installed; make install")

from adapters._torch.training import clock
from adapters.torchvision.training import mask_ap50
from bench.adapter import predict
from bench.errors import BenchError
from tests.adapters.rectangles import INSTANCES, Recorder, rectangles, short_recipe
from tests.adapters.torchvision.test_mask_rcnn import built


class PowerCutError(Exception):
    """What ends a training in the middle."""


class Interrupted(Recorder):
    """Ends the training when a step is reported, before its checkpoint."""

    def step(self, **step):
        super().step(**step)
        if step["step"] == 4:
            raise PowerCutError


def recipe(**changes):
    return short_recipe(**{"budget": {"steps": 5}, "checkpoint_every_s": 1e-9, "learning_rate": 0.003, **changes})


@pytest.mark.slow
def test_an_interrupted_training_ends_with_the_weights_of_one_that_was_not(tmp_path, monkeypatch):
    monkeypatch.setattr(clock, "REPORT_EVERY_S", 0.0)
    data = rectangles(10, 2, task=INSTANCES)
    whole = built().train(data, recipe(), tmp_path / "whole", Recorder())
    with pytest.raises(PowerCutError):
        built().train(data, recipe(), tmp_path / "cut", Interrupted())
    rest = Recorder()
    result = built().train(data, recipe(), tmp_path / "cut", rest)
    assert [step["step"] for step in rest.steps] == [4, 5]  # the checkpoint is that of step 3
    assert result.self_reported == whole.self_reported
    for name in ("last.pt", "best.pt"):
        one, other = (torch.load(tmp_path / run / name, weights_only=True)["state_dict"] for run in ("whole", "cut"))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_the_checkpoint_of_another_recipe_is_refused(tmp_path):
    data = rectangles(4, 1, task=INSTANCES)
    built().train(data, recipe(budget={"steps": 1}), tmp_path, Recorder())
    with pytest.raises(BenchError, match="checkpoint of another training; remove it"):
        built().train(data, recipe(budget={"steps": 2}), tmp_path, Recorder())


@pytest.mark.slow
def test_the_network_learns_the_scenes_and_the_best_weights_are_kept(tmp_path):
    data, recorder = rectangles(16, 6, task=INSTANCES), Recorder()
    long = recipe(budget={"steps": 120}, learning_rate=0.01, checkpoint_every_s=60, validate_every=10)
    wide = {"fpn_channels": 32, "box_head_channels": 64, "mask_head_channels": 32}
    result = built(**wide).train(data, long, tmp_path, recorder)
    adapter = built(weights=result.weights, **wide)
    found = predict(adapter, [data.val.image(i) for i in range(6)])
    ap = mask_ap50([data.val.ground_truth(i) for i in range(6)], found)
    assert ap == pytest.approx(max(v["values"]["val_mask_ap50"] for v in recorder.validations), abs=0.02)
    assert result.self_reported["val_mask_ap50"] > 0.5
