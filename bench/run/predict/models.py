"""Chooses what predicts: a model config with weights, or a finished case of a run; with its classes and its target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue, ValidationError

from bench.data.formats.bands import BandOptions, BandReading, Percentiles
from bench.data.formats.folder_classes import read_classes
from bench.data.formats.label_tables import named_classes
from bench.data.labels.dataset import open_labelled
from bench.data.labels.mapping import ClassTable
from bench.data.labels.predictions import table_for
from bench.data.labels.spaces import label_space
from bench.errors import BenchError, did_you_mean
from bench.measure.devices import auto_device
from bench.records import Case, ClassSpec, ModelSpec, Size, Target, TaskSpec
from bench.records.stated_classes import classes_beside
from bench.records.store.files import sha256_of
from bench.records.store.invocation import find_adapters
from bench.records.store.runs import open_run, read_job, read_run
from bench.records.store.selection import named_cases
from bench.records.store.views import CaseView
from bench.run.predict.weight_classes import classes_of_weights
from bench.run.predict.worker.request import FileReading
from bench.suite.model_configs import found_from, resolve_model


@dataclass(frozen=True)
class Predictor:
    """All that decides what is predicted.

    Attributes:
        model, task, target: Model, task and target as a job has them: the classes are those that the model was built
            for.
        weights: Absolute path or an address; None where the model needs none.
        origin: Origin of model and weights, in words, for the record.
        mapping: Table from these classes to those of the suite; None where they are the same.
        reading: Rule for reading images that are not 8-bit grey or RGB; None where nothing states one.
    """

    model: ModelSpec
    task: TaskSpec
    target: Target
    weights: str | None
    origin: str
    mapping: ClassTable | None = None
    reading: FileReading | None = None

    @property
    def classes(self) -> tuple[ClassSpec, ...]:
        """Classes that the outputs name."""
        return self.task.classes if self.mapping is None else self.mapping.classes


@dataclass(frozen=True)
class Overrides:
    """Hold what the command line says beside the model; None and empty = not said."""

    weights: str | None = None
    classes: str | None = None
    options: dict[str, JsonValue] | None = None
    device: str | None = None
    precision: str | None = None
    batch_size: int | None = None
    image_size: str | None = None
    range: str | None = None


def from_model_config(name: str, overrides: Overrides) -> Predictor:
    """Return the model of a model config.

    Raises:
        BenchError: If there is no such model config, it has no weights, or its classes are not known.
    """
    weights = _weight_path(overrides.weights)
    options = None if overrides.options is None else found_from(Path.cwd(), overrides.options)
    model = resolve_model(name, options=options, weights=weights)
    _refuse_prompted(model)
    if model.weights is None and model.trainable and not model.options.get("pretrained"):
        raise BenchError(
            f"{name} has no weights of its own, so its masks would be noise. Give a file with --weights PATH, or a "
            "trained case with RUN --case PATTERN in place of the model."
        )
    classes = _classes(model, overrides)
    return Predictor(
        model=model,
        task=TaskSpec(kind=model.task, classes=classes),
        target=_target(Target(device=auto_device()), overrides),
        weights=model.weights,
        origin=f"model config {name}",
        reading=None if overrides.range is None else FileReading(ranges=(range_of(overrides.range),)),
    )


def from_run(results: Path, run: str | None, case: str | None, overrides: Overrides) -> Predictor:
    """Return the model of a finished case, with the weights it was trained to and on the target it was measured on.

    What a model with `trained_on` predicts is mapped to the classes of the suite, as for its scores.

    Raises:
        BenchError: If there is no such run or case, its training is not finished, or its classes
            cannot be mapped because its data set is not here.
    """
    folder = open_run(results, run)
    record = read_run(folder, results)
    view = _case(record.unshifted.cases, case, f"{folder.suite}/{folder.name}")
    adapters = find_adapters(record, [view.case.model.adapter])
    _refuse_prompted(view.case.model)
    weights = _weight_path(overrides.weights) or _trained_weights(view)
    options = {**view.case.model.options, **found_from(Path.cwd(), overrides.options or {})}
    if overrides.classes:
        raise BenchError(f"--classes {overrides.classes}: a case of a run has its classes; leave the option out.")
    mapping = _mapping(view.case)
    task = view.task if mapping is None else view.task.model_copy(update={"classes": _own_classes(view.case.model)})
    _check_names(tuple(spec.name for spec in task.classes), weights, f"case {view.case.id}")
    return Predictor(
        model=view.case.model.model_copy(update={"options": options}),
        task=task,
        target=_target(view.case.target, overrides),
        weights=weights,
        origin=f"case {view.case.id} of run {folder.suite}/{folder.name}"
        + "".join(f", with adapters of {place}" for place in adapters),
        mapping=mapping,
        reading=reading_of_case(view.case, overrides.range),
    )


def _mapping(case: Case) -> ClassTable | None:
    """Return where the classes of a `trained_on` model go, by the names of the data set or of `labels`."""
    if case.model.trained_on is None:
        return None
    try:
        return table_for(case.model, open_labelled(case.dataset))
    except BenchError as error:
        raise BenchError(
            f"case {case.id}: its model was trained on other classes, which are mapped to those of data set "
            f"{case.dataset.label!r} by name, and that cannot be done: {error}"
        ) from None


def _own_classes(model: ModelSpec) -> tuple[ClassSpec, ...]:
    """Return the classes of a model with `trained_on`."""
    assert model.trained_on is not None  # the callers have asked
    return label_space(model.trained_on).classes


def _case(cases: Sequence[CaseView], wanted: str | None, run: str) -> CaseView:
    if wanted is None and len(cases) == 1:
        return cases[0]
    ids_named = frozenset() if wanted is None else named_cases((view.case for view in cases), wanted)
    named = [view for view in cases if view.case.id in ids_named]
    if len(named) == 1:
        return named[0]
    ids = "; ".join(view.case.id for view in (named or cases))
    if wanted is None:
        raise BenchError(f"run {run} has {len(cases)} cases; choose one with --case: {ids}")
    if named:
        raise BenchError(f"run {run}: --case {wanted!r} names {len(named)} cases; choose one by its id: {ids}")
    names = [name for view in cases for name in (view.case.id, view.case.model.label)]
    raise BenchError(f"run {run}: no case {wanted!r}.{did_you_mean(wanted, names)} Its cases are: {ids}")


def _trained_weights(view: CaseView) -> str | None:
    if view.case.recipe is None:
        return view.case.model.weights
    facts = view.train.outcome.facts if view.train is not None and view.train.ok and view.train.outcome else None
    if view.train is None or facts is None or facts.weights_file is None:
        raise BenchError(f"case {view.case.id}: its training is not finished; finish it with bench run and its suite")
    weights = (view.train.folder / facts.weights_file).resolve()
    if facts.weights_sha256 is not None and weights.exists() and sha256_of(weights) != facts.weights_sha256:
        raise BenchError(
            f"case {view.case.id}: {weights} does not hold the weights that its training wrote (SHA-256 differs); "
            "train it again with bench run and its suite, or give this file as it is with --weights"
        )
    return str(weights)


def _refuse_prompted(model: ModelSpec) -> None:
    if model.task == "prompted":
        raise BenchError(
            f"{model.label} answers prompts, and an image by itself has none; choose a model of another task with: "
            "bench list models"
        )


def _weight_path(weights: str | None) -> str | None:
    if weights is None or "://" in weights:
        return weights
    path = Path(weights)
    if not path.exists():
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise BenchError(f"--weights {weights}: there is no such file.{did_you_mean(path.name, siblings)}")
    return str(path.resolve())


def _classes(model: ModelSpec, overrides: Overrides) -> tuple[ClassSpec, ...]:
    """Return classes from --classes, else from the training that left the weights, their file, or the model config."""
    if overrides.classes:
        classes = read_classes(Path(overrides.classes)).classes
        _check_names(tuple(spec.name for spec in classes), model.weights, f"--classes {overrides.classes}")
        return classes
    source = model.weights or _folder(model)
    if source is not None and "://" not in source:
        path = Path(source)
        names = classes_of_weights(path)
        trained = _classes_of_training(path)
        if trained is not None and names in (None, tuple(spec.name for spec in trained)):
            return trained
        beside = classes_beside(path) if names is None and path.is_file() else None
        names = beside[0] if beside is not None else names
        if names is not None:
            if model.task == "panoptic":
                raise BenchError(
                    f"{path} names its classes but not which are things; give them with --classes FILE.yaml, for "
                    f"example: classes: [{{name: {names[0]}, value: 0, thing: true}}]"
                )
            if model.task == "semantic" and len(names) == 1:
                names = ("background", *names)  # one output: what it does not name is the rest
            things = [name for name in names if name != "background"] if model.task == "instance" else []
            return named_classes(names, things=things)
    if model.trained_on is not None:
        return _own_classes(model)
    raise BenchError(
        f"{model.label}: its weights do not say which classes they tell apart; give --classes FILE.yaml with their "
        "names in the order of the training, for example: [background, person]"
    )


def _classes_of_training(weights: Path) -> tuple[ClassSpec, ...] | None:
    """Return the classes of the job whose folder the weights still lie in, with colours and things."""
    for folder in weights.parents[:4]:
        if (folder / "job.json").is_file():
            try:
                view = read_job(folder)
            except (BenchError, ValidationError):
                return None
            return view.job.task.classes if view is not None and view.job.kind == "train" else None
    return None


def _folder(model: ModelSpec) -> str | None:
    """Return the local folder that the option `pretrained` names; None where it names none."""
    pretrained = model.options.get("pretrained")
    return pretrained if isinstance(pretrained, str) and Path(pretrained).is_dir() else None


def _check_names(names: tuple[str, ...], weights: str | None, asked: str) -> None:
    stated = classes_of_weights(Path(weights)) if weights is not None and "://" not in weights else None
    if stated is not None and stated != names:
        raise BenchError(
            f"{weights} was trained for the classes {', '.join(stated)}; {asked} has {', '.join(names)}. Give weights "
            "of these classes, or leave --classes out: the file names its own."
        )


def _target(base: Target, overrides: Overrides) -> Target:
    changes: dict[str, Any] = {
        "device": overrides.device,
        "precision": overrides.precision,
        "batch_size": overrides.batch_size,
    }
    changes = {key: value for key, value in changes.items() if value is not None}
    if changes.get("device") == "auto":
        changes["device"] = auto_device()
    if overrides.image_size is not None:
        changes["image_size"] = _size(overrides.image_size)
    return base.model_copy(update=changes)


def _size(text: str) -> Size:
    height, comma, width = text.partition(",")
    if not comma or not height.strip().isdecimal() or not width.strip().isdecimal() or "0" in (height, width):
        raise BenchError(f"--image-size {text}: expected height,width in pixels, for example 480,640")
    return Size(int(height), int(width))


BAND_OPTIONS = ("bands", "range", "rgb", "depth")


def reading_of_case(case: Case, asked: str | None) -> FileReading | None:
    """Return how the images of a case's data set are read, with another range if one is asked for.

    Raises:
        BenchError: If the data set measures its range and is not here.
    """
    own = {key: value for key, value in case.dataset.options.items() if key in BAND_OPTIONS}
    if not own:
        return None if asked is None else FileReading(ranges=(range_of(asked),))
    options = BandOptions.model_validate(own, strict=False)
    reading = options.reading()
    if asked is None and isinstance(options.range, Percentiles):
        reading = _measured(case)
    if reading is None:
        return None if asked is None else FileReading(ranges=(range_of(asked),))
    ranges = reading.ranges if asked is None else (range_of(asked),)
    return FileReading(bands=reading.bands, rgb=reading.rgb, ranges=ranges, depth=options.depth)


def _measured(case: Case) -> BandReading | None:
    try:
        found: BandReading | None = getattr(open_labelled(case.dataset), "bands", None)
    except BenchError as error:
        raise BenchError(
            f"case {case.id}: the range of its images was measured on data set {case.dataset.label!r}, which cannot be "
            f"opened here: {error} Give the range by hand: --range LOW,HIGH"
        ) from None
    return found


def range_of(text: str) -> tuple[float, float]:
    """Return the values that become 0 and 255; raises `BenchError` if the text is no such pair."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise BenchError(f"--range {text}: expected two numbers, low,high, for example 0,4095") from None
    if not low < high:
        raise BenchError(f"--range {text}: the second number must be the larger one, for example 0,4095")
    return low, high
