"""Whether what an adapter returned for a batch keeps the contract; one rule for predicting and timing."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import ShapeError
from bench.records import Job, Size
from bench.records.predictions import Prediction, RgbImage, check_prediction
from bench.records.prompts import PromptedImage


def checked(predictions: object, images: Sequence[RgbImage], image_ids: Sequence[str], job: Job) -> list[Prediction]:
    """Return the predictions of a batch.

    Args:
        predictions: What `postprocess` returned.
        images: The batch, each uint8 (H, W, 3).
        image_ids: Their ids.
        job: Names the model and the task.

    Raises:
        ShapeError: If there is not one prediction per image, or one breaks the contract.
    """
    if not isinstance(predictions, Sequence) or len(predictions) != len(images):
        came = len(predictions) if isinstance(predictions, Sequence) else f"a {type(predictions).__name__}, not a list,"
        raise ShapeError(
            f"{job.model.label} returned {came} predictions for {len(images)} images, the first of them "
            f"{image_ids[0]!r}; postprocess() must return a list with one prediction per image. "
            "See adapters/README.md, rule 3."
        )
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
