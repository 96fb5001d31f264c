"""A model in this process, for scripts and notebooks: `bench.load_model(name, weights).predict(images)`.

`bench predict` and `bench run` give a model a process of its own, with a log and limits; here it shares yours, and with
it threads, memory and the versions that are imported already. Nothing that is measured is measured so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from bench.adapter import Adapter, predict
from bench.data.formats.bands import few_bits
from bench.data.formats.image_files import read_image
from bench.data.labels.mapping import map_prediction
from bench.errors import BenchError
from bench.measure.outputs import checked
from bench.measure.unchanged import InputWatch
from bench.records import ClassSpec, Job, TaskKind
from bench.records.predictions import Prediction
from bench.run.predict.carry_out import job_of
from bench.run.predict.models import Overrides, Predictor, from_model_config, from_run
from bench.run.worker.model import built

Image: TypeAlias = NDArray[np.uint8] | str | Path
"""An array, uint8, (H, W, 3), RGB, or the path of an image file."""


class LoadedModel:
    """A built model with its weights; `load_model` makes it."""

    def __init__(self, adapter: Adapter, job: Job, predictor: Predictor) -> None:
        self._adapter, self._job, self._predictor = adapter, job, predictor

    @property
    def name(self) -> str:
        """Name of the model config or label of the case."""
        return self._predictor.model.label

    @property
    def task(self) -> TaskKind:
        """Form of its predictions: `semantic`, `instance` or `panoptic`."""
        return self._predictor.task.kind

    @property
    def classes(self) -> tuple[ClassSpec, ...]:
        """Classes that predictions name; a class id is a position in them."""
        return self._predictor.classes

    def predict(self, images: Image | Sequence[Image]) -> list[Prediction]:
        """Predict images of any sizes.

        Args:
            images: Arrays, uint8, (H, W, 3), RGB, or paths of image files; one alone is a list of one.

        Returns:
            A prediction for each image, at its original size: `SemanticMap`, `Instances` or `Panoptic`.

        Raises:
            BenchError: If a file cannot be read as an image, or an array is none.
            ShapeError: If the model does not keep the contract of adapters.
        """
        single = isinstance(images, str | Path | np.ndarray)
        given: Sequence[Image] = [images] if single else list(images)  # type: ignore[list-item, arg-type]
        arrays = [_array(image, place) for place, image in enumerate(given)]
        found: list[Prediction] = []
        size = self._job.target.batch_size
        for start in range(0, len(arrays), size):
            batch = arrays[start : start + size]
            names = [f"image {number}" for number in range(start, start + len(batch))]
            inputs = InputWatch(batch, names, self._job.model.label)
            found += checked(predict(self._adapter, batch), batch, names, self._job)
            inputs.check()
        mapping = self._predictor.mapping
        return found if mapping is None else [map_prediction(one, mapping) for one in found]


def load_model(
    model: str,
    weights: str | Path | None = None,
    *,
    run: str | Path | None = None,
    results: str | Path = "results",
    classes: str | Path | None = None,
    options: Mapping[str, JsonValue] | None = None,
    device: str | None = None,
    precision: str | None = None,
    batch_size: int | None = None,
) -> LoadedModel:
    """Build a model with its weights.

    Args:
        model: Name of a model config (see: bench list models); with `run`, the id or model label of a finished case.
        weights: A file or folder; None takes those that the model config or the training of the case has.
        run: Folder or name of a run.
        results: Folder of all results.
        classes: A file with names of classes, for weights that do not name them.
        options: Options that replace those of the model config.
        device: `cpu`, `cuda`, `cuda:1`, `mps`; None takes a GPU where there is one, or the case's.
        precision: Arithmetic of the forward pass; None takes fp32, or the case's.
        batch_size: Images of a forward pass; None takes 1, or the case's.

    Raises:
        BenchError: If there is no such model, run or case, it has no weights, or its framework is not installed.
    """
    overrides = Overrides(
        weights=None if weights is None else str(weights),
        classes=None if classes is None else str(classes),
        options=dict(options or {}),
        device=device,
        precision=precision,
        batch_size=batch_size,
    )
    if run is None:
        predictor = from_model_config(model, overrides)
    else:
        predictor = from_run(Path(results), str(run), model, overrides)
    job = job_of(predictor)
    threads = cv2.getNumThreads()
    try:
        adapter, _ = built(job, Path.cwd())
    except ImportError as error:
        raise BenchError(
            f"{predictor.model.label}: adapter {predictor.model.adapter} needs the package {error.name or error}, "
            "which this Python does not have; install it, or use bench predict --env, which runs the adapter in an "
            "environment of its own"
        ) from None
    finally:
        cv2.setNumThreads(threads)  # those of a worker are set while it builds its model
    return LoadedModel(adapter, job, predictor)


def _array(image: Any, place: int) -> NDArray[np.uint8]:
    if isinstance(image, str | Path):
        path = Path(image)
        reason = few_bits(path)
        if reason is not None:
            raise BenchError(f"{path}: {reason}. Scale it to uint8 by a range of your choice, and give the array.")
        return read_image(path)
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3:
        found = f"{image.dtype} of shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise BenchError(f"image {place}: expected uint8 of shape (H, W, 3), RGB, or the path of a file, not {found}")
    return np.ascontiguousarray(image)
