"""Per image: a table of every image with every model's score and latency, and the images that tell most, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metric import load_metric
from bench.report.facts import Facts
from bench.report.html.gallery import CONFUSED, EXTRA, LISTED, MISSED, Gallery
from bench.report.summary.per_image import CaseImages, by_dataset, disagreement, largest

MOST_VALUES = 200_000
"""Values of one quantity in the page; of more, the images that matter most are in it and `bench report` writes all."""


def section(facts: Facts, gallery: Gallery) -> dict[str, Any] | None:
    """Return what the template shows; None where no image has a value."""
    groups = {label: [case for case in cases if case.scores] for label, cases in by_dataset(facts.images).items()}
    groups = {label: cases for label, cases in groups.items() if cases}
    if not groups:
        return None
    place = {(one.dataset, one.image_id): number for number, one in enumerate(gallery.examples)}
    return {
        "groups": [_group(label, cases, facts, place) for label, cases in groups.items()],
        "gallery": gallery,
        "errors": [
            ("missed: an object that is not found", MISSED),
            ("extra: an object where there is none", EXTRA),
            ("confused: another class", CONFUSED),
        ],
        "several": len(groups) > 1,
    }


def _group(label: str, cases: Sequence[CaseImages], facts: Facts, place: dict[tuple[str, str], int]) -> dict[str, Any]:
    name = next(iter(cases[0].scores))
    metric = load_metric(name)
    sign = 1.0 if metric.higher_is_better else -1.0
    cases = [case for case in cases if name in case.scores]
    ids = cases[0].image_ids

    def describe(number: int, value: float) -> dict[str, Any]:
        example = place.get((label, ids[number]))
        return {"id": ids[number], "value": f"{value:.3f}", "example": example}

    worst = [
        {
            "name": facts.name_of[case.case_id],
            "images": [describe(i, case.scores[name][i]) for i in largest(-sign * case.scores[name], LISTED)],
        }
        for case in cases
    ]
    differ = disagreement(cases, name) if len(cases) > 1 else np.empty(0)
    return {
        "label": label,
        "metric": _label(name),
        "worst": worst,
        "differ": [describe(i, differ[i]) for i in largest(differ, LISTED, above=0)],
        "data": _data(label, cases, facts, place),
        "images": len(ids),
    }


def _label(name: str) -> str:
    """Return what a metric is called of one image: itself, or another that a single image has a value of."""
    metric = load_metric(name)
    return str(getattr(metric, "image_label", metric.label))


def _data(label: str, cases: Sequence[CaseImages], facts: Facts, place: dict[tuple[str, str], int]) -> dict[str, Any]:
    """Return what the script of the page makes its table of; images in the order of the split."""
    kept = np.arange(len(cases[0].image_ids))
    most = max(100, MOST_VALUES // len(cases))
    if len(kept) > most:
        first = next(iter(cases[0].scores))
        sign = 1.0 if load_metric(first).higher_is_better else -1.0
        worst = np.nanmin(np.stack([np.nan_to_num(sign * case.scores[first], nan=np.inf) for case in cases]), axis=0)
        kept = np.sort(np.argsort(worst, kind="stable")[:most])
    quantities = [
        {
            "label": _label(name),
            "higher": load_metric(name).higher_is_better,
            "values": [_rounded(case.scores[name][kept], 4) if name in case.scores else None for case in cases],
        }
        for name in cases[0].scores
    ]
    if any(np.isfinite(case.latency_ms).any() for case in cases):
        latencies = [_rounded(case.latency_ms[kept], 3) for case in cases]
        quantities.append({"label": "latency, ms", "higher": False, "values": latencies})
    ids = [cases[0].image_ids[i] for i in kept]
    return {
        "dataset": label,
        "total": len(cases[0].image_ids),
        "ids": ids,
        "models": [facts.name_of[case.case_id] for case in cases],
        "examples": [place.get((label, image_id), -1) for image_id in ids],
        "quantities": quantities,
    }


def _rounded(values: NDArray[np.float64], digits: int) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), digits) for value in values]
