"""Suite -> its cases and its opened data sets; or everything that is wrong with it, told in one go.

Data sets that are not there do not end the check. Most know their classes without their files, and
these are compared by name with those of the models all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from bench.data.labels.dataset import on_disk, open_labelled
from bench.data.labels.predictions import check_mapping
from bench.data.labels.without_files import open_without_files
from bench.data.predictions import ADAPTER as FROM_FILES
from bench.data.predictions.reading import open_predictions
from bench.dataset import Dataset, dataset_names, groups_of, option_names
from bench.errors import DatasetError, SuiteError, UsageErrors
from bench.measure.devices import Machine, this_machine
from bench.metric import load_metric, metric_error
from bench.records import IGNORE_LABEL, Case, DatasetSpec, TaskKind
from bench.records.base import first_fault
from bench.run.planning.ability_checks import check_abilities, check_metrics
from bench.run.planning.column_tables import check_tables
from bench.run.planning.data_checks import check_notes, sampled
from bench.run.planning.option_checks import check_loggers, check_options
from bench.run.planning.probability_checks import check_probabilities
from bench.run.planning.search_checks import check_searches
from bench.run.planning.shift_checks import check_shifts
from bench.score.completeness import incomplete
from bench.suite.expand import dataset_spec, expand
from bench.suite.lines import SuiteLines
from bench.suite.model_configs import is_fetched, model_config_files, weights_named_by
from bench.suite.schema import Suite


@dataclass(frozen=True)
class CheckedSuite:
    """A suite that can be planned.

    Attributes:
        cases: Cases in the order of the suite.
        datasets: Opened data sets by label; the splits that are used have been listed.
        notes: Sentences on what is to be known of their files, and on what will not be done as it is asked for.
        data_notes: Label of a data set -> sentences on what was inferred, converted or passed over in it.
    """

    cases: tuple[Case, ...]
    datasets: dict[str, Dataset]
    notes: tuple[str, ...] = ()
    data_notes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def checked(suite: Suite, source: Path, machine: Machine | None = None) -> CheckedSuite:
    """Expand a suite, open its data sets, compare classes, look for weights.

    Args:
        suite: Suite as loaded.
        source: Its file.
        machine: The machine that will run it; this one if left out.

    Raises:
        SuiteError: With a paragraph for each thing that is wrong.
    """
    usage_errors, lines = UsageErrors(), SuiteLines.of(suite, source)
    machine = machine or this_machine()
    cases: tuple[Case, ...] = ()
    with usage_errors.noted():
        cases = expand(suite, auto_device=machine.device, source=source, lines=lines)
    specs = _specs(cases) if cases else _known_specs(suite, source)
    found = _open_all(specs, cases, source, usage_errors)
    _check_ground_truths(found, suite, source, usage_errors)
    _check_completeness(cases, found, suite, source, usage_errors)
    _check_mappings(cases, found, suite, source, usage_errors)
    _check_weights(cases, source, usage_errors)
    _check_predictions(cases, found, source, usage_errors)
    probes = check_searches(suite, cases, found.opened, source, lines, usage_errors)
    check_options((*cases, *probes), source, lines, usage_errors)
    check_metrics(cases, source, suite.metrics, lines, usage_errors)
    check_loggers(suite.loggers, source, lines, usage_errors)
    shift_notes = check_shifts(cases, found.opened, source, usage_errors)
    ability_notes = check_abilities((*cases, *probes), source, lines, usage_errors, machine)
    check_tables(suite, source, cases, found.opened, usage_errors)
    kept_notes = check_probabilities(suite, cases, found.opened, source, lines, usage_errors)
    sound_otherwise = not usage_errors
    for message, labels in found.absent.items():
        usage_errors.note(_about(source, labels) + message)
    if found.absent and sound_otherwise:
        usage_errors.note(
            f"Everything else in {source} is valid, as far as can be checked without these files: {len(suite.models)} "
            f"models, {len(suite.metrics)} metrics, {len(cases)} cases."
        )
    usage_errors.tell()
    return CheckedSuite(
        cases,
        found.opened,
        (*found.notes, *ability_notes, *kept_notes, *shift_notes),
        {k: v for k, v in found.data_notes.items() if v},
    )


@dataclass
class _Found:
    """Hold what became of the data sets.

    Attributes:
        opened: Opened data sets by label.
        unopened: Data sets without files, but with their classes, by label.
        absent: Missing thing -> labels of the data sets that miss it.
        notes: Sentences on what of the opened ones is left out or converted, and on which were never checked
            completely.
        data_notes: All that is to be known of its reading, by label of the data set.
    """

    opened: dict[str, Dataset] = field(default_factory=dict)
    unopened: dict[str, Dataset] = field(default_factory=dict)
    absent: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    data_notes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def _specs(cases: Sequence[Case]) -> list[DatasetSpec]:
    # What is done to images is added where cases are planned: each data set is opened once.
    specs = {case.dataset.label: case.dataset for case in cases}
    return [spec.model_copy(update={"corruption": None}) for spec in specs.values()]


def _known_specs(suite: Suite, source: Path) -> list[DatasetSpec]:
    """Return the data sets that exist, of a suite that does not expand."""
    return [dataset_spec(entry, source) for entry in suite.datasets if entry.name in dataset_names()]


def _open_all(specs: Sequence[DatasetSpec], cases: Sequence[Case], source: Path, usage_errors: UsageErrors) -> _Found:
    found = _Found()
    for spec in specs:
        trains = any(case.recipe is not None for case in cases if case.made_for.label == spec.label)
        with usage_errors.noted(_about(source, [spec.label])):
            try:
                splits = [spec.train, spec.val, spec.test] if trains else [spec.test]
                dataset = found.opened[spec.label] = _opened(spec, splits)
                seen = sampled(dataset, splits)
                notes = (*_reading_notes(dataset, splits), *check_notes(dataset, splits, source), *seen.notes)
                told = (*notes, *_notes_of_made(dataset, splits))
                found.data_notes[spec.label] = tuple(note.rstrip(".") for note in dict.fromkeys(told))
                found.notes += [f"{spec.label}: {note}" for note in notes]
                for fault in seen.faults:
                    usage_errors.note(_about(source, [spec.label]) + fault)
            except DatasetError as error:
                found.absent.setdefault(str(error), []).append(spec.label)
                without_files = open_without_files(spec)
                if without_files is not None:
                    found.unopened[spec.label] = without_files
    return found


def _opened(spec: DatasetSpec, splits: Sequence[str]) -> Dataset:
    """Open a data set and list the splits that are used."""
    try:
        dataset = open_labelled(spec)
    except ValidationError as error:
        raise SuiteError(f"options: {first_fault(error)}.") from None
    for split in splits:
        if split not in dataset.splits():
            raise SuiteError(f"has no split {split!r}; it has {', '.join(dataset.splits())}.")
        if not dataset.ids(split):
            raise SuiteError(f"the split {split!r} has no images, so that nothing can be trained or scored on it.")
    return dataset


def _reading_notes(dataset: Dataset, splits: Sequence[str]) -> tuple[str, ...]:
    """Return what a data set inferred or passed over, and what of its splits is left out, guessed or converted."""
    files = on_disk(dataset)
    if files is None:
        return ()
    of_splits = [note for split in dict.fromkeys(splits) for note in files.notes(split)]
    return (*files.description.inferred, *files.description.notes, *of_splits, *_group_notes(dataset, splits))


def _notes_of_made(dataset: Dataset, splits: Sequence[str]) -> tuple[str, ...]:
    """Return what a data set that is drawn says of its splits; that is no news, and told by `bench check` alone."""
    made = getattr(dataset, "notes", None)
    return () if made is None or on_disk(dataset) is not None else tuple(n for split in splits for n in made(split))


def _group_notes(dataset: Dataset, splits: Sequence[str]) -> list[str]:
    """Return how many groups the images of each split are of, where any has several."""
    notes = []
    for split in dict.fromkeys(splits):
        ids = dataset.ids(split)
        groups = groups_of(dataset, ids)
        number = len(set(groups))
        if groups and number < len(ids):
            what = "group (patient, scene or film)" if number == 1 else "groups (patients, scenes or films)"
            notes.append(f"the {len(ids)} images of {split} are of {number} {what}")
    return notes


def channels_of(dataset: Dataset) -> int:
    """Return channels of its images: 3, RGB, unless bands are declared."""
    bands = getattr(dataset, "bands", None)
    return 3 if bands is None else int(bands.channels)


def _check_ground_truths(found: _Found, suite: Suite, source: Path, usage_errors: UsageErrors) -> None:
    """Note data sets without a ground truth in the form that is scored, before anything is trained on them."""
    wanted: TaskKind = "instance" if suite.task == "prompted" else suite.task
    for label, dataset in found.opened.items():
        if wanted not in dataset.tasks:
            usage_errors.note(
                f"{_about(source, [label])}its ground truth is {' and '.join(dataset.tasks)}; task: {suite.task} is "
                f"scored against {wanted} ground truth. Change 'task' or the data set; one of objects alone becomes "
                "semantic by its option background."
            )


def _check_completeness(
    cases: Sequence[Case], found: _Found, suite: Suite, source: Path, usage_errors: UsageErrors
) -> None:
    """Note metrics that need ground truth where the data set has none, and label maps too large for models."""
    metrics = [load_metric(name) for name in suite.metrics if metric_error(name) is None]
    for label, dataset in found.opened.items():
        natives = dict.fromkeys(case.model.task for case in cases if case.dataset.label == label)
        for native in natives:
            for kind, names in incomplete(metrics, native, dataset).items():
                usage_errors.note(_about(source, [label]) + _outside(kind, names, dataset))
        if "semantic" in natives and len(dataset.classes) > IGNORE_LABEL:
            usage_errors.note(
                f"{_about(source, [label])}it has {len(dataset.classes)} classes; the label maps of semantic models "
                f"hold {IGNORE_LABEL}. Choose some of them by 'labels' or the option classes."
            )


def _outside(kind: TaskKind, names: Sequence[str], dataset: Dataset) -> str:
    """Return why metrics cannot be computed on a data set, and what to write."""
    files = on_disk(dataset)
    takes = files is not None and "background" in option_names(files.name)
    settle = (
        "If all objects of its classes are annotated, say so by the data set's option background: NAME, for example "
        "background: outside (a name that no class has); these pixels then are that class, and what is found there "
        "is wrong. "
        if takes
        else ""
    )
    return (
        f"its ground truth is {' and '.join(dataset.tasks)} and says nothing about pixels outside the objects, where "
        f"{', '.join(names)} would let every false positive go. {settle}Else remove "
        f"{'this metric' if len(names) == 1 else 'these metrics'} from 'metrics', which need {kind} ground truth."
    )


def _check_mappings(
    cases: Sequence[Case], found: _Found, suite: Suite, source: Path, usage_errors: UsageErrors
) -> None:
    """Note models whose classes do not map to those of their data set."""
    known = {**found.opened, **found.unopened}
    for case in {(case.model.label, case.dataset.label): case for case in cases}.values():
        if case.dataset.label in known:
            with usage_errors.noted(_about(source, [case.dataset.label])):
                check_mapping(case.model, known[case.dataset.label], suite.task)


def _check_weights(cases: Sequence[Case], source: Path, usage_errors: UsageErrors) -> None:
    for model in {case.model.label: case.model for case in cases}.values():
        if model.weights is None or "://" in model.weights:
            continue
        path = Path(model.weights)
        if path.exists() and not (path.is_file() or path.is_dir()):
            usage_errors.note(f"{source}: {model.label}: {path} is a pipe or a device; copy the weights to a file")
        elif not path.exists():
            fetched = is_fetched(model)
            config = model_config_files()[model.name]
            of_config = str(weights_named_by(model.name)) == model.weights
            where = f"{config}; its relative paths begin at its own folder" if of_config else "the suite"
            advice = f"fetch them: bench weights prepare {model.name}" if fetched else f"correct 'weights' in {where}"
            usage_errors.note(f"{source}: {model.label}: there are no weights at {model.weights}; {advice}")


def _check_predictions(cases: Sequence[Case], found: _Found, source: Path, usage_errors: UsageErrors) -> None:
    """Note predictions in files that do not fit the images and classes of their data set."""
    for case in cases:
        dataset = found.opened.get(case.dataset.label)
        if case.model.adapter == FROM_FILES and dataset is not None and Path(case.model.weights or "").exists():
            with usage_errors.noted(f"{source}: {case.model.label}: "):
                open_predictions(case.model, case.dataset, dataset)


def _about(source: Path, labels: Sequence[str]) -> str:
    """Return the words before what is wrong with data sets."""
    names = " and ".join(repr(label) for label in labels)
    return f"{source}: data set{'s' if len(labels) > 1 else ''} {names}: "
