"""F1 of objects at an IoU of 0.5: how many objects are found, and how many of what is found are objects.

What it measures:
    Detection with a minimum of outline: the harmonic mean of precision and recall of objects. Scores play no part but
    for one threshold, so it suits cells and lesions, where a model gives its answer and no ranking.

Definition:
    Detections with a score of at least 0.5 and true objects of one class are matched one to one in the order of
    falling intersection over union. F1 = 2 matches with IoU >= 0.5 / (true objects + detections), counts pooled over
    all images; the headline is the mean over thing classes. Parts: precision, recall, F1 at higher thresholds and the
    mean over 0.50:0.05:0.95, and recall by the true object's area with COCO's limits (32² and 96² pixels). A detection
    that lies to more than half in a crowd of its class and matches no object from 0.5 on is left out. Numbers of
    objects are counted beside it.

When undefined:
    A class without a true and without a predicted object has no value and leaves the mean.

Differs from:
    StarDist's `matching` takes an optimal assignment, which has the same number of pairs above 0.5 where objects do
    not overlap. `per_image`: the mean over the images of each class, then over classes. `micro`: all classes' counts
    together. Metrics of the DSB 2018 stand in `dsb_score`. COCO's AP (`mask_ap`) ranks by score.

Source:
    Caicedo et al., Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl, Nature Methods 2019;
    Schmidt et al., StarDist, MICCAI 2018, `stardist/matching.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metrics import _objects as matched
from bench.metrics._bootstrap import ratio
from bench.metrics._class_sums import ClassFormula, Sums, per_image_of, quotient
from bench.metrics._objects import SEEN, TRUE, f1_at
from bench.records import ClassSpec

AT_50, AT_75, AT_90 = 0, 5, 8
"""Numbers of thresholds 0.5, 0.75 and 0.9."""


def mean_f1(sums: Sums) -> NDArray[np.float64]:
    """Mean of F1 over the ten thresholds."""
    return ratio(2 * sums[..., matched.MATCHED].mean(axis=-1), sums[..., TRUE] + sums[..., SEEN])


def recall_of(size: int) -> ClassFormula:
    """Return the recall of true objects of a size, by its number."""
    return lambda sums: ratio(sums[..., matched.MATCHED_BY_SIZE][..., size], sums[..., matched.TRUE_BY_SIZE][..., size])


def objects(
    rows: NDArray[np.float64], classes: Sequence[ClassSpec]
) -> Iterator[tuple[int, dict[str, str | float | None]]]:
    """Yield the number of the image and what is known of each object, from stored rows.

    `what` is `ground truth` or `prediction`; `area` in pixels; `score` that of the prediction, or of the match, None
    without one; `iou` that with the match, 0 without one.
    """
    for row in rows:
        if row[matched.KIND] == matched.IMAGE:
            continue
        is_true, iou = bool(row[matched.KIND] == matched.TRUTH), float(row[matched.IOU])
        found: dict[str, str | float | None] = {
            "what": "ground truth" if is_true else "prediction",
            "class": classes[int(row[matched.CLASS])].name,
            "area": float(row[matched.AREA]),
            "score": None if is_true and not iou else float(row[matched.SCORE]),
            "iou": iou,
        }
        yield int(row[matched.NUMBER]), found


METRIC = matched.object_metric(
    name="object_f1",
    label="object F1",
    definition=(
        "mean over thing classes of 2 matches with IoU >= 0.5 / (true objects + detections with a score >= 0.5), "
        "matched one to one by falling IoU, counts pooled over images"
    ),
    formula=f1_at(AT_50),
    parts={
        "precision": quotient(AT_50, SEEN),
        "recall": quotient(AT_50, TRUE),
        "F1_75": f1_at(AT_75),
        "F1_90": f1_at(AT_90),
        "F1_50_95": mean_f1,
        **{f"recall_{name}": recall_of(number) for number, name in enumerate(matched.SIZES)},
    },
    dialects={
        "per_image": per_image_of(f1_at(AT_50)),
        "micro": lambda sums: f1_at(AT_50)(sums.sum(axis=(0, 1))),
    },
)
