"""Checks whether the model that was timed is the model that was scored.

A timing job keeps its predictions for a random share of the images. They must be the predictions
that were scored: equal content hashes, or, for label maps, and for objects of a device whose kernels are not
deterministic, at least 99.9 % equal pixels over the images kept. Otherwise speed and score belong to two models.

Source: MLPerf's compliance TEST01, accuracy checked in performance mode (mlcommons/inference).
"""

from __future__ import annotations

import json
from pathlib import Path

from bench.errors import ShapeError, StoreError
from bench.records import Flag, Record, TaskKind
from bench.records.damage import content_of
from bench.records.predictions import load_prediction
from bench.records.store.layout import PREDICTION_INDEX
from bench.report.summary.agreement import Agreement, agreement

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
