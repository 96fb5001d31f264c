"""A worker on a full disk leaves no half-written files behind."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from bench.run.worker import process
from bench.run.worker.progress import write_progress


def full(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_outcome_that_finds_no_room_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(process.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        process._write(tmp_path / "outcome.json", {"status": "ok"})
    assert list(tmp_path.iterdir()) == []


def test_progress_that_finds_no_room_is_left_out_and_the_job_goes_on(tmp_path, monkeypatch):
    real = Path.write_text

    def half(self: Path, text: str, **more: object) -> int:
        real(self, text[:3], **more)
        return full()

    monkeypatch.setattr(Path, "write_text", half)
    write_progress(tmp_path, 1, 2)
    assert list(tmp_path.iterdir()) == []
