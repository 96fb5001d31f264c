"""A training log is read as far as it got, whatever ended it."""

from __future__ import annotations

import json

import pytest

from bench.records.store.training_log import read_training_log


def step(number, **changes):
    line = {"event": "step", "step": number, "images": 8 * number, "train_s": number / 2, "loss": 1 / number}
    return {**line, "learning_rate": 0.1, **changes}


def validated(number, iou, **changes):
    return {
        "event": "validated", "step": number, "images": 8 * number, "train_s": number / 2,
        "values": {"val_mean_iou": iou}, **changes,
    }  # fmt: skip


@pytest.fixture
def log_of(tmp_path):
    def read(*events, ending=""):
        file = tmp_path / "training.jsonl"
        file.write_text("".join(json.dumps(event) + "\n" for event in events) + ending)
        return read_training_log(file)

    return read


def test_a_finished_log_has_its_plan_its_steps_and_its_validations(log_of):
    log = log_of({"event": "planned", "steps": None, "seconds": 3.0}, step(2), step(4), validated(4, 0.5), step(6))
    assert (log.planned_steps, log.planned_s) == (None, 3.0)
    assert [(s.step, s.images, s.train_s) for s in log.steps] == [(2, 16, 1.0), (4, 32, 2.0), (6, 48, 3.0)]
    assert [(v.step, v.values) for v in log.validations] == [(4, {"val_mean_iou": 0.5})]
    assert log.last.step == 6


def test_a_line_cut_off_by_a_kill_is_left_out(log_of):
    log = log_of(step(1), ending=json.dumps(step(2))[:30])
    assert [s.step for s in log.steps] == [1]


def test_without_a_step_there_is_nothing(log_of, tmp_path):
    assert log_of() is None
    assert log_of({"event": "planned", "steps": 5, "seconds": None}) is None
    assert read_training_log(tmp_path / "none.jsonl") is None


def test_steps_that_were_done_again_after_a_kill_count_once_as_they_were_the_second_time(log_of):
    plan = {"event": "planned", "steps": 9, "seconds": None}
    # killed after step 6, gone on from a checkpoint at step 3
    log = log_of(
        plan, step(2), validated(3, 0.1), step(4), validated(5, 0.2), step(6),
        plan, step(4, loss=7.0), validated(5, 0.3), step(8),
    )  # fmt: skip
    assert [(s.step, s.loss) for s in log.steps] == [(2, 0.5), (4, 7.0), (8, 0.125)]
    assert [(v.step, v.values["val_mean_iou"]) for v in log.validations] == [(3, 0.1), (5, 0.3)]
