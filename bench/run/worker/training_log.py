"""Writes what a training reports while it runs, as `training.jsonl`."""

from __future__ import annotations

import json
import time
from typing import Any, TextIO

STEP_LINE_INTERVAL_S = 0.2
"""A training step is written at most this often; the last one always is."""


class TrainingLog:
    """Writes `training.jsonl`, a line per event, at once."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._written_at = float("-inf")
        self._held: dict[str, Any] | None = None

    def planned(self, *, steps: int | None, seconds: float | None) -> None:
        """How long training will be."""
        self._write({"event": "planned", "steps": steps, "seconds": seconds})

    def step(self, *, step: int, images: int, train_s: float, loss: float, learning_rate: float) -> None:
        """An optimiser step; held back if the last line is fresh."""
        self._held = {
            "event": "step",
            "step": step,
            "images": images,
            "train_s": train_s,
            "loss": loss,
            "learning_rate": learning_rate,
        }
        if time.monotonic() - self._written_at >= STEP_LINE_INTERVAL_S:
            self.flush()

    def validated(self, *, step: int, images: int, train_s: float, values: dict[str, float]) -> None:
        """A validation."""
        self.flush()
        self._write({"event": "validated", "step": step, "images": images, "train_s": train_s, "values": values})

    def flush(self) -> None:
        """Write the step that was held back, if any."""
        if self._held is not None:
            self._write(self._held)
            self._held = None
            self._written_at = time.monotonic()

    def _write(self, event: dict[str, Any]) -> None:
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()
