"""Checks whether an adapter's output for a batch keeps the contract; one rule for predicting and timing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import ShapeError
from bench.records import Job, Size
from bench.records.predictions import Prediction, RgbImage, check_prediction
from bench.records.prompts import PromptedImage


def checked(predictions: object, images: Sequence[RgbImage], image_ids: Sequence[str], job: Job) -> list[Prediction]:
    """Return the predictions of a batch.

    Args:
        predictions: The object that `postprocess` returned.
        images: The batch, each uint8 (H, W, 3).
        image_ids: Their ids.
        job: Job, which names the model and the task.

    Raises:
        ShapeError: If there is not one prediction per image, or one breaks the contract.
    """
    # By exact type: a subclass may compute what it seems to hold.
    plain = type(predictions) in (list, tuple)
    if not isinstance(predictions, list | tuple) or not plain or len(predictions) != len(images):
        count = len(predictions) if isinstance(predictions, list | tuple) and plain else None
        came = f"a {type(predictions).__name__}, not a list," if count is None else str(count)
        raise ShapeError(
            f"{job.model.label} returned {came} predictions for {len(images)} images, the first of them "
            f"{image_ids[0]!r}; postprocess() must return a list with one prediction per image. "
            "See adapters/README.md, rule 3."
        )
    _refuse_shared(predictions, images, image_ids, job)
    return [
        check_prediction(
            prediction,
            kind=job.task.kind,
            num_classes=len(job.task.classes),
            size=Size(*image.shape[:2]),
            image_id=image_id,
            model=job.model.label,
            prompts=len(image.prompts) if isinstance(image, PromptedImage) else None,
        )
        for prediction, image, image_id in zip(predictions, images, image_ids, strict=True)
    ]


def refuse_overwritten(earlier: Sequence[Prediction], later: object, images: Sequence[RgbImage], job: Job) -> None:
    """Refuse an adapter whose predictions lie where those of its last call do, which they have overwritten.

    Args:
        earlier: Predictions of the last call, still held, so that their memory cannot have been given away.
        later: Predictions of this call, as the adapter returned them.
        images: Images of this call.
        job: Job, which names the model.

    Raises:
        ShapeError: If any two share memory.
    """
    if isinstance(later, Sequence):
        for prediction in later:
            if any(_share(prediction, other) for other in earlier):
                raise ShapeError(
                    f"{job.model.label} returned predictions of {len(images)} images in the memory of those of the "
                    "call before, which it has thereby overwritten; return a copy of the output buffer. See "
                    "adapters/README.md, rule 7."
                )


def _refuse_shared(
    predictions: Sequence[object], images: Sequence[RgbImage], image_ids: Sequence[str], job: Job
) -> None:
    for i, prediction in enumerate(predictions):
        for j in range(i):
            if images[i] is not images[j] and _share(prediction, predictions[j]):
                raise ShapeError(
                    f"{job.model.label} returned one piece of memory for the images {image_ids[j]!r} and "
                    f"{image_ids[i]!r} of a batch, so that both have the answer to the later one; return a copy of the "
                    "output buffer. See adapters/README.md, rule 7."
                )


def _share(one: object, other: object) -> bool:
    return any(_overlap(a, b) for a in _arrays(one) for b in _arrays(other))


def _overlap(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if not np.may_share_memory(one, other):
        return False
    try:
        return bool(np.shares_memory(one, other, max_work=10_000))  # type: ignore[arg-type]  # NumPy takes any number
    except np.exceptions.TooHardError:  # of interleaved views of one array, which need not share an element
        return False


def _arrays(prediction: object) -> list[NDArray[Any]]:
    if not dataclasses.is_dataclass(prediction):
        return []
    values = (getattr(prediction, field.name) for field in dataclasses.fields(prediction))
    return [value for value in values if isinstance(value, np.ndarray) and value.size]
