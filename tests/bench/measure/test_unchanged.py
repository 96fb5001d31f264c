"""Rule 7: a model that changes the images it is handed is refused, whenever it begins to."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.fake.adapter import Adapter as FakeAdapter
from bench.errors import ShapeError
from bench.measure.telemetry import Telemetry
from bench.measure.timing import time_model
from bench.measure.unchanged import InputWatch
from bench.records import Status, Target
from bench.records.store.runs import new_run
from bench.suite.model_configs import resolve_model
from tests.bench.builders import make_job
from tests.bench.measure.test_timing import BRIEF, Noise
from tests.bench.suites import run_suite, write_suite


def images():
    return [np.full((4, 5, 3), number, dtype=np.uint8) for number in range(3)]


@pytest.mark.parametrize("place", [(0, 0, 0), (3, 4, 2)])
def test_one_changed_value_of_one_image_is_seen_and_named(place):
    given = images()
    watch = InputWatch(given, ["a", "b", "c"], "unet")
    watch.check()
    given[1][place] ^= 1
    watch.check([0, 2])
    with pytest.raises(ShapeError, match=r"unet changed its input: image 'b' .* rule 7"):
        watch.check()


def test_the_sample_of_batches_thins_out_and_is_never_over():
    given = images()
    watch = InputWatch(given, ["a", "b", "c"], "unet")
    seen = []
    for number in range(1, 20):
        given[0][0, 0, 0] ^= 1
        try:
            watch.after_batch([0])
        except ShapeError:
            seen.append(number)
        given[0][0, 0, 0] ^= 1
    assert seen == [1, 2, 4, 8, 16]


@pytest.mark.parametrize("after", [0, 3, 11])
def test_a_timing_of_a_model_that_changes_its_input_ends(after):
    model = resolve_model("fake/changes_input", label=None, options={"after": after}, weights=None)
    job = make_job(kind="time", model=model, measurement=BRIEF, target=Target())
    adapter = FakeAdapter()
    adapter.build(model, job.task, job.target, None)
    with Telemetry("cpu") as telemetry, pytest.raises(ShapeError, match="changed its input"):
        time_model(adapter, Noise(), job, telemetry)


def test_a_prediction_of_a_changed_image_is_no_result(tmp_path):
    run = new_run(tmp_path, "suite")
    ran = run_suite(write_suite(tmp_path, ["fake/changes_input"]), run, tmp_path, kinds=("predict",))
    outcome = ran.outcome("predict", "fake/changes_input")
    assert outcome.status is Status.INVALID_OUTPUT
    assert "rule 7" in outcome.reason
