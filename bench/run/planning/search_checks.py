"""Checks the search of a suite before it begins: its space, its packages, and that it sees no test image."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec

from bench.metric import load_metric
from bench.records import Tune
from bench.run.planning.checking import Checking
from bench.score.reduce import reaches
from bench.suite.load import SuiteLines
from bench.suite.tuning import PlannedSearch, extremes, searches_of, tune_errors

NEEDED = {"cmaes": ("cmaes",), "ray": ("ray", "pandas", "pyarrow", "requests", "fsspec")}
"""Sampler or engine -> the packages that it needs beside Optuna."""


def check_searches(check: Checking) -> None:
    """Note what is wrong with the search of a suite; where nothing is, adapters are asked about its extremes, too."""
    tune = check.suite.tune
    if tune is None:
        return
    told = [*tune_errors(check.suite, check.cases, check.lines), *_missing_packages(tune, check.lines)]
    searches = () if told else searches_of(check.suite, check.cases)
    told += _unfit(searches, check)
    for one in told:
        check.usage_errors.note(one)
    if not told:
        check.probes = tuple(case for search in searches for case in extremes(search, tune))


def _unfit(searches: tuple[PlannedSearch, ...], check: Checking) -> Iterator[str]:
    """Yield metrics that cannot score what is searched, and splits that share images."""
    for search in searches:
        metric = load_metric(search.metric)
        if not any(reaches(search.case.model.task, task) for task in metric.tasks):
            yield (
                f"{check.source}: tune{check.lines.at('tune', 'metric')}: {search.metric} scores "
                f"{' and '.join(metric.tasks)} predictions; {search.case.model.label} makes {search.case.model.task} "
                "ones. Choose another metric."
            )
    for label, spec in {search.case.dataset.label: search.finals[0].dataset for search in searches}.items():
        dataset = check.opened.get(label)
        shared = set(dataset.ids(spec.val)) & set(dataset.ids(spec.test)) if dataset is not None else set()
        if shared:
            yield (
                f"{check.about([label])}{len(shared)} images are in the splits {spec.val!r} and {spec.test!r}, for "
                f"example {min(shared)!r}: a search must not see what it is judged on. Take them out of one."
            )


def _missing_packages(tune: Tune, lines: SuiteLines) -> Iterator[str]:
    needed = ["optuna", *NEEDED.get(tune.sampler, ()), *NEEDED.get(tune.engine, ())]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        extras = "tune,ray" if tune.engine == "ray" else "tune"
        yield (
            f"{lines.place('tune')}a search needs {' and '.join(missing)}, which {sys.executable} does not have. "
            f"Install it with: pip install 'segbench[{extras}]'"
        )
