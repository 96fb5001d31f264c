"""Holds predictions and ground truth as checked arrays that can be stored and read back.

The same three types hold predictions and ground truth, so a metric never sees a framework's format.
All maps have the ORIGINAL image size. Construction checks shapes, dtypes and ids, and raises
`ShapeError` naming the image.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.errors import ShapeError
from bench.records import Size, Spacing, TaskKind, label_dtype, void_id
from bench.records.damage import content_of, json_of, quick_json, quick_json_of
from bench.records.instances import EncodedInstances as EncodedInstances
from bench.records.instances import Instances as Instances
from bench.records.instances import array_hash
from bench.records.mask_runs import MaskRuns, mask_from_run_lengths, run_lengths
from bench.records.png import read_png, rgb_of_ids, write_png

RgbImage: TypeAlias = NDArray[np.uint8]
"""A decoded image: uint8, shape (H, W, 3), RGB."""

LabelMap: TypeAlias = NDArray[Any]
"""Class ids, uint8, shape (H, W), 255 = not scored; of more than 255 classes uint16 and 65535, see `void_of`."""

INSTANCE_SCORE = 0.5
"""Score from which an instance is painted, in label maps and in pictures, unless something else is said."""


@dataclass(frozen=True)
class SemanticMap:
    """One class id per pixel.

    Attributes:
        labels: Class ids, uint8, shape (H, W); 255 = void in a ground truth, "names no class" in a prediction. Of more
            than 255 classes uint16, with 65535 in the place of 255.
        spacing: Spacing of its pixels, in a ground truth whose data set knows it.
    """

    labels: LabelMap
    spacing: Spacing | None = None

    @property
    def size(self) -> Size:
        """Size of the map."""
        return Size(*self.labels.shape)

    def content_hash(self) -> str:
        """SHA-256 over size and labels, in hex: equal hashes mean equal predictions."""
        return array_hash(self.labels)


@dataclass(frozen=True)
class Segment:
    """One segment of a panoptic map."""

    id: int
    class_id: int
    crowd: bool = False
    score: float | None = None


@dataclass(frozen=True)
class Panoptic:
    """A partition of the image into segments.

    Attributes:
        segment_ids: int32, shape (H, W); 0 = void.
        segments: One entry per id that occurs in the map.
    """

    segment_ids: NDArray[np.int32]
    segments: tuple[Segment, ...] = field(default=())

    @property
    def size(self) -> Size:
        """Size of the map."""
        return Size(*self.segment_ids.shape)

    def content_hash(self) -> str:
        """SHA-256 over the map and its segments, in hex."""
        table = np.array([(s.id, s.class_id, s.crowd) for s in self.segments], dtype=np.int64)
        return array_hash(self.segment_ids, table)


@dataclass(frozen=True)
class PromptedMasks:
    """A mask for each prompt of an image, in the order of the prompts; they have no classes.

    Attributes:
        masks: bool, shape (N, H, W); may overlap, and may be empty in a prediction.
        scores: float64, shape (N,), 0-1: what the model makes of each mask; ones in a ground truth.
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float64]

    @property
    def size(self) -> Size:
        """Size of the masks."""
        return Size(*self.masks.shape[1:])

    def content_hash(self) -> str:
        """SHA-256 over masks and scores rounded to 1e-6, in hex."""
        return array_hash(np.packbits(self.masks), np.round(self.scores, 6), np.array(self.masks.shape))


Prediction: TypeAlias = SemanticMap | Instances | Panoptic | PromptedMasks

FORMS: dict[TaskKind, type[Prediction]] = {
    "semantic": SemanticMap,
    "instance": Instances,
    "panoptic": Panoptic,
    "prompted": PromptedMasks,
}
"""Task kind -> type of its predictions."""


def check_prediction(
    prediction: object,
    *,
    kind: TaskKind,
    num_classes: int,
    size: Size,
    image_id: str,
    model: str,
    prompts: int | None = None,
    encoded: bool = False,
) -> Prediction:
    """Return the prediction if it keeps the contract of `Adapter.postprocess`.

    Args:
        prediction: Prediction that the adapter returned for one image.
        kind: Task kind the adapter was built for.
        num_classes: Number of classes, K; class ids are 0..K-1.
        size: Original size of the image.
        image_id: Id of the image, for the message.
        model: Label of the model, for the message.
        prompts: Number of prompts that the image had; None where it had none to begin with.
        encoded: True if masks of instances were read as runs from a file, and not returned by an adapter.

    Raises:
        ShapeError: Naming the model, the image, what came and what was expected.
    """
    expected = EncodedInstances if encoded and kind == "instance" else FORMS[kind]
    where = f"{model} returned for image {image_id!r}, which is {tuple(size)},"
    # By exact type: a subclass may compute what it seems to hold.
    if type(prediction) is not expected or not isinstance(prediction, Prediction):
        raise _refusal(where, f"a {type(prediction).__name__}; a {kind} model must return {expected.__name__}", rule=3)
    if isinstance(prediction, SemanticMap):
        _check_labels(prediction, num_classes, size, where)
    elif isinstance(prediction, Instances):
        _check_instances(prediction, num_classes, size, where)
    elif isinstance(prediction, PromptedMasks):
        count = len(prediction.masks) if prompts is None else prompts
        _check_array(prediction.masks, np.bool_, (count, *size), "masks", where)
        _check_scores(prediction.scores, count, where)
    else:
        _check_panoptic(prediction, num_classes, size, where)
    return prediction


def _refusal(where: str, told: str, rule: int = 5) -> ShapeError:
    return ShapeError(f"{where} {told}. See adapters/README.md, rule {rule}.")


def _check_labels(prediction: SemanticMap, num_classes: int, size: Size, where: str) -> None:
    void = void_id(num_classes)
    _check_array(prediction.labels, label_dtype(num_classes), tuple(size), "labels", where)
    unknown = prediction.labels[(prediction.labels >= num_classes) & (prediction.labels != void)]
    if unknown.size:
        valid = f"0..{num_classes - 1} and {void} for no class"
        raise _refusal(where, f"class id {int(unknown[0])}; valid ids are {valid}")


def _check_instances(prediction: Instances, num_classes: int, size: Size, where: str) -> None:
    count = len(prediction.class_ids)
    if isinstance(prediction, EncodedInstances):
        if prediction.runs.size != size or len(prediction.runs) != count:
            raise ShapeError(
                f"{where} {len(prediction.runs)} masks of {tuple(prediction.runs.size)} for {count} classes"
            )
    else:
        _check_array(prediction.masks, np.bool_, (count, *size), "masks", where)
    _check_array(prediction.class_ids, np.int64, (count,), "class_ids", where)
    _check_scores(prediction.scores, count, where)
    _check_ids(prediction.class_ids, num_classes, where)


def _check_panoptic(prediction: Panoptic, num_classes: int, size: Size, where: str) -> None:
    _check_array(prediction.segment_ids, np.int32, tuple(size), "segment_ids", where)
    _check_segments(prediction.segments, where)
    _check_ids(np.array([s.class_id for s in prediction.segments], dtype=np.int64), num_classes, where)
    present = {int(i) for i in np.unique(prediction.segment_ids)} - {0}
    listed = {segment.id for segment in prediction.segments}
    if present != listed:
        strange = sorted(present ^ listed)[:5]
        raise _refusal(where, f"segment ids {strange} that are in the map or in the list but not in both")


def _check_array(array: object, dtype: type[np.generic], shape: tuple[int, ...], name: str, where: str) -> None:
    if type(array) is not np.ndarray:
        raise _refusal(where, f"{name} as {type(array).__name__}; a host NumPy array is expected", rule=3)
    if array.shape != shape or array.dtype != dtype:
        found = f"{name} of shape {array.shape} and dtype {array.dtype}; expected {shape} and {np.dtype(dtype)}"
        raise _refusal(where, f"{found}. postprocess() must return masks at the original size", rule=4)


def _check_scores(scores: NDArray[np.float64], count: int, where: str) -> None:
    _check_array(scores, np.float64, (count,), "scores", where)
    if not ((scores >= 0) & (scores <= 1)).all():  # nan is neither
        raise _refusal(where, "scores outside 0-1")


LARGEST_SEGMENT_ID = 2**24 - 1
"""Ids are stored as three bytes; see `save_prediction`."""


def _check_segments(segments: object, where: str) -> None:
    """Every segment has an id that the map can hold, once, and a class, a flag and a score of their types."""
    if not isinstance(segments, tuple):
        raise _refusal(where, f"segments as {type(segments).__name__}; a tuple is expected")
    seen: set[int] = set()
    for segment in segments:
        if not isinstance(segment, Segment):
            raise _refusal(where, f"a {type(segment).__name__} in its segments; Segment is expected")
        if type(segment.id) is not int or not 1 <= segment.id <= LARGEST_SEGMENT_ID:
            raise _refusal(where, f"segment id {segment.id!r}; whole numbers 1..{LARGEST_SEGMENT_ID} fit")
        if segment.id in seen:
            raise _refusal(where, f"two segments of id {segment.id}")
        if type(segment.class_id) is not int or not -(2**31) <= segment.class_id < 2**31:
            raise _refusal(where, f"class id {segment.class_id!r}; a whole number is expected")
        if type(segment.crowd) is not bool:
            raise _refusal(where, f"crowd {segment.crowd!r}; true or false is expected")
        score = segment.score
        # A comparison with nan is never true.
        if score is not None and not (type(score) in (int, float) and 0 <= score <= 1):
            raise _refusal(where, f"a segment's score {score!r}; None or a number within 0-1 is expected")
        seen.add(segment.id)


def _check_ids(class_ids: NDArray[np.int64], num_classes: int, where: str) -> None:
    bad = class_ids[(class_ids < 0) | (class_ids >= num_classes)]
    if bad.size:
        raise _refusal(where, f"class id {int(bad[0])}; valid ids are 0..{num_classes - 1}")


# --------------------------------------------------------------------------- on disk


def save_prediction(prediction: Prediction, folder: Path, stem: str) -> None:
    """Write one prediction under `folder` as `stem.png` and, where needed, `stem.json`.

    Semantic maps become PNG of 8 or 16 bits (pixel = class id). Panoptic maps become the COCO id-PNG
    (id = R + 256 G + 65536 B) with their segments in JSON. Instances and masks of prompts become
    JSON with run lengths in COCO's order (column-major, starting with zeros), those of instances as COCO's text.
    """
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
    if isinstance(prediction, SemanticMap):
        write_png(folder / f"{stem}.png", prediction.labels)
    elif isinstance(prediction, Panoptic):
        write_png(folder / f"{stem}.png", rgb_of_ids(prediction.segment_ids))
        text = json.dumps({"segments": [vars(segment) for segment in prediction.segments]})
        (folder / f"{stem}.json").write_text(text, encoding="utf-8")
    elif isinstance(prediction, PromptedMasks):
        entries = [
            {"score": float(s), "counts": run_lengths(m)}
            for m, s in zip(prediction.masks, prediction.scores, strict=True)
        ]
        text = json.dumps({"size": list(prediction.size), "masks": entries})
        (folder / f"{stem}.json").write_text(text, encoding="utf-8")
    else:
        columns = prediction.class_ids, prediction.scores, prediction.crowd
        rows = [
            {"class_id": class_id, "score": score, "crowd": crowd, "counts": text}
            for text, class_id, score, crowd in zip(
                prediction.as_runs().texts(), *(column.tolist() for column in columns), strict=True
            )
        ]
        with FileIO(f"{folder}/{stem}.json", "w") as file:  # thousands of small files: a Path takes as long as a write
            file.write(quick_json({"size": list(prediction.size), "instances": rows}))


def load_prediction(kind: str, folder: Path, stem: str) -> Prediction:
    """Read back what `save_prediction` wrote; raises `ShapeError` if a file is damaged."""
    if kind == "semantic":
        return SemanticMap(read_png(folder / f"{stem}.png"))
    file = folder / f"{stem}.json"
    try:
        content = content_of(file)
        if kind == "instance":
            return _instances_of(quick_json_of(content))
        document = json_of(content.decode("utf-8"))
        if kind == "panoptic":
            return _panoptic_of(document, read_png(folder / f"{stem}.png"))
        rows, size = document["masks"], Size(*document["size"])
        masks = [mask_from_run_lengths(row["counts"], size) for row in rows]
        return PromptedMasks(np.stack(masks) if masks else np.zeros((0, *size), dtype=np.bool_), _scores(rows))
    except (ValueError, KeyError, TypeError, OverflowError) as error:  # json.JSONDecodeError is a ValueError
        reason = f"{type(error).__name__}: {error}"
        raise ShapeError(
            f"{file} is not a readable {kind} prediction ({reason}); delete its job folder and run the suite again"
        ) from None


def _panoptic_of(document: dict[str, Any], pixels: NDArray[np.uint8]) -> Panoptic:
    if pixels.ndim != 3:
        raise ValueError("the map of ids is a grey PNG")
    rgb = pixels.astype(np.int32)
    return Panoptic(
        segment_ids=rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2],
        segments=tuple(Segment(**row) for row in document["segments"]),
    )


def _instances_of(document: dict[str, Any]) -> Instances:
    rows, size = document["instances"], Size(*document["size"])
    if not all(type(side) is int and side >= 0 for side in size):
        raise ValueError(f"its size is {size}")
    counts, class_ids = [row["counts"] for row in rows], [row["class_id"] for row in rows]
    if not {*map(type, class_ids)} <= {int}:
        raise ValueError("a class id is no whole number")
    if {*map(type, counts)} <= {str}:
        runs = MaskRuns.of_texts(counts, size)
    else:  # as lists of numbers, as until version 0.2
        lengths = [np.array(one, dtype=np.int64).reshape(len(one)) for one in counts]
        runs = MaskRuns.of_lengths(np.concatenate(lengths), np.cumsum([len(one) for one in lengths]), size)
    return EncodedInstances(
        runs,
        class_ids=np.array(class_ids, dtype=np.int64),
        scores=_scores(rows),
        crowd=np.array([row["crowd"] for row in rows], dtype=np.bool_),
    )


def _scores(rows: list[dict[str, Any]]) -> NDArray[np.float64]:
    scores = np.array([row["score"] for row in rows], dtype=np.float64)
    if not ((scores >= 0) & (scores <= 1)).all():  # nan is neither
        raise ValueError("a score lies outside 0-1")
    return scores
