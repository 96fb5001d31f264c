"""A training in two processes that share every batch, as a worker does it."""

from __future__ import annotations

import json

import pytest
import torch

from bench.records import Outcome, read_record
from bench.records.store import layout
from bench.records.store.runs import new_run
from tests.bench.suites import job_folders, run_suite, write_suite

RECIPE = {
    "budget": {"steps": 5},
    "batch_size": 4,
    "device": "cpu",
    "threads": 2,
    "learning_rate": 0.05,
    "optimizer": "sgd",
    "momentum": 0.0,
}


def trained(tmp_path, name, **changes):
    model = {"name": "unet/group_norm", "options": {"depth": 2, "base_width": 4}}
    suite = write_suite(tmp_path, [model], name=name, recipe={**RECIPE, **changes})
    run = new_run(tmp_path / "results", name)
    run_suite(suite, run, tmp_path / "results", kinds=("train",))
    (folder,) = job_folders(run, "train")
    outcome = read_record(Outcome, folder / layout.OUTCOME)
    assert outcome.status == "ok", (outcome.reason, (folder / "worker.log").read_text())
    return folder, outcome.facts


def weights(folder):
    state = torch.load(folder / "weights/last.pt", weights_only=True)["state_dict"]
    return torch.cat([tensor.flatten() for tensor in state.values()])


@pytest.mark.slow
def test_two_processes_train_the_weights_that_one_trains_and_the_first_alone_reports(tmp_path):
    alone, one = trained(tmp_path, "alone")
    shared, two = trained(tmp_path, "shared", devices=2)
    half, _ = trained(tmp_path, "half", batch_size=2)
    assert (two.trained_steps, two.trained_images) == (one.trained_steps, one.trained_images) == (5, 20)
    # Void pixels weigh a little differently where a mean is taken of two means.
    assert (weights(shared) - weights(alone)).norm() < 0.05 * (weights(half) - weights(alone)).norm()

    events = [json.loads(line) for line in (shared / layout.TRAINING_LOG).read_text().splitlines()]
    assert sum(event["event"] == "planned" for event in events) == 1
    assert [event["step"] for event in events if event["event"] == "step"][-1] == 5
    assert sorted(path.name for path in (shared / "weights").iterdir()) == ["best.pt", "checkpoint.pt", "last.pt"]
