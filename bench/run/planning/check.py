"""Suite -> its cases and its opened data sets; or everything that is wrong with it, told in one go.

Data sets that are not there do not end the check. Most know their classes without their files, and
these are compared by name with those of the models all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from bench.data.formats.home import expanded
from bench.data.labels.dataset import on_disk, open_labelled, open_without_files
from bench.data.labels.predictions import check_mapping
from bench.data.predictions import ADAPTER as FROM_FILES
from bench.data.predictions.reading import open_predictions
from bench.dataset import Dataset, dataset_names, groups_of, option_names
from bench.errors import DatasetError, SuiteError
from bench.measure.devices import Machine, this_machine
from bench.metric import load_metric, metric_error
from bench.records import IGNORE_LABEL, DatasetSpec, TaskKind
from bench.records.base import first_fault
from bench.report.summary.columns import read_columns
from bench.run.planning.checking import Checking
from bench.run.planning.data_checks import check_notes, sampled
from bench.run.planning.plugin_checks import check_abilities, check_loggers, check_metrics, check_options
from bench.run.planning.probability_checks import check_probabilities
from bench.run.planning.search_checks import check_searches
from bench.run.planning.shift_checks import check_shifts
from bench.score.reduce import incomplete
from bench.suite.expand import dataset_spec, expand, expand_what_is_known
from bench.suite.load import SuiteLines
from bench.suite.model_configs import is_fetched, model_config_files, weights_named_by
from bench.suite.schema import Suite


def checked(suite: Suite, source: Path, machine: Machine | None = None) -> Checking:
    """Expand a suite, open its data sets, compare classes, look for weights, for a machine (this one if left out).

    The splits of its data sets that are used have been listed then.

    Raises:
        SuiteError: With a paragraph for each thing that is wrong.
    """
    check = Checking(suite, SuiteLines.of(suite, source), machine or this_machine())
    usage_errors = check.usage_errors
    with usage_errors.noted():
        check.cases = expand(suite, auto_device=check.machine.device, source=source, lines=check.lines)
    _open_all(check)
    _check_ground_truths(check)
    _check_completeness(check)
    _check_mappings(check)
    _check_weights(check)
    _check_predictions(check)
    check_searches(check)
    check_options(check)
    if not check.cases:
        _check_what_is_known(check)
    check_metrics(check)
    check_loggers(check)
    shift_notes = check_shifts(check)
    ability_notes = check_abilities(check)
    _check_tables(check)
    kept_notes = check_probabilities(check)
    sound_otherwise = not usage_errors
    for message, labels in check.absent.items():
        usage_errors.note(check.about(labels) + message)
    if check.absent and sound_otherwise:
        usage_errors.note(
            f"Everything else in {source} is valid, as far as can be checked without these files: {len(suite.models)} "
            f"models, {len(suite.metrics)} metrics, {len(check.cases)} cases."
        )
    usage_errors.tell()
    check.notes += [*ability_notes, *kept_notes, *shift_notes]
    return check


def _check_what_is_known(check: Checking) -> None:
    """Look at the models of a suite that does not expand, without those whose names are unknown."""
    cases = expand_what_is_known(check.suite, auto_device=check.machine.device, source=check.source)
    part = replace(check, cases=cases)
    _check_weights(part)
    check_options(part)
    check_abilities(part)


def _open_all(check: Checking) -> None:
    if check.cases:
        # What is done to images is added where cases are planned: each data set is opened once.
        used = {case.dataset.label: case.dataset for case in check.cases}
        specs = [spec.model_copy(update={"corruption": None}) for spec in used.values()]
    else:  # it does not expand; those that exist are looked at all the same
        known = dataset_names()
        specs = [dataset_spec(entry, check.source) for entry in check.suite.datasets if entry.name in known]
    for spec in specs:
        trains = any(case.recipe is not None for case in check.cases if case.made_for.label == spec.label)
        with check.usage_errors.noted(check.about([spec.label])):
            try:
                splits = [spec.train, spec.val, spec.test] if trains else [spec.test]
                dataset = check.opened[spec.label] = _opened(spec, splits)
                seen = sampled(dataset, splits)
                notes = (*_reading_notes(dataset, splits), *check_notes(dataset, splits, check.source), *seen.notes)
                told = (*notes, *_notes_of_made(dataset, splits))
                if told:
                    check.data_notes[spec.label] = tuple(note.rstrip(".") for note in dict.fromkeys(told))
                check.notes += [f"{spec.label}: {note}" for note in notes]
                for fault in seen.faults:
                    check.wrong_data(spec.label, fault)
            except DatasetError as error:
                check.absent.setdefault(str(error), []).append(spec.label)
                without_files = open_without_files(spec)
                if without_files is not None:
                    check.unopened[spec.label] = without_files


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


def _check_ground_truths(check: Checking) -> None:
    """Note data sets without a ground truth in the form that is scored, before anything is trained on them."""
    task = check.suite.task
    wanted: TaskKind = "instance" if task == "prompted" else task
    for label, dataset in check.opened.items():
        if wanted not in dataset.tasks:
            check.wrong_data(
                label,
                f"its ground truth is {' and '.join(dataset.tasks)}; task: {task} is scored against {wanted} ground "
                "truth. Change 'task' or the data set; one of objects alone becomes semantic by its option background.",
            )


def _check_completeness(check: Checking) -> None:
    """Note metrics that need ground truth where the data set has none, and label maps too large for models."""
    metrics = [load_metric(name) for name in check.suite.metrics if metric_error(name) is None]
    for label, dataset in check.opened.items():
        natives = dict.fromkeys(case.model.task for case in check.cases if case.dataset.label == label)
        for native in natives:
            for kind, names in incomplete(metrics, native, dataset).items():
                check.wrong_data(label, _outside(kind, names, dataset))
        if "semantic" in natives and len(dataset.classes) > IGNORE_LABEL:
            check.wrong_data(
                label,
                f"it has {len(dataset.classes)} classes; the label maps of semantic models hold {IGNORE_LABEL}. Choose "
                "some of them by 'labels' or the option classes.",
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


def _check_mappings(check: Checking) -> None:
    """Note models whose classes do not map to those of their data set."""
    known = {**check.opened, **check.unopened}
    for case in {(case.model.label, case.dataset.label): case for case in check.cases}.values():
        if case.dataset.label in known:
            with check.usage_errors.noted(check.about([case.dataset.label])):
                check_mapping(case.model, known[case.dataset.label], check.suite.task)


def _check_weights(check: Checking) -> None:
    for model in {case.model.label: case.model for case in check.cases}.values():
        if model.weights is None or "://" in model.weights:
            continue
        path, about = Path(model.weights), f"{check.source}: {model.label}: "
        if path.exists() and not (path.is_file() or path.is_dir()):
            check.usage_errors.note(f"{about}{path} is a pipe or a device; copy the weights to a file")
        elif not path.exists():
            config = model_config_files()[model.name]
            of_config = str(weights_named_by(model.name)) == model.weights
            where = f"{config}; its relative paths begin at its own folder" if of_config else "the suite"
            fetch = f"fetch them: bench weights prepare {model.name}"
            advice = fetch if is_fetched(model) else f"correct 'weights' in {where}"
            check.usage_errors.note(f"{about}there are no weights at {model.weights}; {advice}")


def _check_predictions(check: Checking) -> None:
    """Note predictions in files that do not fit the images and classes of their data set."""
    for case in check.cases:
        dataset = check.opened.get(case.dataset.label)
        if case.model.adapter == FROM_FILES and dataset is not None and Path(case.model.weights or "").exists():
            with check.usage_errors.noted(f"{check.source}: {case.model.label}: "):
                open_predictions(case.model, case.dataset, dataset)


def tables_of(suite: Suite, source: Path, labels: Sequence[str]) -> dict[str, str]:
    """Return label of a data set -> the table by whose columns its images are sliced, as an absolute path.

    Args:
        suite: The suite as loaded.
        source: Its file, from whose folder relative paths begin.
        labels: Labels of the data sets of its cases; those of folds begin with that of their data set.
    """
    found: dict[str, str] = {}
    for entry in suite.datasets:
        if entry.columns is not None:
            name = entry.label or entry.name
            path = str((source.parent / expanded(entry.columns)).absolute())
            found |= {label: path for label in labels if label == name or label.startswith(f"{name} fold ")}
    return found


def _check_tables(check: Checking) -> None:
    """Note tables that cannot be read, or name none of the images that are scored."""
    specs = {case.dataset.label: case.dataset for case in check.cases}
    for label, path in tables_of(check.suite, check.source, list(specs)).items():
        if label in check.opened:
            with check.usage_errors.noted(f"{check.about([label])}columns: "):
                read_columns(Path(path), check.opened[label].ids(specs[label].test))
