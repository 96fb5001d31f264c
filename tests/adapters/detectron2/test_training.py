from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("detectron2", reason="Detectron2 is not installed; make install")

from adapters._torch.training import clock
from bench.adapter import predict
from bench.errors import BenchError
from tests.adapters.detectron2.made import TASKS, built
from tests.adapters.rectangles import Recorder, rectangles, short_recipe

STEPS = 5


class PowerCutError(Exception):
    """What ends a training in the middle."""


class Interrupted(Recorder):
    """Ends the training when a step is reported, before its checkpoint."""

    def __init__(self, at_step):
        super().__init__()
        self._at_step = at_step

    def step(self, **step):
        super().step(**step)
        if step["step"] == self._at_step:
            raise PowerCutError


@pytest.fixture
def _every_step_is_reported(monkeypatch):
    monkeypatch.setattr(clock, "REPORT_EVERY_S", 0.0)


def recipe(**changes):
    return short_recipe(**{"budget": {"steps": STEPS}, "checkpoint_every_s": 1e-9, **changes})


def data_for(architecture):
    return rectangles(10, 2, task=TASKS[built(architecture)._options.task])


def weights_in(path):
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.slow
@pytest.mark.usefixtures("_every_step_is_reported")
@pytest.mark.parametrize("architecture", ["semantic_fpn", "mask_rcnn", "panoptic_fpn"])
def test_an_interrupted_training_ends_with_the_weights_of_one_that_was_not(architecture, tmp_path):
    data = data_for(architecture)
    whole = built(architecture).train(data, recipe(), tmp_path / "whole", Recorder())
    with pytest.raises(PowerCutError):
        built(architecture).train(data, recipe(), tmp_path / "cut", Interrupted(at_step=4))
    rest = Recorder()
    result = built(architecture).train(data, recipe(), tmp_path / "cut", rest)
    assert [step["step"] for step in rest.steps] == [4, 5]  # the checkpoint is that of step 3
    assert (result.steps, result.images) == (whole.steps, whole.images) == (STEPS, 4 * STEPS)
    assert result.self_reported == whole.self_reported
    for name in sorted({whole.weights.name, "last.pt"}):
        first, second = weights_in(tmp_path / "whole" / name), weights_in(tmp_path / "cut" / name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.slow
def test_a_finished_training_is_not_trained_again(tmp_path):
    data = data_for("fcn")
    first = built("fcn").train(data, recipe(), tmp_path, Recorder())
    before, again = weights_in(first.weights), Recorder()
    second = built("fcn").train(data, recipe(), tmp_path, again)
    assert again.steps == []
    assert (second.steps, second.images, second.train_s) == (first.steps, first.images, first.train_s)
    assert second.self_reported == first.self_reported
    after = weights_in(second.weights)
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_the_checkpoint_of_another_recipe_is_refused(tmp_path):
    data = data_for("fcn")
    built("fcn").train(data, recipe(budget={"steps": 1}), tmp_path, Recorder())
    with pytest.raises(BenchError, match="checkpoint of another training; remove it"):
        built("fcn").train(data, recipe(budget={"steps": 2}), tmp_path, Recorder())


def test_an_empty_training_split_is_told():
    with pytest.raises(BenchError, match="no images"):
        built("fcn").train(rectangles(0, 1), recipe(), None, Recorder())


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["mask_rcnn", "panoptic_fpn"])
def test_weights_that_were_saved_answer_as_the_network_that_was_trained(architecture, tmp_path):
    data = data_for(architecture)
    result = built(architecture).train(data, recipe(learning_rate=0.003), tmp_path, Recorder())
    pictures = [data.val.image(i) for i in range(2)]
    one, other = (predict(built(architecture, weights=result.weights), pictures) for _ in range(2))
    assert [p.content_hash() for p in one] == [p.content_hash() for p in other]
    untrained = predict(built(architecture), pictures)
    assert [p.content_hash() for p in one] != [p.content_hash() for p in untrained]


@pytest.mark.few(1)
@pytest.mark.parametrize("architecture", ["fcn", "deeplabv3plus", "mask_rcnn"])
def test_a_weight_file_holds_every_tensor_that_a_build_has(architecture, tmp_path):
    data = data_for(architecture)
    result = built(architecture).train(data, recipe(budget={"steps": 1}), tmp_path, Recorder())
    saved, read = weights_in(result.weights), built(architecture, weights=result.weights)._network.module.state_dict()
    assert saved.keys() == read.keys()
    assert all(torch.equal(saved[key], read[key]) for key in saved)


def test_training_leaves_the_built_network_as_it_is(tmp_path):
    adapter = built("fcn")
    before = {key: tensor.clone() for key, tensor in adapter._network.module.state_dict().items()}
    adapter.train(data_for("fcn"), recipe(budget={"steps": 2}), tmp_path, Recorder())
    after = adapter._network.module.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("architecture", "loss", "every", "named"),
    [
        ("semantic_fpn", "cross_entropy", 1, set()),
        ("semantic_fpn", "dice", 1, {"loss"}),
        ("mask_rcnn", "cross_entropy", None, set()),
        ("mask_rcnn", "dice", 1, {"loss", "validate_every"}),
    ],
)
def test_what_a_training_cannot_honour_is_named(architecture, loss, every, named, tmp_path):
    one_step = recipe(budget={"steps": 1}, loss=loss, validate_every=every)
    result = built(architecture).train(data_for(architecture), one_step, tmp_path, Recorder())
    assert set(result.not_honoured) == named
    assert all(result.not_honoured.values())


def test_what_its_trainer_does_not_offer_is_named(tmp_path):
    asked = {"accumulate": 2, "ema_decay": 0.9, "augmentation": {"rotate_deg": 5.0}, "early_stopping": 9}
    one_step = recipe(budget={"steps": 1}, validate_every=None, **asked)
    result = built("semantic_fpn").train(data_for("semantic_fpn"), one_step, tmp_path, Recorder())
    assert set(result.not_honoured) == {"accumulate", "ema_decay", "augmentation"}


def test_a_recipe_may_clip_more_than_the_config_does(tmp_path):
    start = built("semantic_fpn")._fresh_network(0).module.state_dict()
    plain = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "schedule": "constant", "warmup_fraction": 0.0}
    one_step = recipe(budget={"steps": 1}, learning_rate=1.0, clip_gradient_norm=1e-4, seed=0, **plain)
    result = built("semantic_fpn").train(data_for("semantic_fpn"), one_step, tmp_path, Recorder())
    ends = torch.load(result.weights, weights_only=True)["state_dict"]
    learnt = [name for name in start if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    moved = torch.cat([(ends[name] - start[name]).flatten() for name in learnt])
    assert moved.norm().item() == pytest.approx(1e-4, rel=2e-2)


@pytest.mark.slow
def test_early_stopping_ends_a_training_that_gets_no_better(tmp_path):
    recorder = Recorder()
    idle = recipe(budget={"epochs": 20}, learning_rate=1e-12, early_stopping=2, validate_every=1)
    result = built("semantic_fpn").train(data_for("semantic_fpn"), idle, tmp_path, recorder)
    assert len(recorder.validations) < 8
    assert result.steps == recorder.validations[-1]["step"] == recorder.steps[-1]["step"]


@pytest.mark.slow
def test_a_label_map_network_learns_the_scenes_and_reports_what_it_scores(tmp_path):
    data = rectangles(16, 4)
    long = recipe(budget={"steps": 60}, learning_rate=0.003, checkpoint_every_s=60)
    recorder = Recorder()
    result = built("semantic_fpn").train(data, long, tmp_path, recorder)
    adapter = built("semantic_fpn", weights=result.weights)
    found = [p.labels for p in predict(adapter, [data.val.image(i) for i in range(4)])]
    ground_truth = [data.val.semantic(i) for i in range(4)]
    assert result.self_reported["val_mean_iou"] == pytest.approx(mean_iou(ground_truth, found), abs=0.01)
    assert result.self_reported["val_mean_iou"] == max(v["values"]["val_mean_iou"] for v in recorder.validations)
    assert result.self_reported["val_mean_iou"] > 0.6  # all ground would be about 0.28


def mean_iou(ground_truths, found):
    ground_truth, predicted = np.stack(ground_truths), np.stack(found)
    known = ground_truth != 255
    unions = {c: (((ground_truth == c) | (predicted == c)) & known).sum() for c in range(3)}
    both = {c: (((ground_truth == c) & (predicted == c)) & known).sum() for c in range(3)}
    return float(np.mean([both[c] / union for c, union in unions.items() if union]))


def test_clipping_bounds_the_norm_of_all_gradients_together(tmp_path, monkeypatch):
    norms = []
    step = torch.optim.SGD.step

    def measured(self, *args, **kwargs):
        gradients = [p.grad.flatten() for group in self.param_groups for p in group["params"] if p.grad is not None]
        norms.append(torch.cat(gradients).norm().item())
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.SGD, "step", measured)
    plain = recipe(optimizer="sgd", budget={"steps": 2}, learning_rate=1e-6)
    for limit, folder in ((0.01, "clipped"), (None, "free")):
        built("semantic_fpn", clip_gradients=limit).train(
            data_for("semantic_fpn"), plain, tmp_path / folder, Recorder()
        )
    assert norms[:2] == pytest.approx([0.01, 0.01], rel=1e-3)
    assert min(norms[2:]) > 0.02
