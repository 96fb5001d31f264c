"""Tests what every adapter keeps, whatever framework is behind it; the rules are in adapters/README.md.

An adapter is held to it by the file `contract.yaml` in its folder, which names its models; see "Add a
framework" in adapters/README.md.
"""

from __future__ import annotations

import json
import os
import random
import warnings
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from bench.adapter import TrainingResult, load_adapter, predict
from bench.errors import BenchError, Unsupported
from bench.records import JobFacts, Recipe, Size, Target, TaskSpec
from bench.records.predictions import Panoptic, SemanticMap, check_prediction
from bench.records.probabilities import quantised
from bench.run.planning.plugin_checks import abilities_of
from bench.suite.model_configs import model_config_files, resolve_model
from tests.adapters.contracts import contracts
from tests.adapters.rectangles import (
    INSTANCES,
    PANOPTIC,
    THREE_CLASSES,
    TWO_CLASSES,
    Recorder,
    rectangles,
    short_recipe,
)

SMALL_UNET = {"base_width": 4}
BINARY = {"unet/binary_sigmoid", "unet/pupil", "unet/classic_binary_sigmoid", "unet/classic_human"}
TASKS = {"semantic": THREE_CLASSES, "instance": INSTANCES, "panoptic": PANOPTIC}
CONTRACTS = contracts()
DECLARED = {
    f"{adapter}/{name}": model
    for adapter, found in CONTRACTS.items()
    for name, model in found.get("models", {}).items()
}
REPRESENTATIVES = {model_config: model["options"] for model_config, model in DECLARED.items()}
"""A model config of each kind of network, with options that make it small."""

RECIPES = {model_config: (model["steps"], model["learning_rate"]) for model_config, model in DECLARED.items()}
"""Model config -> steps and learning rate until its answers depend on the image; the small U-Nets learn fast."""

UNET_RECIPE = RECIPES["unet/transposed"]


def model_config_parameters(model_config, options, *, trains=True):
    """A model config with its options and task; slow where the contract says so of the tests that train it."""
    task = TWO_CLASSES if model_config in BINARY else TASKS[resolve_model(model_config).task]
    adapter = model_config.split("/")[0]
    module = CONTRACTS[adapter]["modules"][0]
    slow = DECLARED[model_config].get("slow") if model_config in DECLARED else model_config not in QUICK_UNETS
    missing = pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed; make install")
    marks = [missing, pytest.mark.slow] if trains and slow else missing
    return pytest.param(model_config, options, task, id=model_config, marks=marks)


QUICK_UNETS = {"unet/transposed", "unet/components", "unet/components_instances", "unet/classic", "unet/binary_sigmoid"}
"""One of each way to go up, and to answer; the others are slow tests."""
UNETS = {model_config: SMALL_UNET for model_config in sorted(model_config_files()) if model_config.startswith("unet/")}
EVERY_CARD = pytest.mark.parametrize(
    ("model_config", "options", "task"), [model_config_parameters(*one) for one in {**UNETS, **REPRESENTATIVES}.items()]
)
ONE_PER_ADAPTER = pytest.mark.parametrize(
    ("model_config", "options", "task"), [model_config_parameters(*one) for one in REPRESENTATIVES.items()]
)

MIXED = [Size(24, 32), Size(17, 19), Size(40, 21)]


def built(model_config, options, task, weights=None, **target):
    adapter = load_adapter(model_config.split("/")[0])
    adapter.build(resolve_model(model_config, options=options), task, Target(threads=1, **target), weights)
    return adapter


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """Train a model config once; an untrained network may give one answer to everything."""
    done = {}

    def train(model_config, options, task):
        if model_config not in done:
            recorder, out = Recorder(), tmp_path_factory.mktemp("trained")
            steps, rate = RECIPES.get(model_config, UNET_RECIPE)
            recipe = short_recipe(budget={"steps": steps}, learning_rate=rate)
            result = built(model_config, options, task).train(scenes(task), recipe, out, recorder)
            done[model_config] = (result, recorder, out)
        return done[model_config]

    return train


@pytest.fixture(scope="module")
def shared(training):
    """Return an adapter of a model config, trained or not, that its tests share: only those of one are kept."""
    kept = {}

    def of(model_config, options, task, *, learnt=False):
        if all(name != model_config for name, _ in kept):
            kept.clear()
        if (model_config, learnt) not in kept:
            one = (model_config, options, task)
            kept[model_config, learnt] = trained(training, *one) if learnt else built(*one)
        return kept[model_config, learnt]

    return of


def trained(training, model_config, options, task):
    if not resolve_model(model_config).trainable:
        return built(model_config, options, task)
    return built(model_config, options, task, training(model_config, options, task)[0].weights)


def scenes(task):
    return rectangles(8, 2, task=task)


def images(sizes):
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def checked(adapter, sizes, task):
    found = predict(adapter, images(sizes))
    assert len(found) == len(sizes)
    for size, prediction in zip(sizes, found, strict=True):
        check_prediction(
            prediction, kind=task.kind, num_classes=len(task.classes), size=size, image_id="drawn", model="tested"
        )
    return [prediction.content_hash() for prediction in found]


def agree(one, other):
    """Equal but for what the order of floating-point sums can move: a pixel in a thousand, a score by 1e-4."""
    if isinstance(one, SemanticMap):
        return (one.labels == other.labels).mean() >= 0.999
    if isinstance(one, Panoptic):
        return (one.segment_ids == other.segment_ids).mean() >= 0.999
    if one.masks.shape != other.masks.shape or (one.class_ids != other.class_ids).any():
        return False
    same_pixels = (one.masks == other.masks).mean() if one.masks.size else 1.0
    return np.allclose(one.scores, other.scores, atol=1e-4) and same_pixels >= 0.999


def process_state():
    """What one framework could change for the next."""
    return {
        "torch threads": torch.get_num_threads(),
        "OpenCV threads": cv2.getNumThreads(),
        "environment": dict(os.environ),
        "default dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch generator": torch.get_rng_state().tolist(),
        "NumPy generator": np.random.get_state()[1].tolist(),
        "Python generator": random.getstate(),
        "print options": {k: v for k, v in np.get_printoptions().items() if k != "formatter"},
        "torch.save": torch.save,
        "warning filters": list(warnings.filters),
        "working folder": Path.cwd(),
    }


@pytest.mark.few(5)
@EVERY_CARD
def test_predictions_keep_rules_3_to_5_for_images_of_several_sizes_at_once(model_config, options, task, shared):
    checked(shared(model_config, options, task), MIXED, task)


@pytest.mark.few(8)
@ONE_PER_ADAPTER
@pytest.mark.parametrize("image_size", [Size(16, 16), Size(31, 45)])
def test_a_network_input_size_does_not_change_the_size_of_the_answer(model_config, options, task, image_size):
    checked(built(model_config, options, task, image_size=image_size), MIXED, task)


@ONE_PER_ADAPTER
def test_an_image_one_pixel_wide_is_answered(model_config, options, task, shared):
    checked(shared(model_config, options, task), [Size(9, 1)], task)


@pytest.mark.few(3)
@EVERY_CARD
def test_the_same_images_get_the_same_answer_again_and_from_another_build(
    model_config, options, task, training, shared
):
    first, second = shared(model_config, options, task, learnt=True), trained(training, model_config, options, task)
    answer = checked(first, MIXED, task)
    assert checked(first, MIXED, task) == answer
    assert checked(second, MIXED, task) == answer


@ONE_PER_ADAPTER
def test_an_image_is_answered_alike_alone_and_in_a_batch(model_config, options, task, shared):
    adapter, data = shared(model_config, options, task, learnt=True), scenes(task)
    pictures = [data.train.image(i) for i in range(4)]
    together = predict(adapter, pictures)
    for picture, in_batch in zip(pictures, together, strict=True):
        assert agree(predict(adapter, [picture])[0], in_batch)


@ONE_PER_ADAPTER
def test_the_stages_one_by_one_give_what_predict_gives(model_config, options, task, shared):
    adapter = shared(model_config, options, task, learnt=True)
    pictures = images(MIXED)
    raw = adapter.infer(adapter.preprocess(pictures))
    adapter.synchronize()
    by_stage = adapter.postprocess(raw, [Size(*picture.shape[:2]) for picture in pictures])
    assert [p.content_hash() for p in by_stage] == [p.content_hash() for p in predict(adapter, pictures)]


@ONE_PER_ADAPTER
def test_probabilities_are_what_the_answer_was_chosen_by_or_are_refused_as_unsupported(
    model_config, options, task, shared
):
    adapter, pictures, model = shared(model_config, options, task), images(MIXED), resolve_model(model_config)
    raw = adapter.infer(adapter.preprocess(pictures))
    able = abilities_of(resolve_model(model_config, options=options))
    if model.task != "semantic" or (able is not None and not able.probabilities):
        with pytest.raises(Unsupported):
            adapter.probabilities(raw, MIXED)
        return
    pairs = zip(adapter.postprocess(raw, MIXED), adapter.probabilities(raw, MIXED), MIXED, strict=True)
    for answer, values, size in pairs:
        kept = quantised(values, num_classes=len(task.classes), size=size, image_id="drawn", model="tested")
        named = answer.labels < len(task.classes)
        of_named = np.take_along_axis(values, np.where(named, answer.labels, 0)[None].astype(np.int64), axis=0)[0]
        assert (of_named >= values.max(axis=0) - 1e-5)[named].mean() >= 0.999
        assert kept.levels.any()


@pytest.mark.few(4)
@ONE_PER_ADAPTER
def test_the_process_is_left_as_it_was(model_config, options, task, training, shared):
    shared(model_config, options, task, learnt=True)  # what only a first import does is not repeated below
    before = process_state()
    adapter = trained(training, model_config, options, task)
    predict(adapter, images(MIXED))
    assert process_state() == before
    assert adapter.describe()["threads"]["torch"] == torch.get_num_threads() == 1


@ONE_PER_ADAPTER
def test_images_are_left_as_they_were_and_may_be_read_only(model_config, options, task, shared):
    pictures = images(MIXED)
    copies = [picture.copy() for picture in pictures]
    for picture in pictures:
        picture.flags.writeable = False
    predict(shared(model_config, options, task), pictures)
    assert all(np.array_equal(a, b) for a, b in zip(pictures, copies, strict=True))


@ONE_PER_ADAPTER
def test_an_answer_depends_on_its_image_and_is_not_overwritten_by_a_later_call(model_config, options, task, shared):
    adapter, data = shared(model_config, options, task, learnt=True), scenes(task)
    early = predict(adapter, [data.train.image(0)])[0]
    early_hash = early.content_hash()
    # After some steps of training a network may see nothing in two pictures that are much alike; these are not.
    (noise,) = images([Size(*data.train.image(0).shape[:2])])
    late = [predict(adapter, [picture])[0].content_hash() for picture in (data.train.image(1), noise, 255 - noise)]
    assert early.content_hash() == early_hash
    assert set(late) != {early_hash}


@EVERY_CARD
def test_facts_and_versions_fit_the_record_of_a_job(model_config, options, task, shared):
    adapter = shared(model_config, options, task)
    facts = json.loads(json.dumps(adapter.describe()))
    known = JobFacts(**{k: v for k, v in facts.items() if k in JobFacts.model_fields}, versions=adapter.versions())
    assert isinstance(adapter.fused_stages, tuple)
    assert known.versions
    assert known.parameters is None or known.parameters >= (known.trainable_parameters or 0)


@ONE_PER_ADAPTER
def test_on_a_cpu_there_are_no_device_clock_and_no_device_memory(model_config, options, task, shared):
    adapter = shared(model_config, options, task)
    adapter.synchronize()
    adapter.reset_peak_device_bytes()
    assert adapter.device_timer() is None
    assert adapter.peak_device_bytes() is None


@ONE_PER_ADAPTER
@pytest.mark.parametrize("target", [{"precision": "fp16"}, {"device": "cuda:7"}, {"device": "quantum"}])
def test_what_cannot_be_had_is_refused_as_unsupported(model_config, options, task, target):
    with pytest.raises(Unsupported):
        built(model_config, options, task, **target)


@ONE_PER_ADAPTER
def test_a_task_of_another_form_is_refused_as_unsupported(model_config, options, task):
    with pytest.raises(Unsupported):
        built(
            model_config,
            options,
            TaskSpec(kind="semantic" if task.kind == "panoptic" else "panoptic", classes=task.classes),
        )


@ONE_PER_ADAPTER
def test_an_unknown_option_is_a_usage_error_that_is_named(model_config, options, task):
    with pytest.raises(BenchError, match="no_such_option"):
        built(model_config, {**options, "no_such_option": 1}, task)


@EVERY_CARD
def test_training_reports_and_leaves_weights_that_a_build_reads_back(model_config, options, task, training, shared):
    if not resolve_model(model_config).trainable:
        with pytest.raises(Unsupported):
            training(model_config, options, task)
        return
    result, recorder, out = training(model_config, options, task)
    assert isinstance(result, TrainingResult)
    assert out in result.weights.parents
    steps, _ = RECIPES.get(model_config, UNET_RECIPE)
    assert (result.steps, result.images) == (steps, 4 * steps)
    assert result.train_s > 0
    assert recorder.plans
    assert recorder.steps[-1]["step"] == steps
    assert set(result.not_honoured) <= set(Recipe.model_fields)
    scene = [scenes(task).train.image(0)]
    both = (shared(model_config, options, task, learnt=learnt) for learnt in (True, False))
    found, untrained = (predict(adapter, scene)[0].content_hash() for adapter in both)
    assert found != untrained
