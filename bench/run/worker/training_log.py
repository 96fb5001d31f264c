"""Writes what a training reports while it runs, as `training.jsonl`, and ends it where its search says so."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, TextIO

from bench.records.store import layout

STEP_LINE_INTERVAL_S = 0.2
"""A training step is written at most this often; the last one always is."""

ANSWER_WITHIN_S = 10.0
"""A training that gets no answer of its search for so long goes on."""
ASK_EVERY_S = 0.02


class Pruned(Exception):
    """A training of a search is not worth going on with."""


class TrainingLog:
    """Writes `training.jsonl`, a line per event, at once.

    Args:
        file: Gets the lines.
        folder: Folder of the job, where a search that may end the training answers each validation in
            `pruning.json`: `step`, the last one it has seen, and `stop`, why it is to end or null. None, or a folder
            without that file: nobody does.
    """

    def __init__(self, file: TextIO, folder: Path | None = None) -> None:
        self._file = file
        self._written_at = float("-inf")
        self._held: dict[str, Any] | None = None
        answers = None if folder is None else folder / layout.PRUNING
        self._answers = answers if answers is not None and answers.is_file() else None

    def planned(self, *, steps: int | None, seconds: float | None) -> None:
        """Write down how long training will be."""
        self._write({"event": "planned", "steps": steps, "seconds": seconds})

    def step(self, *, step: int, images: int, train_s: float, loss: float, learning_rate: float) -> None:
        """Log an optimiser step; it is held back if the last line is fresh."""
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
        """Log a validation; raises `Pruned` if the search that the training belongs to ends it here."""
        self.flush()
        self._write({"event": "validated", "step": step, "images": images, "train_s": train_s, "values": values})
        if self._answers is not None:
            self._await_answer(self._answers, step)

    def flush(self) -> None:
        """Write the step that was held back, if any."""
        if self._held is not None:
            self._write(self._held)
            self._held = None
            self._written_at = time.monotonic()

    def _write(self, event: dict[str, Any]) -> None:
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()

    def _await_answer(self, file: Path, step: int) -> None:
        # Waiting makes it certain at which validation a training is ended, however long the next one takes.
        end = time.monotonic() + ANSWER_WITHIN_S
        while time.monotonic() < end:
            answer = json.loads(file.read_text(encoding="utf-8"))
            if answer["step"] >= step:
                if answer["stop"] is not None:
                    raise Pruned(str(answer["stop"]))
                return
            time.sleep(ASK_EVERY_S)
