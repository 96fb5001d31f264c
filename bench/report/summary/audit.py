"""Checks whether the model that was timed is the model that was scored, and what a row can be trusted.

A timing job keeps its predictions for a random share of the images. They must be the predictions
that were scored: equal content hashes, or, for label maps, and for objects of a device whose kernels are not
deterministic, at least 99.9 % equal pixels over the images kept. Otherwise speed and score belong to two models.

Every row is then `valid`, `flagged` (use it, knowing the reasons) or `invalid` (do not use it). Each reason says what
was seen and gives one recommendation. Nothing is withheld: an invalid number is shown with its reason.

Sources: MLPerf's compliance TEST01, accuracy checked in performance mode (mlcommons/inference); LoadGen's VALID /
INVALID with itemised reasons (mlcommons/inference @ b66003e1, `loadgen/results.cc`) and hyperfine's hints.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import ShapeError, StoreError
from bench.records import Flag, JobFacts, Record, TaskKind
from bench.records.damage import content_of
from bench.records.predictions import Instances, Panoptic, Prediction, PromptedMasks, SemanticMap, load_prediction
from bench.records.store.layout import PREDICTION_INDEX

EQUAL_PIXELS = 0.999
"""Share of pixels that must agree where hashes do not."""


class AuditResult(Record):
    """Timed against scored predictions.

    Attributes:
        ok: True if they agree; None where nothing could be compared.
        compared: Images compared.
        identical: Images with equal content hashes.
        equal_pixels: Share of equal pixels over the compared images; 1 if all are identical, None
            where pixels cannot be compared.
        worst_image, worst_equal_pixels: The image that agrees least, if any differs.
        not_scored: Images that were timed but have no stored prediction.
    """

    ok: bool | None
    compared: int
    identical: int
    equal_pixels: float | None = None
    worst_image: str | None = None
    worst_equal_pixels: float | None = None
    not_scored: int = 0

    @property
    def reason(self) -> Flag | None:
        """Return what a verdict says about it; None if all is well."""
        if self.ok:
            return None
        if self.ok is None:
            return Flag(
                name="not_audited",
                seen="no timed prediction could be compared with a scored one",
                advice="set measurement.audit_fraction above 0 and time images of the scored split",
            )
        share = "" if self.equal_pixels is None else f", {100 * self.equal_pixels:.2f} % equal pixels"
        return Flag(
            name="timed_and_scored_differ",
            seen=f"timed and scored model differ: {self.identical} of {self.compared} audited predictions are "
            f"identical{share}, image {self.worst_image!r} agrees least",
            advice="make the model deterministic, or check that predict and time build the same model",
        )


def audit_predictions(predictions: Path, audit: Path, kind: TaskKind, *, device: str) -> AuditResult:
    """Compare what a timing job kept with what was scored.

    Args:
        predictions: Folder of the prediction job's predictions with its index, image id -> hash.
        audit: Folder of the same form that the timing job wrote.
        kind: Form of the predictions.
        device: Device that both ran on. On a processor two processes find the same objects, bit for bit; on a GPU the
            algorithms that are chosen at run time may round otherwise.

    Raises:
        StoreError: If an index, or a prediction, is damaged.
    """
    scored, timed = _read_index(predictions), _read_index(audit)
    common = [image_id for image_id in timed if image_id in scored]
    differing = [image_id for image_id in common if timed[image_id] != scored[image_id]]
    result = AuditResult(
        ok=not differing if common else None,
        compared=len(common),
        identical=len(common) - len(differing),
        equal_pixels=1.0 if common and not differing else None,
        worst_image=differing[0] if differing else None,
        not_scored=len(timed) - len(common),
    )
    if not differing or (kind != "semantic" and device == "cpu"):
        return result
    found = {image_id: _agreement_of(predictions, audit, image_id, kind) for image_id in common}
    pooled = Agreement(sum(a.equal for a in found.values()), sum(a.pixels for a in found.values())).share
    worst = min(differing, key=lambda image_id: found[image_id].share)
    update = {
        "ok": pooled >= EQUAL_PIXELS,
        "equal_pixels": pooled,
        "worst_image": worst,
        "worst_equal_pixels": found[worst].share,
    }
    return result.model_copy(update=update)


def _agreement_of(predictions: Path, audit: Path, image_id: str, kind: TaskKind) -> Agreement:
    try:
        return agreement(load_prediction(kind, predictions, image_id), load_prediction(kind, audit, image_id))
    except OSError as error:
        raise StoreError(f"{error.filename} is listed in the index but missing; delete its job folder") from error
    except ShapeError as error:
        raise StoreError(str(error)) from error


def _read_index(folder: Path) -> dict[str, str]:
    """Return image id -> content hash; empty where nothing was kept."""
    file = folder / PREDICTION_INDEX
    if not file.is_file():
        return {}
    try:
        index = json.loads(content_of(file))
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{file} is damaged ({error}); delete the folder {folder.parent} and run again") from error
    if not isinstance(index, dict):
        raise StoreError(f"{file} is not an index of predictions; delete the folder {folder.parent} and run again")
    return {str(image_id): str(content_hash) for image_id, content_hash in index.items()}


SCORE_TOLERANCE = 1e-3
"""Scores of one object further apart than this are those of two objects."""


class Agreement(NamedTuple):
    """Equal pixels of all pixels that count; of objects these are weighted by their scores."""

    equal: float
    pixels: float

    @property
    def share(self) -> float:
        """Between 0 and 1; 1 where there is nothing in either."""
        return self.equal / self.pixels if self.pixels else 1.0


def agreement(one: Prediction, other: Prediction) -> Agreement:
    """Compare two predictions of one form; none of their pixels is equal if their sizes differ.

    Label maps: pixels of one class in both. Panoptic maps: pixels of matched segments, or void in both. Objects and
    masks of prompts: the intersection of matched masks, of the union of all, each weighted by its score, so that
    a box that was hardly kept weighs little. Objects are matched one to one, within a class and `SCORE_TOLERANCE`,
    the largest intersection first; prompts by their order.
    """
    if one.size != other.size:
        return Agreement(0.0, float(one.size.height * one.size.width))
    if isinstance(one, SemanticMap) and isinstance(other, SemanticMap):
        return Agreement(float(np.count_nonzero(one.labels == other.labels)), float(one.labels.size))
    if isinstance(one, Panoptic) and isinstance(other, Panoptic):
        return _of_segments(one, other)
    if isinstance(one, Instances) and isinstance(other, Instances):
        alike = (one.class_ids[:, None] == other.class_ids) & _close(one.scores, other.scores)
        return _of_masks(one.masks, other.masks, one.scores, other.scores, alike)
    if isinstance(one, PromptedMasks) and isinstance(other, PromptedMasks):
        same = np.eye(len(one.masks), len(other.masks), dtype=np.bool_)
        alike = same & _close(one.scores, other.scores)
        return _of_masks(one.masks, other.masks, np.ones(len(one.masks)), np.ones(len(other.masks)), alike)
    raise TypeError(f"a {type(one).__name__} cannot be compared with a {type(other).__name__}")


def _close(ones: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.abs(ones[:, None] - others) <= SCORE_TOLERANCE


def _of_masks(
    ones: NDArray[np.bool_],
    others: NDArray[np.bool_],
    weights: NDArray[np.float64],
    other_weights: NDArray[np.float64],
    alike: NDArray[np.bool_],
) -> Agreement:
    flat, other_flat = (masks.reshape(len(masks), math.prod(masks.shape[1:])) for masks in (ones, others))
    areas, other_areas = flat.sum(axis=1, dtype=np.float64), other_flat.sum(axis=1, dtype=np.float64)
    inter = flat.astype(np.float32) @ other_flat.astype(np.float32).T
    equal = pixels = 0.0
    left, other_left = set(range(len(ones))), set(range(len(others)))
    for i, j in _pairs(np.where(alike, inter, 0.0)):
        weight = max(weights[i], other_weights[j])
        equal += weight * inter[i, j]
        pixels += weight * (areas[i] + other_areas[j] - inter[i, j])
        left.discard(i)
        other_left.discard(j)
    pixels += sum(weights[i] * areas[i] for i in left) + sum(other_weights[j] * other_areas[j] for j in other_left)
    return Agreement(float(equal), float(pixels))


def _of_segments(one: Panoptic, other: Panoptic) -> Agreement:
    """Count pixels by pair of segments once; those of a class with the most common pixels are matched first."""
    ids, places = np.unique(one.segment_ids, return_inverse=True)
    other_ids, other_places = np.unique(other.segment_ids, return_inverse=True)
    shape = (len(ids), len(other_ids))
    table = np.bincount(places.ravel() * len(other_ids) + other_places.ravel(), minlength=shape[0] * shape[1])
    classes = np.array([_classes(one).get(int(i), -1) for i in ids])
    other_classes = np.array([_classes(other).get(int(i), -1) for i in other_ids])
    common = np.where(classes[:, None] == other_classes, table.reshape(shape), 0)
    return Agreement(float(sum(common[i, j] for i, j in _pairs(common))), float(one.segment_ids.size))


def _classes(panoptic: Panoptic) -> dict[int, int]:
    return {segment.id: segment.class_id for segment in panoptic.segments}


def _pairs(common: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Yield (row, column) one to one, the largest entry first; none where an entry is 0."""
    rows: set[int] = set()
    columns: set[int] = set()
    for place in np.argsort(-common, axis=None, kind="stable"):
        i, j = divmod(int(place), common.shape[1])
        if common[i, j] <= 0:
            return
        if i not in rows and j not in columns:
            rows.add(i)
            columns.add(j)
            yield i, j


State = Literal["valid", "flagged", "invalid"]


class Verdict(Record):
    """Hold what a row is worth.

    Attributes:
        state: One word.
        reasons: Flags that speak against it, the invalidating ones first; empty if it is valid.
    """

    state: State
    reasons: tuple[Flag, ...] = ()


def judge(facts: Sequence[JobFacts], doubts: Sequence[Flag], audits: Sequence[AuditResult]) -> Verdict:
    """Weigh what the workers, the statistics and the audit say about one case.

    Args:
        facts: Facts of every job of the case that ended well; replicates that say the same count once.
        doubts: Flags of the latency summary, of the scores, or of anything else that was computed from what was stored.
        audits: Timed against scored predictions, one per timing job.
    """
    invalid = [flag for fact in facts for flag in fact.invalid]
    flags = [flag for fact in facts for flag in fact.flags] + list(doubts)
    for audit in audits:
        if audit.reason is not None:
            (invalid if audit.ok is False else flags).append(audit.reason)
    against = _once(invalid)
    reasons = against + _once(r for r in flags if r.name not in {i.name for i in against})
    state: State = "invalid" if against else "flagged" if reasons else "valid"
    return Verdict(state=state, reasons=tuple(reasons))


def _once(reasons: Iterable[Flag]) -> list[Flag]:
    """Keep the first reason of each name."""
    first: dict[str, Flag] = {}
    for reason in reasons:
        first.setdefault(reason.name, reason)
    return list(first.values())
