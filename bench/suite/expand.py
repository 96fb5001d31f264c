"""Suite -> cases: every model on every data set on every target, minus what is left out.

Pure: the same suite gives the same cases with the same ids in the same order.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import get_args

from pydantic import JsonValue

from bench.data.formats.home import expanded
from bench.data.predictions import ADAPTER as FROM_FILES
from bench.data.predictions.options import option_errors
from bench.data.predictions.reading import kind_of
from bench.dataset import dataset_names, default_root
from bench.errors import BenchError, PluginError, SuiteError, UsageErrors
from bench.metric import load_metric, metric_error
from bench.records import Case, DatasetSpec, Kept, ModelSpec, PromptKind, Recipe, Target
from bench.score.reduce import reaches
from bench.suite.jobs import unmeasured
from bench.suite.limits import MOST_CASES
from bench.suite.load import SuiteLines, name_errors
from bench.suite.model_configs import found_from, resolve_model, weights_from
from bench.suite.recipes import recipes_of
from bench.suite.schema import DatasetEntry, Match, ModelEntry, Suite, TargetEntry
from bench.suite.shifts import corruption_errors, shifted_cases
from bench.suite.tuning import TUNED


def expand(suite: Suite, *, auto_device: str, source: Path, lines: SuiteLines | None = None) -> tuple[Case, ...]:
    """Return the cases of a suite.

    `auto_device` is what `device: auto` means on this machine, `cpu` or `cuda`. Relative paths begin at the folder of
    the suite's file, `source`.

    Raises:
        SuiteError: If a name is unknown, a label is used twice, or no case is left.
    """
    lines = lines or SuiteLines(source)
    models = _models(suite, lines)
    datasets = [spec for entry in suite.datasets for spec in _folds(entry, dataset_spec(entry, source), source)]
    others = () if suite.corruptions is None else suite.corruptions.natural
    natural = [dataset_spec(entry, source) for entry in others]
    usage_errors = UsageErrors()
    with usage_errors.noted():
        _check_tasks(suite, [model for _, model in models], lines)
    with usage_errors.noted():
        _check_prompts(suite, source)
    with usage_errors.noted():
        _refuse_twins([m.label for _, m in models], "models", source)
    with usage_errors.noted():
        _refuse_twins([d.label for d in (*datasets, *natural)], "datasets", source)
    usage_errors.tell()
    # What a model is trained by is the same wherever it runs.
    variants = cache(lambda index: _variants(suite, *models[index], auto_device, f"{source}: models[{index}].recipe"))
    targets = list(dict.fromkeys(t for entry in suite.targets for t in _targets(entry, auto_device)))
    count = len(datasets) * len(targets) * sum(len(variants(index)) for index in range(len(models)))
    if count > MOST_CASES:
        raise SuiteError(f"{source}: comes to {count} cases; at most {MOST_CASES} are allowed. Split it into suites.")
    cases = tuple(
        _scored_only(case) if seeded.adapter == FROM_FILES else case
        for dataset in datasets
        for target in targets
        for index, (entry, model) in enumerate(models)
        if _wanted(suite, entry, model, dataset, target)
        for seeded, recipe in variants(index)
        for case in [
            Case(
                id=f"{seeded.label}@{dataset.label}@{target_label(target)}",
                model=seeded,
                dataset=dataset,
                target=target,
                recipe=recipe,
                measurement=suite.measurement,
                profile=suite.profile,
                throughput=suite.throughput,
                keep=_kept(suite, seeded),
                timeouts=suite.timeouts,
            )
        ]
        if seeded.adapter != FROM_FILES or target == targets[0]
    )
    if not cases:
        raise SuiteError(f"{source}: 'when' and 'exclude' leave no case to run; remove one of them.")
    return (*cases, *shifted_cases(suite, cases, natural))


def expand_what_is_known(suite: Suite, *, auto_device: str, source: Path) -> tuple[Case, ...]:
    """Return the cases of a suite whose unknown names are left out, so that the rest can be checked; none if it fails.

    Without a known data set drawn images stand in its place.
    """
    lines, known = SuiteLines(source), dataset_names()

    def is_known(entry: ModelEntry) -> bool:
        try:
            _model(entry, source, lines.place("models"))
        except BenchError:
            return False
        return True

    part = suite.model_copy(
        update={
            "models": tuple(filter(is_known, suite.models)),
            "datasets": tuple(entry for entry in suite.datasets if entry.name in known)
            or (DatasetEntry(name="shapes"),),
            "metrics": tuple(name for name in suite.metrics if metric_error(name) is None),
            "corruptions": None,
        }
    )
    try:
        return expand(part, auto_device=auto_device, source=source, lines=lines)
    except BenchError:
        return ()


def _variants(
    suite: Suite, entry: ModelEntry, model: ModelSpec, auto_device: str, where: str
) -> list[tuple[ModelSpec, Recipe | None]]:
    """Return a model by all of its prompts, recipes and seeds, told apart by their labels."""
    found: list[tuple[ModelSpec, Recipe | None]] = []
    for kind in suite.prompts or (None,):
        prompted = model if kind is None else _called(model, f"{model.label} {kind}", prompt=kind)
        for varied, recipe in recipes_of(suite, entry, prompted, auto_device, where=where):
            if recipe is not None and suite.tune is not None:
                varied = _called(varied, f"{varied.label}{TUNED}")
            if recipe is None or not suite.seeds:
                found.append((varied, recipe))
                continue
            for seed in suite.seeds:
                seeded = _called(varied, f"{varied.label} seed {seed}")
                found.append((seeded, recipe.model_copy(update={"seed": seed})))
    return found


def _called(model: ModelSpec, label: str, **changes: object) -> ModelSpec:
    return model.model_copy(update={"label": label, **changes})


def _kept(suite: Suite, model: ModelSpec) -> tuple[Kept, ...]:
    """Return what a suite keeps beside a model's predictions; of the validation split, too, if thresholds are chosen.

    Files hold the predictions of one split.
    """
    if not suite.keep:
        return ()
    names = [name for name in suite.metrics if metric_error(name) is None]
    choosing = any(hasattr(load_metric(name), "chosen_at") for name in names) and model.adapter != FROM_FILES
    return (*suite.keep, *(("validation",) if choosing else ()))


def _scored_only(case: Case) -> Case:
    """The case of predictions that are files: no target runs them, and nothing of them is measured."""
    return unmeasured(case, id=f"{case.model.label}@{case.dataset.label}@files", target=Target())


def target_label(target: Target) -> str:
    """Short readable name of a target; different targets have different names.

    >>> target_label(Target())
    'cpu fp32 b1'
    """
    parts = [target.device, target.precision, f"b{target.batch_size}"]
    parts += [target.runtime] if target.runtime != "eager" else []
    parts += [f"t{target.threads}"] if target.threads is not None else []
    parts += [f"{target.image_size.height}x{target.image_size.width}"] if target.image_size is not None else []
    parts += _passes(target)
    parts += ["nhwc"] if target.channels_last else []
    parts += ["nosearch"] if not target.cudnn_benchmark else []
    parts += ["deterministic"] if target.deterministic else []
    return " ".join(parts)


def _passes(target: Target) -> list[str]:
    """Short names of what makes more than one forward pass; numbers in full, so that no two are called the same."""
    parts = []
    if (window := target.window) is not None:
        overlap = f"+{_short(100 * window.overlap)}%" if window.overlap else ""
        parts.append(f"w{window.size.height}x{window.size.width}{overlap}")
    if (test_time := target.test_time) is not None:
        if test_time.scales != (1.0,) or not test_time.flip:
            parts.append("x" + ",".join(_short(scale) for scale in test_time.scales))
        parts += ["flip"] if test_time.flip else []
    return parts


def _short(number: float) -> str:
    return f"{number:.12g}"


def _wrong_names(suite: Suite, lines: SuiteLines) -> Iterator[str]:
    yield from name_errors("datasets", suite.datasets, lines)
    if suite.corruptions is not None:
        yield from (f"{lines.place('corruptions')}{told}" for told in corruption_errors(suite.corruptions))
    yield from name_errors("metrics", suite.metrics, lines)


def _models(suite: Suite, lines: SuiteLines) -> list[tuple[ModelEntry, ModelSpec]]:
    """Models with their entries; all names that a suite has wrong are told together."""
    usage_errors, models = UsageErrors(), []
    for told in _wrong_names(suite, lines):
        usage_errors.note(told)
    for index, entry in enumerate(suite.models):
        with usage_errors.noted():
            models.append((entry, _model(entry, lines.source, lines.place("models", index))))
    usage_errors.tell()
    return models


def _model(entry: ModelEntry, source: Path, where: str) -> ModelSpec:
    weights = None if entry.weights is None else weights_from(source.parent, entry.weights)
    try:
        options = found_from(source.parent, entry.options)
        if entry.name.startswith(f"{FROM_FILES}/"):
            return _of_files(entry, options, source.parent, where)
        model = resolve_model(entry.name, label=entry.label, options=options, weights=weights)
    except PluginError as error:
        raise SuiteError(f"{where}{error}") from None
    return _with_label_space(entry, model, where)


def _of_files(entry: ModelEntry, options: dict[str, JsonValue], folder: Path, where: str) -> ModelSpec:
    """A model whose predictions are files; these stand in the place of its weights, so that their content counts."""
    usage_errors = UsageErrors()
    for sentence in option_errors(options, entry.label or entry.name):
        usage_errors.note(f"{where}{sentence}")
    usage_errors.tell()
    annotations = options.get("annotations")
    if isinstance(annotations, str):
        options = {**options, "annotations": str((folder / expanded(annotations)).resolve())}
    try:
        kind = kind_of(options)
        model = resolve_model(entry.name, label=entry.label, options=options, weights=str(options["root"]), task=kind)
    except BenchError as error:
        raise SuiteError(f"{where}{error}") from None
    return _with_label_space(entry, model, where)


def _with_label_space(entry: ModelEntry, model: ModelSpec, where: str) -> ModelSpec:
    """The model with what the suite says of the classes of its weights."""
    trained_on = entry.trained_on if entry.trained_on is not None else model.trained_on
    if trained_on is None and (entry.synonyms or entry.unmapped is not None):
        raise SuiteError(
            f"{where}'synonyms' and 'unmapped' are for a model with 'trained_on', the label space of its weights, "
            "for example trained_on: coco_things. Add it, or remove them."
        )
    return model.model_copy(
        update={"trained_on": trained_on, "synonyms": entry.synonyms, "unmapped": entry.unmapped or "error"}
    )


def dataset_spec(entry: DatasetEntry, source: Path) -> DatasetSpec:
    """Return a data set of a suite with absolute paths, from the suite's folder; a default `root` from this one."""
    root = default_root(entry.name)
    options: dict[str, JsonValue] = {} if root is None else {"root": str(Path(root).absolute())}
    options |= {} if entry.folds is None else {"folds": entry.folds}
    return DatasetSpec(
        name=entry.name,
        label=entry.label or entry.name,
        options={**options, **found_from(source.parent, entry.options)},
        train=entry.train,
        val=entry.val,
        test=entry.test,
        max_images=entry.max_images,
        labels=entry.labels,
    )


def _folds(entry: DatasetEntry, spec: DatasetSpec, source: Path) -> list[DatasetSpec]:
    """Return a data set once for each of its folds, told apart by label; unchanged without folds."""
    if entry.folds is None:
        return [spec]
    said = sorted({"train", "val", "test"} & entry.model_fields_set) + sorted({"fold", "folds"} & set(entry.options))
    if said:
        raise SuiteError(
            f"{source}: data set {spec.label!r}: 'folds' makes the splits train, val and test of each fold; remove "
            f"{', '.join(repr(name) for name in said)}. Which of the data set's own splits are used is said by the "
            "option pool."
        )
    return [
        spec.model_copy(
            update={"label": f"{spec.label} fold {number}", "options": {**spec.options, "fold": number}},
        )
        for number in range(1, entry.folds + 1)
    ]


def _check_tasks(suite: Suite, models: list[ModelSpec], lines: SuiteLines) -> None:
    for index, model in enumerate(models):
        if not reaches(model.task, suite.task):
            raise SuiteError(
                f"{lines.place('models', index)}{model.name} predicts {model.task} maps, which cannot be scored as "
                f"{suite.task}. Change 'task' or leave the model out."
            )


def _check_prompts(suite: Suite, source: Path) -> None:
    if suite.task == "prompted" and not suite.prompts:
        raise SuiteError(
            f"{source}: task prompted needs 'prompts', what a model is told of each object: one or more of "
            f"{', '.join(get_args(PromptKind))}, for example prompts: [point, box]."
        )
    if suite.prompts and suite.task != "prompted":
        raise SuiteError(
            f"{source}: 'prompts' are made from the ground truth, for task: prompted only, not for task: {suite.task}. "
            "Remove them, or change 'task'."
        )


def _refuse_twins(labels: list[str], where: str, source: Path) -> None:
    counts = Counter(map(_as_seen, labels))
    twins = sorted(label for label, count in counts.items() if count > 1)
    if twins:
        raise SuiteError(
            f"{source}: {where}: {twins[0]!r} occurs more than once. Give each entry its own 'label', for example "
            f"{{name: {twins[0]}, label: {twins[0]}-2}}."
        )


def _as_seen(label: str) -> str:
    """Return a label as every table shows it: letters composed, and without signs that have no width."""
    return unicodedata.normalize("NFC", "".join(sign for sign in label if unicodedata.category(sign) != "Cf"))


def _targets(entry: TargetEntry, auto_device: str) -> Iterator[Target]:
    lists = {name: values for name, values in entry if isinstance(values, tuple)}
    others = {name: value for name, value in entry if name not in lists}
    for values in itertools.product(*lists.values()):
        target = Target(**dict(zip(lists, values, strict=True)), **others)
        yield target.model_copy(update={"device": auto_device}) if target.device == "auto" else target


def _wanted(suite: Suite, entry: ModelEntry, model: ModelSpec, dataset: DatasetSpec, target: Target) -> bool:
    if entry.when is not None and not _matches(entry.when, model, dataset, target):
        return False
    return not any(_matches(pattern, model, dataset, target) for pattern in suite.exclude)


def _matches(match: Match, model: ModelSpec, dataset: DatasetSpec, target: Target) -> bool:
    return (
        _any_name(match.model, model.name, model.label)
        and _any_name(match.dataset, dataset.name, dataset.label)
        and _any_name(match.device, target.device)
        and (match.precision is None or target.precision in match.precision)
        and (match.runtime is None or target.runtime in match.runtime)
        and (match.batch_size is None or target.batch_size in match.batch_size)
        and (match.threads is None or target.threads in match.threads)
    )


def _any_name(patterns: tuple[str, ...] | None, *names: str) -> bool:
    return patterns is None or any(
        name == pattern or fnmatchcase(name, pattern) for name in names for pattern in patterns
    )
