"""Checks the search of a suite before it begins: its space, its packages, and that it sees no test image."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from bench.dataset import Dataset
from bench.errors import UsageErrors
from bench.metric import load_metric
from bench.records import Case, Tune
from bench.score.reduce import reaches
from bench.suite.lines import SuiteLines
from bench.suite.schema import Suite
from bench.suite.tuning import check_tune, extremes, searches_of

NEEDED = {"cmaes": ("cmaes",), "ray": ("ray", "pandas", "pyarrow", "requests", "fsspec")}
"""Sampler or engine -> the packages that it needs beside Optuna."""


def check_searches(
    suite: Suite,
    cases: Sequence[Case],
    opened: Mapping[str, Dataset],
    source: Path,
    lines: SuiteLines,
    usage_errors: UsageErrors,
) -> tuple[Case, ...]:
    """Note what is wrong with the search of a suite.

    Args:
        suite: The suite as loaded.
        cases: Cases of the suite; none where it does not expand.
        opened: Data sets by label, those that could be opened.
        source: The suite's file.
        lines: Lines of the suite's file, for messages.
        usage_errors: Gets a paragraph for each.

    Returns:
        Cases with the extremes of the space in their recipes, for adapters to be asked about; none where it is wrong.
    """
    if suite.tune is None:
        return ()
    own = UsageErrors()
    check_tune(suite, cases, source, lines, own)
    _check_packages(suite.tune, source, lines, own)
    searches = () if own else searches_of(suite, cases)
    for search in searches:
        metric = load_metric(search.metric)
        if not any(reaches(search.case.model.task, task) for task in metric.tasks):
            own.note(
                f"{source}: tune{lines.at('tune', 'metric')}: {search.metric} scores {' and '.join(metric.tasks)} "
                f"predictions; {search.case.model.label} makes {search.case.model.task} ones. Choose another metric."
            )
    for label, spec in {search.case.dataset.label: search.finals[0].dataset for search in searches}.items():
        dataset = opened.get(label)
        shared = set(dataset.ids(spec.val)) & set(dataset.ids(spec.test)) if dataset is not None else set()
        if shared:
            own.note(
                f"{source}: data set {label!r}: {len(shared)} images are in the splits {spec.val!r} and {spec.test!r}, "
                f"for example {min(shared)!r}: a search must not see what it is judged on. Take them out of one."
            )
    sound = not own
    with usage_errors.noted():
        own.tell()
    return tuple(case for search in searches for case in extremes(search, suite.tune)) if sound else ()


def _check_packages(tune: Tune, source: Path, lines: SuiteLines, usage_errors: UsageErrors) -> None:
    needed = ["optuna", *NEEDED.get(tune.sampler, ()), *NEEDED.get(tune.engine, ())]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        extras = "tune,ray" if tune.engine == "ray" else "tune"
        usage_errors.note(
            f"{source}: tune{lines.at('tune')}: a search needs {' and '.join(missing)}, which {sys.executable} does "
            f"not have. Install it with: pip install 'segbench[{extras}]'"
        )
