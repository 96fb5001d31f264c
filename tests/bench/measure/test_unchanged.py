"""Rule 7: a model that changes the images it is handed is refused, whenever it begins to."""

from __future__ import annotations

import numpy as np
import pytest

import bench
from adapters.fake.adapter import Adapter as FakeAdapter
from bench.errors import ShapeError
from bench.measure.telemetry import Telemetry
from bench.measure.timing import time_model
from bench.measure.unchanged import InputWatch
from bench.records import Status, Target
from bench.records.prompts import PromptedImage, Prompts
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


def test_a_changed_form_or_prompt_of_an_image_is_a_change_too():
    prompts = Prompts("point", np.array([[1.0, 2.0]]))
    given = [PromptedImage(image, prompts) for image in images()]
    watch = InputWatch(given, ["a", "b", "c"], "sam")
    given[0].prompts.xy[:] *= 0.5  # into the coordinates of the network
    with pytest.raises(ShapeError, match=r"image 'a', or its prompts, is not what .* rule 7"):
        watch.check()
    plain = images()
    watch = InputWatch(plain, ["a", "b", "c"], "unet")
    plain[2].shape = (5, 4, 3)
    with pytest.raises(ShapeError, match="image 'c' is not"):
        watch.check()


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


@pytest.mark.parametrize("kind", ["profile", "throughput"])
def test_a_model_that_changes_its_input_under_load_or_in_a_profile_is_noticed(tmp_path, kind):
    asked = {
        "profile": {"operations": False, "energy": False},
        "throughput": {"min_s": 0.1, "max_s": 1.0, "scenarios": ["single_stream"], "sweep": False},
    }
    # One call predicts all four images; each job has a process of its own.
    model, target = {"name": "fake/changes_input", "options": {"after": 1}}, {"device": "cpu", "batch_size": 4}
    suite = write_suite(tmp_path, [model], targets=[target], **{kind: asked[kind]})
    ran = run_suite(suite, new_run(tmp_path, "suite"), tmp_path, kinds=("predict", kind))
    assert ran.outcome("predict", "fake/changes_input").status is Status.OK
    outcome = ran.outcome(kind, "fake/changes_input")
    assert outcome.status is Status.INVALID_OUTPUT
    assert "rule 7" in outcome.reason


def test_a_model_in_this_process_does_not_change_the_arrays_of_its_caller_in_silence(tmp_path):
    (tmp_path / "classes.txt").write_text("background\ndisc\n")
    model = bench.load_model("fake/changes_input", options={"after": 3}, classes=tmp_path / "classes.txt")
    assert len(model.predict(images())) == 3
    with pytest.raises(ShapeError, match="changed its input"):
        model.predict(images())
