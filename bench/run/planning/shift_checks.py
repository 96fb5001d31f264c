"""Checks, before anything runs, whether images can be shifted as a suite asks, and how many predictions that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.data.predictions import ADAPTER as FROM_FILES
from bench.dataset import Dataset
from bench.errors import UsageErrors
from bench.records import Case


def check_shifts(
    cases: Sequence[Case], datasets: Mapping[str, Dataset], source: Path, usage_errors: UsageErrors
) -> list[str]:
    """Note data sets whose images cannot be corrupted, and other data sets with other classes.

    Returns:
        Sentences on what will be predicted beside the images as they are.
    """
    shifted = [case for case in cases if case.shift is not None]
    if not shifted:
        return []
    corrupted = {case.dataset.label for case in shifted if case.dataset.corruption is not None}
    for label in sorted(corrupted & set(datasets)):
        channels = getattr(getattr(datasets[label], "bands", None), "channels", 3)
        if channels != 3:
            usage_errors.note(
                f"{source}: data set {label!r}: corruptions are made for RGB images, and its images have {channels} "
                "channels. Leave 'corruptions' out of the suite"
            )
    for own, other in {(case.made_for.label, case.dataset.label) for case in shifted}:
        if own != other and {own, other} <= set(datasets):
            _check_classes(own, other, datasets, source, usage_errors)
    unshifted = [case for case in cases if case.shift is None]
    files = [case.model.label for case in unshifted if case.model.adapter == FROM_FILES]
    told = len({(case.shift.name, case.shift.severity) for case in shifted if case.shift is not None})
    notes = [
        f"corruptions: {told} shifts of the scored images, {len(shifted)} further predictions of {len(unshifted)} "
        "cases; nothing is trained or timed for them"
    ]
    if files:
        notes.append(f"corruptions: {', '.join(files)}: predictions in files are of images as they are; not shifted")
    return notes


def _check_classes(
    own: str, other: str, datasets: Mapping[str, Dataset], source: Path, usage_errors: UsageErrors
) -> None:
    """Note another data set whose classes are not those of the one that models are made for, in the same order."""
    ours, theirs = ([spec.name for spec in datasets[label].classes] for label in (own, other))
    if ours == theirs:
        return
    alone = [name for name in ours if name not in theirs], [name for name in theirs if name not in ours]
    why = (
        f"{own!r} alone has {', '.join(alone[0]) or 'none'}, {other!r} alone {', '.join(alone[1]) or 'none'}"
        if any(alone)
        else "they are in another order"
    )
    usage_errors.note(
        f"{source}: corruptions: natural: {other!r} does not have the classes of {own!r}: {why}. Select and order them "
        f"by its 'labels', for example labels: {{classes: [{', '.join(ours[:3])}, ...], rest: ignore}}"
    )
