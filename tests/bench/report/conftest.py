"""A run made of fixed arrays: real records and files, no model, the same bits every time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.data.formats.by_name import open_dataset
from bench.records import DatasetSpec, JobFacts, Measurement, Outcome, Status, Target, TaskSpec
from bench.records.predictions import SemanticMap, save_prediction
from bench.records.store import layout
from bench.records.store.files import write_atomically, write_record
from bench.records.store.layout import RunFolder
from bench.records.store.samples import STAGED, Samples
from bench.records.store.views import Plan, PlannedCase
from tests.bench.builders import make_case, make_job, make_model, make_recipe, score_planned_case

OPTIONS = {"preset": "easy", "size": [48, 64], "test": 12}
MEASUREMENT = Measurement(replicates=2, images=12)
ENVIRONMENT = {
    "cpu": {"model": "A processor", "cores_allowed": 2, "governor": None, "boost": "on"},
    "gpus": "no NVIDIA driver",
    "system": {"distribution": "Some Linux", "kernel": "Linux 6.0", "container": False, "hypervisor": True},
    "git": {"commit": "0123456789abcdef", "dirty": True},
}


def samples(rng: np.random.Generator, ids: tuple[str, ...], infer_ms: float, count: int = 240) -> Samples:
    """Samples of one process: alternating clocks, two blocks, lognormal noise of 3 %."""
    noise = rng.lognormal(0.0, 0.03, (count, 3))
    stage_ns = (np.array([0.2, infer_ms, 0.5]) * 1e6 * noise).astype(np.int64)
    clock = (np.arange(count) % 2).astype(np.int8)
    return Samples(
        clock=clock,
        total_ns=stage_ns.sum(axis=1),
        stage_ns=np.where((clock == STAGED)[:, None], stage_ns, 0),
        device_ns=np.full(count, -1, dtype=np.int64),
        image_index=(np.arange(count) // 2 % len(ids)).astype(np.int32),
        block=(np.arange(count) // (count // 2)).astype(np.int32),
        involuntary_switches=np.zeros(count, dtype=np.int32),
        major_faults=np.zeros(count, dtype=np.int32),
        image_ids=np.array(ids),
        batch_size=np.array(1, dtype=np.int64),
        warmup_ns=stage_ns[:40].sum(axis=1) * 2,
        decode_ns=np.full(len(ids), 1_500_000, dtype=np.int64),
        pipelined_ns=np.array(2_000_000_000, dtype=np.int64),
        pipelined_images=np.array(round(2000 / infer_ms), dtype=np.int64),
        block_accepted=np.array([True, True]),
        block_wall_s=np.array([6.0, 6.0]),
        block_user_s=np.array([6.0, 6.0]),
        block_system_s=np.array([0.1, 0.1]),
        block_foreign_share=np.array([0.01, 0.01]),
        block_steal_share=np.array([0.0, 0.0]),
        block_involuntary_switches=np.array([0, 0], dtype=np.int64),
        audit_index=np.array([0], dtype=np.int32),
    )


class SyntheticRun:
    """Writes a run folder piece by piece, so that tests can stop half way."""

    options = OPTIONS

    def __init__(self, results: Path) -> None:
        self.run = RunFolder(results / "synthetic" / "2026-01-01T00-00-00")
        self.run.path.mkdir(parents=True)
        self.dataset = open_dataset("shapes", OPTIONS)
        self.ids = tuple(self.dataset.ids("test"))
        self.task = TaskSpec(kind="semantic", classes=self.dataset.classes)
        self.planned: list[PlannedCase] = []
        write_atomically(self.run.path / layout.ENVIRONMENT, json.dumps(ENVIRONMENT))

    def add(self, label: str, **changes) -> PlannedCase:
        """Plan a trained case on the processor; any field of the case can be replaced."""
        number = len(self.planned)
        fields = {
            "id": f"{label}@shapes@cpu fp32 b1",
            "model": make_model(name="unet/transposed", label=label, adapter="unet"),
            "dataset": DatasetSpec(name="shapes", label="shapes", options=OPTIONS),
            "target": Target(),
            "recipe": make_recipe(),
            "measurement": MEASUREMENT,
        }
        case = make_case(**{**fields, **changes})
        planned = PlannedCase(
            case=case,
            task=self.task,
            train_key=f"{number}a".ljust(64, "0"),
            predict_key=f"{number}b".ljust(64, "0"),
            time_keys=(f"{number}c".ljust(64, "0"), f"{number}d".ljust(64, "0")),
        )
        self.planned.append(planned)
        return planned

    def write_plan(self) -> Plan:
        plan = Plan(
            suite="synthetic",
            title="A synthetic run",
            source="suites/synthetic.yaml",
            task="semantic",
            metrics=("mean_iou", "pixel_accuracy"),
            cases=tuple(self.planned),
            planned_at="2026-01-01T00:00:00Z",
            seed=0,
        )
        write_record(self.run.path / layout.PLAN, plan)
        return plan

    def write_job(self, planned, kind, key, replicate=0, status=Status.OK, reason=None, **facts) -> Path:
        job = make_job(
            kind=kind,
            key=key,
            case_id=planned.case.id,
            replicate=replicate,
            model=planned.case.model,
            dataset=planned.case.dataset,
            task=planned.task,
        )
        folder = self.run.job(kind, planned.case.id, replicate, key)
        write_record(folder / layout.JOB, job)
        outcome = Outcome(
            status=status, reason=reason, started_at="2026-01-01T00:00:00Z", wall_s=1.0, facts=JobFacts(**facts)
        )
        write_record(folder / layout.OUTCOME, outcome)
        return folder

    def train(self, planned, validated=((200, 0.7),)) -> None:
        """A finished training of 200 steps in 20 s, with (step, mean IoU) of its validations."""
        folder = self.write_job(
            planned,
            "train",
            planned.train_key,
            trained_s=20.0,
            trained_steps=200,
            trained_images=1600,
            parameters=485_673,
        )
        lines = [{"event": "planned", "steps": 200, "seconds": None}]
        for step in range(1, 201, 10):
            lines.append(
                {
                    "event": "step",
                    "step": step,
                    "images": step * 8,
                    "train_s": step / 10,
                    "loss": 2 / step**0.5,
                    "learning_rate": 0.001,
                }
            )
        for step, iou in validated:
            values = {"val_loss": 1 - iou, "val_mean_iou": iou}
            line = {"event": "validated", "step": step, "images": step * 8, "train_s": step / 10, "values": values}
            lines.append(line)
        lines.sort(key=lambda line: line.get("step", 0))
        (folder / layout.TRAINING_LOG).write_text("".join(json.dumps(line) + "\n" for line in lines))

    def predict(self, planned, wrong: float, seed: int, **facts) -> None:
        """Store the ground truth with a share of wrong pixels as predictions."""
        told = {"predicted_images": 12, "versions": {"torch": "2.0"}, **facts}
        folder = self.write_job(planned, "predict", planned.predict_key, **told)
        rng, hashes = np.random.default_rng(seed), {}
        for image_id in self.ids:
            ground_truth = self.dataset.target(image_id).semantic.labels
            spoilt = np.where(rng.random(ground_truth.shape) < wrong, np.uint8(0), ground_truth)
            prediction = SemanticMap(np.where(spoilt == 255, np.uint8(1), spoilt))
            save_prediction(prediction, folder / layout.PREDICTIONS, image_id)
            hashes[image_id] = prediction.content_hash()
        (folder / layout.PREDICTIONS / layout.PREDICTION_INDEX).write_text(json.dumps(hashes))

    def time(self, planned, infer_ms: float, seed: int, count: int = 240) -> None:
        source = self.run.job("predict", planned.case.id, 0, planned.predict_key) / layout.PREDICTIONS
        rng = np.random.default_rng(seed)
        for replicate, key in enumerate(planned.time_keys):
            folder = self.write_job(planned, "time", key, replicate, host_rss_peak_bytes=500 * 2**20)
            samples(rng, self.ids, infer_ms, count).save(folder / layout.SAMPLES)
            audit = folder / layout.AUDIT
            audit.mkdir()
            hashes = json.loads((source / layout.PREDICTION_INDEX).read_text())
            (audit / layout.PREDICTION_INDEX).write_text(json.dumps({self.ids[0]: hashes[self.ids[0]]}))
            (audit / f"{self.ids[0]}.png").write_bytes((source / f"{self.ids[0]}.png").read_bytes())

    def score(self, plan, planned) -> None:
        folder = self.run.job("predict", planned.case.id, 0, planned.predict_key) / layout.PREDICTIONS
        score_planned_case(self.run, plan, planned, folder)


@pytest.fixture
def synthetic(tmp_path) -> SyntheticRun:
    return SyntheticRun(tmp_path)


@pytest.fixture
def untrained(synthetic) -> SyntheticRun:
    """A model that is not trained: a run with few pictures."""
    planned = synthetic.add("only", recipe=None)
    plan = synthetic.write_plan()
    synthetic.predict(planned, 0.05, 1)
    synthetic.time(planned, 8.0, 1)
    synthetic.score(plan, planned)
    return synthetic


@pytest.fixture
def finished(synthetic) -> SyntheticRun:
    """Two models: one better, the other twice as fast."""
    better, faster = synthetic.add("better"), synthetic.add("faster")
    plan = synthetic.write_plan()
    for planned, wrong, infer_ms, seed in ((better, 0.05, 8.0, 1), (faster, 0.2, 4.0, 2)):
        synthetic.train(planned)
        synthetic.predict(planned, wrong, seed)
        synthetic.time(planned, infer_ms, seed)
        synthetic.score(plan, planned)
    return synthetic
