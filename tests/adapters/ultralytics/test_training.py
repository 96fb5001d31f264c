from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml

from adapters._torch.training.order import ImageOrder
from adapters.ultralytics.arguments import training_side
from bench.adapter import predict
from bench.errors import BenchError, Unsupported
from bench.records import Budget, Recipe, Size, Target
from bench.records.predictions import SemanticMap
from tests.adapters.rectangles import Recorder
from tests.adapters.ultralytics.yolo import CHECKPOINT, EpochOrder, built, images, recipe, scenes

KINDS = pytest.mark.parametrize("kind", ["instance", "semantic"])
STATE = "state_dict"


def state_of(path):
    return torch.load(path, weights_only=True)[STATE]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@KINDS
def test_a_training_ends_with_its_budget_and_reports_what_it_was(tmp_path, kind):
    recorder = Recorder()
    result = built(kind).train(scenes(kind, 10, 2), recipe(5), tmp_path, recorder)
    assert (result.steps, result.images) == (5, 20)
    assert recorder.plans == [{"steps": 5, "seconds": None}]
    assert recorder.steps[-1]["step"] == 5
    # Two steps of four images an epoch of ten: validated after 2 and 4, and at the end.
    assert [v["step"] for v in recorder.validations] == [2, 4, 5]
    figures = {"instance": {"mask_map50", "mask_map"}, "semantic": {"mean_iou", "pixel_accuracy"}}[kind]
    assert {name.removeprefix("val_") for name in recorder.validations[-1]["values"]} == figures | {"loss"}
    assert figures <= set(result.self_reported)
    assert not (tmp_path / "ultralytics/data").exists()


@pytest.mark.slow
@KINDS
def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path, kind):
    class Cut(Recorder):
        def step(self, *, step, **more):
            if step >= 3:
                raise KeyboardInterrupt

    plan = recipe(6, checkpoint_every_s=1e-9, validate_every=2)
    whole = built(kind).train(scenes(kind, 10, 2), plan, tmp_path / "whole", Recorder())
    with pytest.raises(KeyboardInterrupt):
        built(kind).train(scenes(kind, 10, 2), plan, tmp_path / "cut", Cut())
    halfway = torch.load(tmp_path / "cut" / CHECKPOINT, weights_only=True)["clock"][0]
    assert 0 < halfway < 6
    resumed = built(kind).train(scenes(kind, 10, 2), plan, tmp_path / "cut", Recorder())
    assert resumed.steps == 6
    assert same(state_of(tmp_path / "whole/last.pt"), state_of(tmp_path / "cut/last.pt"))
    assert resumed.self_reported == whole.self_reported


def test_a_finished_training_is_not_trained_again(tmp_path):
    first = built().train(scenes(), recipe(2), tmp_path, Recorder())
    recorder = Recorder()
    again = built().train(scenes(), recipe(2), tmp_path, recorder)
    assert (again.steps, again.self_reported, recorder.steps) == (2, first.self_reported, [])


@pytest.mark.slow
def test_the_checkpoint_of_another_training_is_refused(tmp_path):
    built().train(scenes(), recipe(2), tmp_path, Recorder())
    with pytest.raises(BenchError, match="is the checkpoint of another training"):
        built().train(scenes(), recipe(2, learning_rate=0.1), tmp_path, Recorder())


@pytest.mark.slow
@KINDS
def test_what_was_saved_predicts_what_was_in_memory(tmp_path, kind, trained):
    result, target = trained(kind), Target(threads=1, image_size=Size(64, 64))
    pictures = images(Size(24, 32), Size(21, 40))
    first, second = (predict(built(kind, weights=result.weights, target=target), pictures) for _ in range(2))
    assert [p.content_hash() for p in first] == [p.content_hash() for p in second]
    averaged = torch.load(result.weights.parent / CHECKPOINT, weights_only=True)["averaged"]
    assert same(averaged, state_of(result.weights.parent / "last.pt"))


def test_it_learns_to_label_the_scenes(trained):
    adapter = built("semantic", weights=trained("semantic").weights, target=Target(threads=1, image_size=Size(64, 64)))
    data = scenes("semantic").val
    right = []
    for i in range(4):
        (found,) = predict(adapter, [data.image(i)])
        assert isinstance(found, SemanticMap)
        target = data.semantic(i)
        right.append((found.labels == target)[target != 255].mean())
    assert np.mean(right) > 0.9  # all ground would be about 0.83


def test_its_own_figures_are_reported_with_what_the_export_lost(trained):
    reported = trained("instance").self_reported
    assert reported["mask_map50"] > 0.3
    assert reported["export_instances"] == 48  # two a scene


@pytest.mark.few(1)
@KINDS
def test_the_framework_is_called_with_the_recipe_and_without_its_augmentation(tmp_path, kind):
    plan = recipe(2, optimizer="sgd", momentum=0.8, weight_decay=0.01, flip=False, seed=5)
    result = built(kind).train(scenes(kind, 8, 2), plan, tmp_path, Recorder())
    called = yaml.safe_load((tmp_path / "ultralytics/args.yaml").read_text())
    expected = {"optimizer": "SGD", "momentum": 0.8, "weight_decay": 0.01, "fliplr": 0.0, "seed": 5, "batch": 4}
    expected |= {"mosaic": 0.0, "hsv_v": 0.0, "translate": 0.0, "scale": 0.0, "imgsz": 64, "workers": 0, "amp": False}
    assert {name: called[name] for name in expected} == expected
    assert set(result.not_honoured) == {"loss", "image_size", "weight_decay", "momentum"}


def test_the_learning_rate_is_the_recipes(tmp_path):
    recorder = Recorder()
    plan = recipe(4, schedule="constant", warmup_fraction=0.0, learning_rate=0.0123)
    built().train(scenes(), plan, tmp_path, recorder)
    assert {step["learning_rate"] for step in recorder.steps} == {0.0123}


def test_a_diverging_training_is_told(tmp_path):
    plan = recipe(60, learning_rate=1e9, optimizer="sgd", warmup_fraction=0.0, schedule="constant")
    with pytest.raises(BenchError, match=r"training diverged.*Lower 'learning_rate'"):
        built("semantic").train(scenes("semantic"), plan, tmp_path, Recorder())


def test_fp16_on_a_cpu_is_refused(tmp_path):
    with pytest.raises(Unsupported, match="fp16 needs a CUDA device"):
        built().train(scenes(), recipe(1, precision="fp16"), tmp_path, Recorder())


@pytest.mark.slow
@KINDS
def test_bf16_on_a_cpu_trains_otherwise_than_fp32(tmp_path, kind):
    losses = []
    for precision in ("fp32", "bf16"):
        recorder = Recorder()
        built(kind).train(scenes(kind, 4, 0), recipe(1, precision=precision), tmp_path / precision, recorder)
        losses.append(recorder.steps[-1]["loss"])
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_an_empty_training_split_is_told(tmp_path):
    with pytest.raises(BenchError, match="the training split has no images"):
        built().train(scenes("instance", 0, 2), recipe(1), tmp_path, Recorder())


@pytest.mark.parametrize(
    ("image_size", "sizes", "side"),
    [
        (None, [Size(24, 32)], 64),  # no smaller than two cells of the coarsest map
        (None, [Size(100, 90), Size(90, 130)], 160),
        (Size(96, 128), [Size(500, 500)], 128),
        (Size(128, 128), [Size(10, 10)], 128),
    ],
)
def test_training_images_are_squares_in_multiples_of_32_that_hold_the_size_asked_for(image_size, sizes, side):
    assert training_side(Recipe(budget=Budget(steps=1), image_size=image_size), sizes) == side


def test_what_the_trainer_does_otherwise_or_not_at_all_is_named(tmp_path):
    asked = {"accumulate": 2, "ema_decay": 0.9, "augmentation": {"rotate_deg": 5.0}, "clip_gradient_norm": 1.0}
    plan = recipe(1, validate_every=None, early_stopping=9, class_balanced=True, **asked)
    result = built("semantic").train(scenes("semantic"), plan, tmp_path, Recorder())
    assert set(asked) <= set(result.not_honoured)
    assert not {"early_stopping", "class_balanced"} & set(result.not_honoured)


def test_an_epoch_shows_every_image_once_but_for_what_fills_no_batch():
    order = EpochOrder(ImageOrder(10, batch_size=4, seed=3, flip=False))
    first = list(order)
    assert len(set(first)) == len(first) == 8
    order.step = 1
    assert list(order) == first[4:]
    order.step = 2
    assert list(order) != first
