"""Cases on shifted images: every case once more for each corruption and severity, and for each other data set."""

from __future__ import annotations

from collections.abc import Sequence

from bench.data.corruptions.names import FAMILY_OF, name_error, named
from bench.data.predictions import ADAPTER as FROM_FILES
from bench.dataset import dataset_names
from bench.errors import did_you_mean
from bench.records import Case, Corruption, DatasetSpec, Shift
from bench.suite.jobs import unmeasured
from bench.suite.schema import Corruptions, Suite

NATURAL = "natural"


def corruption_errors(asked: Corruptions) -> list[str]:
    """Return what is wrong with the names that a suite asks for, a sentence each."""
    known = dataset_names()
    usage_errors = [told for name in asked.names if (told := name_error(name)) is not None]
    for one in asked.natural:
        if one.name not in known:
            usage_errors.append(f"natural: no data set named {one.name!r}.{did_you_mean(one.name, known)}")
        elif one.folds is not None:
            usage_errors.append(f"natural: {one.name}: another data set is scored whole; remove 'folds'")
    return usage_errors


def shifted_cases(suite: Suite, cases: Sequence[Case], natural: Sequence[DatasetSpec]) -> tuple[Case, ...]:
    """Return the cases on shifted images, in the order of the shifts, then of the cases.

    Files hold predictions of images as they are, so that they have none. What is quantised is calibrated on the data it
    was made for, and is not scored on another data set.
    """
    if suite.corruptions is None:
        return ()
    of_models = [case for case in cases if case.model.adapter != FROM_FILES]
    names, severities = named(suite.corruptions.names), suite.corruptions.severities
    corruptions = [Corruption(name=name, severity=one, seed=suite.seed) for name in names for one in severities]
    corrupted = [
        _shifted(
            case,
            case.dataset.model_copy(update={"corruption": one}),
            FAMILY_OF[one.name],
            one.name,
            one.severity,
            f"{case.dataset.label} {one.name} {one.severity}",
        )
        for one in corruptions
        for case in of_models
    ]
    elsewhere = [
        _shifted(case, other, NATURAL, other.label, None, f"{case.dataset.label} to {other.label}")
        for other in natural
        for case in of_models
        if case.target.precision != "int8"
    ]
    return (*corrupted, *elsewhere)


def _shifted(case: Case, spec: DatasetSpec, family: str, name: str, severity: int | None, told: str) -> Case:
    """A case on other images: nothing of it is trained anew, and nothing is timed."""
    target = case.id.rpartition("@")[2]
    return unmeasured(
        case,
        id=f"{case.model.label}@{told}@{target}",
        dataset=spec,
        keep=tuple(one for one in case.keep if one != "validation"),
        shift=Shift(of=case.id, family=family, name=name, severity=severity, trained_on=case.dataset),
    )
