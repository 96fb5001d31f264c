"""Every way a worker can end, in a real worker process, and what the outcome says about it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.records import Outcome, Status
from bench.records.store.runs import new_run
from tests.bench.suites import run_suite, write_suite

CONFIGS = {
    "fake/crashes": (Status.CRASHED, "RuntimeError: this fake crashes, as its name says"),
    "fake/segfaults": (Status.CRASHED, "was killed by SIGSEGV before it reported a result."),
    "fake/exits": (Status.CRASHED, "ended with exit code 3 before it reported a result."),
    "fake/hangs": (Status.TIMEOUT, "was over its limit of 10 s; raise it under 'timeouts' in the suite."),
    "fake/eats_memory": (Status.OOM_HOST, "ran out of host memory: it may take at most"),
    "fake/oom_device": (Status.OOM_DEVICE, "ran out of device memory; use a smaller batch or image size"),
    "fake/unsupported": (Status.UNSUPPORTED, "this fake supports nothing, as its name says"),
    "fake/missing_package": (Status.ENVIRONMENT_ERROR, f"a_package_that_nobody_has, which {sys.executable}"),
    "fake/wrong_shape": (Status.INVALID_OUTPUT, "labels of shape (16, 32)"),
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """All of them in one run, with one that is well at the end."""
    folder = tmp_path_factory.mktemp("endings")
    suite = write_suite(folder, [*CONFIGS, "fake/slow_5ms"], timeouts={"predict_s": 10.0})
    return run_suite(suite, new_run(folder / "results", "suite"), folder / "results", kinds=("predict",))


@pytest.mark.few(2)
@pytest.mark.parametrize("config", CONFIGS)
def test_each_way_to_end_has_its_status_and_a_reason(ran, config):
    status, reason = CONFIGS[config]
    outcome: Outcome = ran.outcome("predict", config)
    assert outcome.status is status
    assert reason in outcome.reason


def test_a_model_that_ends_badly_does_not_stop_the_next(ran):
    assert ran.outcome("predict", "fake/slow_5ms").status is Status.OK


def test_every_failure_is_counted_and_what_is_unsupported_is_none(ran):
    failed = {case.partition("@")[0] for case in ran.summary.failed}
    assert failed == set(CONFIGS) - {"fake/unsupported"}


def test_only_what_was_predicted_is_scored(ran):
    assert ran.scored == ["fake/slow_5ms"]


def test_a_signal_is_kept_by_name_and_an_exit_by_code(ran):
    assert ran.outcome("predict", "fake/segfaults").signal == "SIGSEGV"
    assert ran.outcome("predict", "fake/exits").exit_code == 3


def test_an_unexpected_exception_keeps_its_whole_traceback(ran):
    assert "in _crash" in ran.outcome("predict", "fake/crashes").traceback


def test_a_wrong_shape_names_model_image_and_size(ran):
    reason = ran.outcome("predict", "fake/wrong_shape").reason
    assert all(part in reason for part in ("fake/wrong_shape", "shapes-test-00000", "(32, 32)"))


def test_a_crash_after_some_images_ends_as_one_at_the_first(tmp_path):
    model = {"name": "fake/crashes", "options": {"behaviour": "crashes", "after": 2}}
    suite = write_suite(tmp_path, [model])
    run = new_run(tmp_path / "results", "suite")
    outcome = run_suite(suite, run, tmp_path / "results", kinds=("predict",)).outcome("predict", "fake/crashes")
    assert outcome.status is Status.CRASHED
    (folder,) = Path(run.jobs).glob("predict-*")
    assert not (folder / "predictions" / "index.json").exists()
