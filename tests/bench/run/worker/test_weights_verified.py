"""No worker runs weights that are not those its job was planned with."""

from __future__ import annotations

import pytest

from bench.errors import BenchError
from bench.records.store.files import content_sha256
from bench.records.store.layout import WEIGHTS
from bench.records.store.runs import new_run, read_job
from bench.run.worker.model import refuse_other_weights
from tests.bench.builders import make_job
from tests.bench.suites import job_folders, run_suite, write_suite


def test_weights_that_were_replaced_or_removed_since_the_plan_are_refused(tmp_path):
    weights = tmp_path / "w.pt"
    weights.write_bytes(b"one")
    job = make_job(weights=str(weights), weights_sha256=content_sha256(weights))
    refuse_other_weights(job, weights)
    weights.write_bytes(b"two")
    with pytest.raises(BenchError, match="is not the file that this job was planned with"):
        refuse_other_weights(job, weights)
    weights.unlink()
    with pytest.raises(BenchError, match=r"not at .* any more"):
        refuse_other_weights(job, weights)


def test_a_prediction_knows_the_hash_of_the_weights_that_its_training_left(tmp_path):
    suite = write_suite(tmp_path, ["fake/trains"], recipe={"budget": {"steps": 2}, "device": "cpu"})
    run = new_run(tmp_path, "suite")
    run_suite(suite, run, tmp_path, kinds=("train", "predict"))
    (train,), (predict,) = job_folders(run, "train"), job_folders(run, "predict")
    assert read_job(predict).job.weights_sha256 == content_sha256(next((train / WEIGHTS).iterdir()))
