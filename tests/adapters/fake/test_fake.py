"""The fakes do what their model configs say, so that what they test is tested."""

from __future__ import annotations

import time

import numpy as np
import pytest

from adapters.fake.adapter import Adapter, wait_ms
from bench.adapter import predict
from bench.data.formats.by_name import open_dataset
from bench.errors import BenchError, Unsupported
from bench.records import Target, TaskSpec
from bench.suite.model_configs import model_config_files, resolve_model

SHAPES = {"preset": "easy", "size": [32, 32], "test": 6}
DATASET = open_dataset("shapes", SHAPES)
TASK = TaskSpec(kind="semantic", classes=DATASET.classes)
IDS = DATASET.ids("test")


def built(config: str, **options) -> Adapter:
    adapter = Adapter()
    adapter.build(resolve_model(config, label=None, options=options, weights=None), TASK, Target(), None)
    return adapter


def labels(adapter: Adapter) -> np.ndarray:
    return np.stack([predict(adapter, [DATASET.image(i)])[0].labels for i in IDS])


TRUTH = np.stack([DATASET.target(i).semantic.labels for i in IDS])


def test_perfect_answers_with_the_ground_truth():
    assert (labels(built("fake/perfect", dataset=SHAPES)) == TRUTH).all()


def test_noisy_spoils_its_share_of_the_pixels_and_the_same_ones_each_time():
    adapter = built("fake/noisy", dataset=SHAPES, flipped=0.2)
    first = labels(adapter)
    assert (first == labels(adapter)).all()
    # A fifth is drawn anew from 10 classes, so a tenth of it stays right: 18 % differ. 6144 pixels: σ = 0.5 %.
    assert np.mean(first != TRUTH) == pytest.approx(0.18, abs=0.025)


def test_an_image_it_does_not_know_is_answered_with_class_0():
    other = open_dataset("shapes", {**SHAPES, "seed": 1})
    adapter = built("fake/perfect", dataset=SHAPES)
    assert (predict(adapter, [other.image(IDS[0])])[0].labels == 0).all()


@pytest.mark.parametrize("milliseconds", [0.0, 0.5, 4.0])
def test_a_wait_is_never_short_and_hardly_long(milliseconds):
    took_ms, patience_ends = [], time.monotonic() + 30
    # A busy machine interrupts many waits, and none of a thousand only if none is ever exact.
    while len(took_ms) < 20 or (min(took_ms) >= milliseconds + 0.05 and time.monotonic() < patience_ends):
        start = time.perf_counter()
        wait_ms(milliseconds)
        took_ms.append((time.perf_counter() - start) * 1e3)
    assert min(took_ms) >= milliseconds
    assert min(took_ms) < milliseconds + 0.05


def test_an_option_that_is_not_there_is_named():
    with pytest.raises(BenchError, match=r"fake/perfect.*colour"):
        built("fake/perfect", colour="red")


def test_the_fakes_run_on_no_gpu():
    model = resolve_model("fake/perfect", label=None, options={}, weights=None)
    with pytest.raises(Unsupported, match="cpu only"):
        Adapter().build(model, TASK, Target(device="cuda"), None)


def test_no_config_of_a_fake_asks_for_a_recipe_but_those_that_train():
    fakes = [name for name in model_config_files() if name.startswith("fake/")]
    trainable = [n for n in fakes if resolve_model(n, label=None, options={}, weights=None).trainable]
    assert sorted(trainable) == ["fake/learns", "fake/trains"]
