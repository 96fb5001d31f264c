"""Cases on shifted images: every case once more for each corruption and severity, and for each other data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
    shifts = [(name, severity) for name in named(suite.corruptions.names) for severity in suite.corruptions.severities]
    return tuple(
        case
        for name, severity in shifts
        for case in _corrupted(of_models, Corruption(name=name, severity=severity, seed=suite.seed))
    ) + tuple(case for other in natural for case in _elsewhere(of_models, other))


def _corrupted(cases: Sequence[Case], corruption: Corruption) -> Iterator[Case]:
    for case in cases:
        spec = case.dataset.model_copy(update={"corruption": corruption})
        told = f"{corruption.name} {corruption.severity}"
        family = FAMILY_OF[corruption.name]
        yield _shifted(case, spec, family, corruption.name, corruption.severity, f"{case.dataset.label} {told}")


def _elsewhere(cases: Sequence[Case], other: DatasetSpec) -> Iterator[Case]:
    for case in cases:
        if case.target.precision != "int8":
            yield _shifted(case, other, NATURAL, other.label, None, f"{case.dataset.label} to {other.label}")


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
