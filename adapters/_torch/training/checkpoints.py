"""Writes what a training leaves in its folder: the checkpoint, the last weights and the best ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from adapters._torch.training.clock import TrainingClock
from adapters._torch.weights import Weighted, save_weights
from bench.adapter import TrainingResult

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"
LAST = "last.pt"


@dataclass
class BestValidation:
    """The newest validation and the weights of the best one; part of a checkpoint.

    Attributes:
        better_by: Names of the values that decide, the first that was found; higher is better.
        patience: Validations in a row without a better one after which the training ends.
        validated: Values of the newest validation.
        best: Step, score, values and weights of the best validation.
        since_best: Validations since then.
    """

    better_by: tuple[str, ...]
    patience: int | None = None
    validated: dict[str, float] = field(default_factory=dict)
    best: dict[str, Any] | None = None
    since_best: int = 0

    def take(self, step: int, values: dict[str, float], weights: Mapping[str, Tensor]) -> None:
        """Take note of a validation; copies the weights if they are the best so far.

        Of equal scores the later wins, which was trained longer.
        """
        self.validated = values
        self.since_best += 1
        score = next((values[name] for name in self.better_by if name in values), None)
        if score is not None and (self.best is None or score >= self.best["score"]):
            if self.best is None or score > self.best["score"]:
                self.since_best = 0
            copies = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
            self.best = {"step": step, "score": score, "values": values, "weights": copies}

    @property
    def exhausted(self) -> bool:
        """Return whether early stopping ends the training."""
        return self.patience is not None and self.since_best >= self.patience

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"validated": self.validated, "best": self.best, "since_best": self.since_best}

    def take_up(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint has."""
        self.validated, self.best, self.since_best = state["validated"], state["best"], state["since_best"]

    def finish(
        self,
        network: Weighted,
        last: Mapping[str, Tensor],
        out: Path,
        clock: TrainingClock,
        *,
        not_honoured: dict[str, str],
        data_wait_s: float | None = None,
        more: Mapping[str, float] | None = None,
    ) -> TrainingResult:
        """Write the weight files and say what the training came to, with `more` figures of the framework's own."""
        save_weights(network, dict(last), out / LAST)
        reported = {f"last_{name}": value for name, value in self.validated.items()}
        if self.best is not None:
            save_weights(network, self.best["weights"], out / BEST)
            reported |= {**self.best["values"], "best_step": float(self.best["step"])}
        return TrainingResult(
            weights=out / (LAST if self.best is None else BEST),
            steps=clock.step,
            images=clock.images,
            train_s=clock.train_s,
            not_honoured=not_honoured,
            self_reported={**reported, **(more or {})},
            data_wait_s=data_wait_s,
            validation_s=clock.stopped_s,
        )
