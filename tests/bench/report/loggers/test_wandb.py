"""Tests what the reader of Weights & Biases finds in an offline run."""

from __future__ import annotations

import json
import struct

import pytest

pytest.importorskip("wandb", reason="the package wandb")

from wandb.proto import wandb_internal_pb2

from bench.report.loggers.wandb import Logger
from tests.bench.report.loggers.conftest import made_case

pytestmark = pytest.mark.usefixtures("offline")


def runs_in(folder, case):
    return sorted((folder / case.file_name / "wandb").glob("offline-run-*/*.wandb"))


BLOCK, HEADER = 32 * 1024, 7
FULL, LAST = 1, 4


def framed(content):
    """The messages of a file: blocks of 32 KiB with records of checksum (4), length (2), type (1) and data.

    The framing is that of LevelDB logs, after seven bytes of the tracker's own.
    """
    at, parts = HEADER, []
    while at + HEADER <= len(content):
        if BLOCK - at % BLOCK < HEADER:  # what is left of a block is padding
            at += BLOCK - at % BLOCK
            continue
        length, kind = struct.unpack("<HB", content[at + 4 : at + HEADER])
        parts.append(content[at + HEADER : at + HEADER + length])
        at += HEADER + length
        if kind in (FULL, LAST):
            yield b"".join(parts)
            parts = []


def records(file):
    """Every record of a run's file, by kind, as the tracker's own message type reads it."""
    found = {}
    for message in framed(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(message)
        kind = record.WhichOneof("record_type")
        found.setdefault(kind, []).append(getattr(record, kind))
    return found


def as_dict(items):
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


@pytest.mark.slow
def test_an_offline_run_comes_back_with_its_curve_scores_and_parameters(tmp_path):
    case = made_case()
    Logger().write(case, tmp_path)
    (file,) = runs_in(tmp_path, case)
    found = records(file)
    rows = [as_dict(row.item) for row in found["history"]]
    curve = [(r["_step"], r["images"], r["train_s"], r["train/loss"]) for r in rows if "train/loss" in r]
    assert curve == [(10, 80, 1.5, 2.0), (20, 160, 3.0, 1.0)]
    assert [(r["_step"], r["val/mean_iou"]) for r in rows if "val/mean_iou" in r] == [(20, 0.5)]
    summary = {}
    for one in found["summary"]:
        summary |= as_dict(one.update)
    assert (summary["score/mean_iou"], summary["score/mean_iou_low"]) == (0.625, 0.5)
    (run,) = found["run"][:1]
    config = as_dict(run.config.update)
    assert config["recipe"] == {"loss": "dice", "learning_rate": 0.01, "flip": True}
    assert (run.project, run.run_group, run.display_name) == (case.suite, case.run, case.case_id)


def test_images_lie_beside_the_run(tmp_path):
    case = made_case()
    Logger().write(case, tmp_path)
    (file,) = runs_in(tmp_path, case)
    assert len(list((file.parent / "files" / "media" / "images").glob("*.png"))) == 1


def test_writing_a_case_again_replaces_it_under_the_same_id(tmp_path):
    case = made_case(images=())
    Logger().write(case, tmp_path)
    (first,) = runs_in(tmp_path, case)
    Logger().write(case, tmp_path)
    (second,) = runs_in(tmp_path, case)
    assert first.name == second.name


def test_nothing_is_written_outside_its_folder(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    Logger().write(made_case(images=()), tmp_path / "wandb")
    assert list(home.rglob("*")) == []
