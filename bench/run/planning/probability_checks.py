"""Checks, before anything runs, whether probabilities can be kept as a suite asks, and how much disk they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.data.predictions import ADAPTER as FROM_FILES
from bench.data.predictions.options import Options
from bench.data.predictions.reading import format_of
from bench.dataset import Dataset, has_validation
from bench.errors import BenchError
from bench.metric import FromProbabilities, load_metric, metric_error
from bench.records import Case
from bench.records.probabilities import QUANTISATION_ERROR
from bench.run.planning.checking import Checking
from bench.run.planning.plugin_checks import abilities_of

SIZES_READ = 20
"""Images of a split whose sizes are looked at; the others are taken to be as large on average."""


def check_probabilities(check: Checking) -> list[str]:
    """Note metrics that need probabilities which are not kept, and models that have none.

    Returns:
        Sentences on what will be stored.
    """
    metrics = {name: load_metric(name) for name in check.suite.metrics if metric_error(name) is None}
    wanting = [name for name, metric in metrics.items() if isinstance(metric, FromProbabilities)]
    if not check.suite.keep:
        for name in wanting:
            check.wrong(
                ("metrics", check.suite.metrics.index(name)),
                f"{name} is computed from probabilities. Add the line keep: probabilities to the suite, or remove it.",
            )
        return []
    for case in {case.model.label: case for case in check.cases}.values():
        why = _refusal(case)
        if why is not None:
            check.wrong_model(case.model.label, f"keep: probabilities: {why}")
    choosing = [name for name in wanting if hasattr(metrics[name], "chosen_at")]
    return [] if check.usage_errors else _notes(check.cases, check.opened, choosing=choosing)


def _refusal(case: Case) -> str | None:
    """Return why a model has no probabilities to keep; None if it has, or only its first job can tell."""
    model = case.model
    if model.task != "semantic":
        return f"it makes {model.task} predictions; probabilities are of models that label pixels"
    if model.adapter == FROM_FILES:
        try:
            form = format_of(Options.model_validate(dict(model.options)))
        except BenchError:
            return None  # told by the check of predictions
        if form != "probabilities":
            return "its files are label maps; save an array with a number from 0 to 1 for each class and pixel"
        return None
    able = abilities_of(model)
    if able is not None and not able.probabilities:
        return f"adapter {model.adapter!r} hands over none of this model; leave 'keep' out of the suite, or the model"
    return None


def _notes(cases: Sequence[Case], datasets: Mapping[str, Dataset], *, choosing: Sequence[str]) -> list[str]:
    """Return what is kept of each data set, and where no threshold can be chosen."""
    notes = []
    for label, dataset in datasets.items():
        of_dataset = [case for case in cases if case.dataset.label == label]
        if not of_dataset:
            continue
        spec, validates = of_dataset[0].dataset, "validation" in of_dataset[0].keep
        own = of_dataset[0].shift is None
        splits = [spec.test, *([spec.val] if validates and has_validation(spec, dataset) else [])]
        ids = {split: tuple(dataset.ids(split)) for split in splits}
        ids[spec.test] = ids[spec.test][: spec.max_images]
        pixels = sum(_pixels(dataset, of_split) for of_split in ids.values())
        told = " and ".join(f"{len(of_split)} images of {split}" for split, of_split in ids.items())
        notes.append(
            f"{label}: keep: probabilities stores up to {_size(pixels * len(dataset.classes))} for each of "
            f"{len(of_dataset)} cases ({told}, {len(dataset.classes)} classes, a byte each before compression), "
            f"rounded by at most {QUANTISATION_ERROR:.4f}"
        )
        if choosing and own and len(splits) == 1:
            notes.append(
                f"{label}: there is no validation split apart from {spec.test!r} to choose thresholds on; tau of "
                f"{', '.join(choosing)} is 0.5"
            )
    return notes


def _pixels(dataset: Dataset, ids: Sequence[str]) -> int:
    """Return pixels of a split, from the sizes of some of its images."""
    step = max(1, len(ids) // SIZES_READ)
    sizes = [dataset.size(image_id) for image_id in ids[::step]]
    return round(len(ids) * sum(height * width for height, width in sizes) / max(1, len(sizes)))


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{max(1, round(count / 2**20))} MiB"
