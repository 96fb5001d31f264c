"""Read `training.jsonl` back: the course of a training, the same for every framework.

A log may end anywhere, also within a line: the training still runs, or was killed. A training that
went on from a checkpoint repeats the steps after it; of a step that was done twice the later one
counts, because its weights are the ones that stayed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.records.damage import content_of

VALIDATED = {
    "val_mean_iou": "mIoU",
    "val_mask_ap50": "mask AP50",
    "val_mask_map50": "mask AP50",
    "val_mask_map": "mask AP",
}
"""Validated values by which curves and budgets are told, the first choice first -> what they are called."""
VAL_LOSS = "val_loss"


@dataclass(frozen=True)
class LoggedStep:
    """An optimiser step.

    Attributes:
        step, images: Step and images so far.
        train_s: Seconds spent training so far.
        loss: Mean since the step logged before; None where it was not a number.
        learning_rate: Learning rate in this step; None where it was not logged.
    """

    step: int
    images: int
    train_s: float
    loss: float | None
    learning_rate: float | None


@dataclass(frozen=True)
class LoggedValidation:
    """A validation: its values by name, for example `val_loss` and `val_mean_iou`."""

    step: int
    images: int
    train_s: float
    values: dict[str, float]


@dataclass(frozen=True)
class TrainingLog:
    """The course of a training so far.

    Attributes:
        planned_steps, planned_s: Budget of the training, None where it has no such limit.
        steps: Logged steps in order, fewer than were done: a line is written every so often.
        validations: Validations in order.
    """

    planned_steps: int | None
    planned_s: float | None
    steps: tuple[LoggedStep, ...]
    validations: tuple[LoggedValidation, ...]

    @property
    def validated_by(self) -> str | None:
        """Name of the validated value that tells how good the model was on the way; None if no score was validated."""
        reported = {name: None for one in self.validations for name, value in one.values.items() if value is not None}
        others = (name for name in reported if name.startswith("val_") and name != VAL_LOSS)
        return next((name for name in VALIDATED if name in reported), next(others, None))

    @property
    def last(self) -> LoggedStep | LoggedValidation | None:
        """The furthest event; None before the first step."""
        ends: list[LoggedStep | LoggedValidation] = [*self.steps[-1:], *self.validations[-1:]]
        return max(ends, key=lambda event: event.step, default=None)


def read_training_log(path: Path) -> TrainingLog | None:
    """Read a log as far as it got; None if there is none or it has no step yet."""
    if not path.is_file():
        return None
    planned: dict[str, Any] = {}
    steps: list[LoggedStep] = []
    validations: list[LoggedValidation] = []
    for event in _events(path):
        if event["event"] == "planned":
            planned = event
        elif event["event"] == "step":
            _forget_from(steps, event["step"])
            _forget_from(validations, event["step"] + 1)
            steps.append(
                LoggedStep(event["step"], event["images"], event["train_s"], event["loss"], event.get("learning_rate"))
            )
        elif event["event"] == "validated":
            _forget_from(steps, event["step"] + 1)
            _forget_from(validations, event["step"])
            validations.append(LoggedValidation(event["step"], event["images"], event["train_s"], event["values"]))
    if not steps:
        return None
    return TrainingLog(planned.get("steps"), planned.get("seconds"), tuple(steps), tuple(validations))


def validated_label(name: str) -> str:
    """Return what a validated value is called.

    >>> validated_label("val_mask_map"), validated_label("val_dice")
    ('mask AP', 'dice')
    """
    return VALIDATED.get(name, name.removeprefix("val_"))


def _events(path: Path) -> list[dict[str, Any]]:
    events = []
    for line in content_of(path).decode("utf-8", "replace").splitlines():
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and _is_sound(event):
            events.append(event)
    return events


def _is_sound(event: dict[str, Any]) -> bool:
    """Return whether a line says what a line of its kind must, in the types it must."""

    def number(name: str) -> bool:
        return type(event.get(name)) in (int, float)

    def number_or_none(name: str) -> bool:
        return event.get(name) is None or number(name)

    kind = event.get("event")
    if kind == "planned":
        return number_or_none("steps") and number_or_none("seconds")
    if not (type(event.get("step")) is int and type(event.get("images")) is int and number("train_s")):
        return False
    if kind == "step":
        return "loss" in event and number_or_none("loss") and number_or_none("learning_rate")
    values = event.get("values")
    return (
        kind == "validated"
        and isinstance(values, dict)
        and all(value is None or type(value) in (int, float) for value in values.values())
    )


def _forget_from(events: list[Any], step: int) -> None:
    """Drop events of this step and later ones from the end."""
    while events and events[-1].step >= step:
        events.pop()
