"""Checks, before anything runs, whether images can be shifted as a suite asks, and how many predictions that takes."""

from __future__ import annotations

from bench.data.predictions import ADAPTER as FROM_FILES
from bench.run.planning.checking import Checking, channels_of


def check_shifts(check: Checking) -> list[str]:
    """Note data sets whose images cannot be corrupted, and other data sets with other classes.

    Returns:
        Sentences on what will be predicted beside the images as they are.
    """
    opened = check.opened
    shifted = [case for case in check.cases if case.shift is not None]
    if not shifted:
        return []
    corrupted = {case.dataset.label for case in shifted if case.dataset.corruption is not None}
    for label in sorted(corrupted & set(opened)):
        channels = channels_of(opened[label])
        if channels != 3:
            check.wrong_data(
                label,
                f"corruptions are made for RGB images, and its images have {channels} channels. Leave 'corruptions' "
                "out of the suite",
            )
    for own, other in {(case.made_for.label, case.dataset.label) for case in shifted}:
        if own != other and {own, other} <= set(opened):
            _check_classes(own, other, check)
    unshifted = [case for case in check.cases if case.shift is None]
    files = [case.model.label for case in unshifted if case.model.adapter == FROM_FILES]
    told = len({(case.shift.name, case.shift.severity) for case in shifted if case.shift is not None})
    notes = [
        f"corruptions: {told} shifts of the scored images, {len(shifted)} further predictions of {len(unshifted)} "
        "cases; nothing is trained or timed for them"
    ]
    if files:
        notes.append(f"corruptions: {', '.join(files)}: predictions in files are of images as they are; not shifted")
    return notes


def _check_classes(own: str, other: str, check: Checking) -> None:
    """Note another data set whose classes are not those of the one that models are made for, in the same order."""
    ours, theirs = ([spec.name for spec in check.opened[label].classes] for label in (own, other))
    if ours == theirs:
        return
    alone = [name for name in ours if name not in theirs], [name for name in theirs if name not in ours]
    why = (
        f"{own!r} alone has {', '.join(alone[0]) or 'none'}, {other!r} alone {', '.join(alone[1]) or 'none'}"
        if any(alone)
        else "they are in another order"
    )
    check.usage_errors.note(
        f"{check.source}: corruptions: natural: {other!r} does not have the classes of {own!r}: {why}. Select and "
        f"order them by its 'labels', for example labels: {{classes: [{', '.join(ours[:3])}, ...], rest: ignore}}"
    )
