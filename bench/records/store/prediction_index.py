"""The index of stored predictions: image id -> content hash, written by the worker that predicted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from bench.errors import BenchError, ShapeError, StoreError, in_one_line
from bench.records.damage import content_of
from bench.records.predictions import Instances, Prediction, load_prediction
from bench.records.probabilities import ClassProbabilities, load_probabilities
from bench.records.store.files import write_atomically
from bench.records.store.layout import PREDICTION_INDEX


class AlteredPrediction(ShapeError):
    """A stored prediction that is gone, damaged, or not the one that the worker stored."""


def read_index(folder: Path) -> dict[str, str]:
    """Return image id -> content hash; raises `StoreError` if the index is missing or damaged."""
    file = folder / PREDICTION_INDEX
    advice = f"delete the folder {folder.parent} and run the suite again with: bench run SUITE"
    try:
        index = json.loads(content_of(file))
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{file} is missing or damaged ({in_one_line(error)}); {advice}") from error
    if not isinstance(index, dict) or not all(isinstance(value, str) for value in index.values()):
        raise StoreError(f"{file} is not an index of predictions; {advice}")
    return index


def write_index(folder: Path, hashes: Mapping[str, str]) -> None:
    """Write image id -> content hash of what a folder holds."""
    write_atomically(folder / PREDICTION_INDEX, json.dumps(hashes, indent=0) + "\n")


def load_verified(kind: str, folder: Path, image_id: str, index: Mapping[str, str]) -> Prediction:
    """Read a stored prediction and hold it against the hash it was stored with.

    Raises:
        AlteredPrediction: Naming the image, if it cannot be read or is another than the worker stored.
    """
    try:
        prediction = load_prediction(kind, folder, image_id)
    except (OSError, BenchError) as error:
        raise AlteredPrediction(f"image {image_id!r}: its prediction cannot be read: {error}") from None
    expected = index.get(image_id)
    if expected is None:
        raise AlteredPrediction(f"image {image_id!r}: its prediction is not in {folder / PREDICTION_INDEX}")
    is_stored = prediction.content_hash() == expected
    if not is_stored and isinstance(prediction, Instances):  # until version 0.2 their pixels were hashed
        is_stored = prediction.content_hash_of_pixels() == expected
    if not is_stored:
        raise AlteredPrediction(
            f"image {image_id!r}: the prediction in {folder} is not the one that was stored: its SHA-256 differs from "
            f"the one in {PREDICTION_INDEX}. Delete the folder {folder.parent} and run the suite again with: "
            "bench run SUITE"
        )
    return prediction


def verified_probabilities(folder: Path, image_id: str, index: Mapping[str, str], classes: int) -> ClassProbabilities:
    """Read stored probabilities and hold them against the hash they were stored with.

    Raises:
        AlteredPrediction: Naming the image, if they cannot be read or are others than the worker stored.
    """
    advice = f"delete the folder {folder.parent} and run the suite again with: bench run SUITE"
    try:
        found = load_probabilities(folder, image_id, classes)
    except (OSError, BenchError) as error:
        raise AlteredPrediction(f"image {image_id!r}: its probabilities cannot be read: {error}") from None
    if found.content_hash() != index.get(image_id):
        raise AlteredPrediction(
            f"image {image_id!r}: the probabilities in {folder} are not those that were stored; {advice}"
        )
    return found
