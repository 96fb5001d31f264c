"""A suite as it is written in YAML: strict, frozen, and free of side effects.

What a suite says decides every number of a run; command-line flags only say how and where it is
run. `bench schema` prints this as JSON Schema for editors.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from bench.errors import visible
from bench.metric import metric_called
from bench.records import (
    QUICK,
    Cost,
    InferenceAugmentation,
    Labels,
    Measurement,
    Precision,
    Profile,
    PromptKind,
    Recipe,
    Record,
    Runtime,
    Size,
    SlidingWindow,
    TaskKind,
    Throughput,
    Timeouts,
    Tune,
    Unmapped,
)
from bench.suite.limits import LARGEST_SIDE, BatchSize, Device, Folds, Threads, bounded

T = TypeVar("T")


def _named(value: Any) -> Any:
    """Let `- unet/transposed` stand for `- {name: unet/transposed}`."""
    return {"name": value} if isinstance(value, str) else value


def _listed(value: Any) -> Any:
    """Let a single value stand for a list of one."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _alternatives(value: Any) -> Any:
    """Let a single value stand for a list of one, and lists within a value for the tuples of its record."""

    def frozen(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: tuple(inner) if isinstance(inner, list) else inner for key, inner in part.items()}
        return part

    return tuple(map(frozen, _listed(value)))


def _sizes(value: Any) -> Any:
    """Let `[96, 96]` or `null` stand for a list of one size."""
    several = isinstance(value, list) and any(isinstance(v, list) or v is None for v in value)
    return tuple(_size(v) for v in value) if several else (_size(value),)


def _size(value: Any) -> Any:
    pair = isinstance(value, list) and len(value) == 2 and all(type(v) is int and v > 0 for v in value)
    if value is None or isinstance(value, Size):
        return value
    if not pair:
        raise ValueError(f"expected [height, width] in pixels, null, or a list of these, not {value!r}")
    if max(value) > LARGEST_SIDE:
        raise ValueError(f"no image is larger than {LARGEST_SIDE} pixels on a side: {value!r}")
    return Size(*value)


def _measured(value: Any) -> Any:
    """Apply what `quick: true` stands for, under whatever is set explicitly; `none` times nothing."""
    if value is None or value == "none":
        return {"replicates": 0}
    if not isinstance(value, dict):
        return value
    fields = {**QUICK, **value} if value.get("quick") is True else value
    percentiles = fields.get("percentiles")
    if isinstance(percentiles, list) and not percentiles:
        raise ValueError("percentiles must not be an empty list: a latency is told at one of them at least")
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


def _corrupting(value: Any) -> Any:
    """Let `all`, or a list of names, stand for these at all severities."""
    return {"names": value} if isinstance(value, str | list) else value


def _label_space(value: Any) -> Any:
    """A name, or a list of names as a tuple."""
    names = isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value)
    if not names and not isinstance(value, str | None):
        raise ValueError(f"expected a label space, such as coco_things, or a list of class names, not {value!r}")
    return tuple(value) if names else value


def _folder_name(value: str) -> str:
    """Refuse what is not the name of one folder on any system, or means several to a shell."""
    plain = value.isprintable() and not set(value) & set('/\\*?:"<>|')
    if not value or not plain or value[0] in ".-~ " or value[-1] in ". " or len(value.encode()) > 100:
        raise ValueError(
            'expected the name of one folder: at most 100 bytes, no / \\ * ? : " < > | or control characters, not '
            "beginning with a dot, dash, tilde or space, not ending with a dot or space"
        )
    return value


def _label(value: str) -> str:
    """Refuse what a table cannot show, or shows as something else."""
    if not value.strip() or visible(value) != value or "\n" in value or "\t" in value:
        raise ValueError("expected a name that can be read in a table: no control characters, none that turn letters")
    return value


def _not_empty(value: tuple[T, ...]) -> tuple[T, ...]:
    if not value:
        raise ValueError("must not be an empty list")
    return value


def _metric(value: Any) -> Any:
    """The name of a metric; `{name: mask_ap, max_detections: 300}` is called mask_ap_300."""
    if not isinstance(value, dict):
        return value
    most = value.get("max_detections")
    if {*value} != {"name", "max_detections"} or type(most) is not int or most < 1:
        raise ValueError(
            "expected the name of a metric, or {name: mask_ap, max_detections: 300} with a whole number of at least 1, "
            f"not {value!r}"
        )
    return metric_called(value["name"], most) if isinstance(value["name"], str) else value["name"]


def _distinct(value: tuple[T, ...]) -> tuple[T, ...]:
    if len(set(value)) < len(value):
        raise ValueError(f"names a value twice: {list(value)}")
    return value


class _OneOrMany:
    """Tell editors that a list of one may be written without brackets."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        array = handler(core)
        return {"anyOf": [array["items"], array]}


@dataclass(eq=False)
class _Or:
    """Tell editors in which other forms, as JSON Schema, a value may be written: simpler ones, then longer ones."""

    simpler: tuple[JsonSchemaValue, ...] = ()
    longer: tuple[JsonSchemaValue, ...] = ()

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [*self.simpler, handler(core), *self.longer]}


_OR_NAME = _Or(simpler=({"type": "string"},))
_CAPPED = {"name": {"type": "string"}, "max_detections": {"type": "integer", "minimum": 1}}
_OR_CAPPED = _Or(
    longer=({"type": "object", "properties": _CAPPED, "required": [*_CAPPED], "additionalProperties": False},)
)


Many = Annotated[tuple[T, ...], BeforeValidator(_listed), AfterValidator(_not_empty), _OneOrMany()]
Distinct = Annotated[tuple[T, ...], BeforeValidator(_listed), AfterValidator(_distinct), _OneOrMany()]
Sizes = Annotated[tuple[Size | None, ...], BeforeValidator(_sizes), AfterValidator(_not_empty), _OneOrMany()]
Label = Annotated[str, AfterValidator(_label)]


class Match(Record):
    """Selection of cases: every given field must match; a list means any of; names take `*` and `?`."""

    model: Many[str] | None = Field(default=None, description="Model names or labels, with * and ?.")
    dataset: Many[str] | None = Field(default=None, description="Data set names or labels, with * and ?.")
    device: Many[str] | None = Field(default=None, description="Devices, with * and ?.")
    precision: Many[Precision] | None = None
    runtime: Many[Runtime] | None = None
    batch_size: Many[int] | None = None
    threads: Many[int | None] | None = None


class ModelEntry(Record):
    """A model config, with what this suite changes about it."""

    name: str = Field(description="Model config, as adapter/config, for example unet/transposed.")
    label: Label | None = Field(default=None, description="Name in tables; the model config's name if left out.")
    options: dict[str, JsonValue] = Field(default={}, description="Options that replace the model config's.")
    weights: str | None = Field(default=None, min_length=1, description="Local path of weights, instead of training.")
    trained_on: Annotated[str | tuple[str, ...] | None, BeforeValidator(_label_space)] = Field(
        default=None,
        description="Label space of the weights: coco_things, coco_91, coco_panoptic, voc, ade20k, cityscapes, or a "
        "list of the model's classes in the order of its outputs.",
    )
    synonyms: dict[str, str] = Field(default={}, description="With trained_on: model's class: suite's class.")
    unmapped: Unmapped | None = Field(
        default=None, description="With trained_on: classes that one side lacks are an error, no class, or background."
    )
    recipe: dict[str, JsonValue] = Field(
        default={}, description="Recipe fields that replace the suite's; lists multiply the cases."
    )
    when: Match | None = Field(default=None, description="Use this model only in matching cases.")


class DatasetEntry(Record):
    """A data set, with its options and the splits in use."""

    name: str = Field(description="Data set, for example shapes.")
    label: Label | None = Field(default=None, description="Name in tables; the data set's name if left out.")
    options: dict[str, JsonValue] = Field(default={}, description="Options of the data set.")
    train: str = Field(default="train", description="Split to train on.")
    val: str = Field(default="val", description="Split to validate on while training.")
    test: str = Field(default="test", description="Split to score and to time.")
    max_images: int | None = Field(default=None, ge=1, description="Score only the first N images.")
    labels: Labels | None = Field(default=None, description="Select, merge and drop classes, by name.")
    columns: str | None = Field(
        default=None,
        description="A CSV file with a row for each image; reports slice scores and latencies by its columns.",
    )
    folds: Folds | None = Field(
        default=None,
        description="Cross-validate: one case for each of N parts of the images, in groups by the option group.",
    )


class Corruptions(Record):
    """Corruptions of the images of the scored split, each by itself; models are not trained or timed anew for it."""

    names: Many[str] = Field(
        default=("noise", "blur", "weather", "digital"),
        description="Corruptions, their families (noise, blur, weather, digital, size), or all.",
    )
    severities: Annotated[Many[Annotated[int, Field(ge=1, le=5)]], AfterValidator(_distinct)] = Field(
        default=(1, 2, 3, 4, 5), description="From 1, mild, to 5."
    )
    natural: Annotated[
        tuple[Annotated[DatasetEntry, BeforeValidator(_named), _OR_NAME], ...], BeforeValidator(_listed), _OneOrMany()
    ] = Field(default=(), description="Other data sets with the same classes, which the same models are scored on.")


class TargetEntry(Record):
    """Device and settings with which models run; a list in any field multiplies the cases."""

    device: Many[Device] = Field(default=("auto",), description="cpu, cuda, cuda:1, mps; auto = cuda if there is one.")
    precision: Many[Precision] = ("fp32",)
    runtime: Many[Runtime] = Field(
        default=("eager",), description="What runs the network: its framework, torch.compile, or an exported model."
    )
    batch_size: Many[BatchSize] = (1,)
    threads: Many[Threads | None] = (None,)
    image_size: Sizes = (None,)
    window: Many[SlidingWindow | None] = Field(default=(None,), description="Pass the input in windows; null = whole.")
    test_time: Many[InferenceAugmentation | None] = Field(
        default=(None,), description="Average over scaled and mirrored copies of the input; null = as it is."
    )
    channels_last: Many[bool] = (False,)
    cudnn_benchmark: bool = True
    deterministic: bool = False

    _bounded = model_validator(mode="after")(bounded)


def is_size(record: type[Record], name: str) -> bool:
    """Return whether a field of a record is a size or None: a list of two numbers is one value of it."""
    field = record.model_fields.get(name)
    return field is not None and field.annotation == (Size | None)


def _many_of(record: type[Record]) -> dict[str, Any]:
    """Return the fields of a record for `create_model`, each of which may be a list."""
    fields: dict[str, Any] = {}
    for name, field in record.model_fields.items():
        one: Any = field.annotation
        for constraint in field.metadata:
            one = Annotated[one, constraint]
        default = ... if field.is_required() else (field.get_default(call_default_factory=True),)
        many = Annotated[tuple[one, ...], BeforeValidator(_alternatives), AfterValidator(_not_empty), _OneOrMany()]
        fields[name] = (Sizes if is_size(record, name) else many, default)
    return fields


def _makes_recipes(entry: Record) -> Record:
    """Refuse fields that are right one by one and make no recipe together."""
    names = list(type(entry).model_fields)
    bounded(entry)
    for values in itertools.product(*(getattr(entry, name) for name in names)):
        try:
            Recipe(**dict(zip(names, values, strict=True)))
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    return entry


if TYPE_CHECKING:

    class RecipeEntry(Record):
        """Recipe by which models are trained: the fields of a `Recipe`; a list in any of them multiplies the cases."""
else:
    RecipeEntry = create_model(
        "Recipe",
        __base__=Record,
        __doc__="How models are trained: the fields of a `Recipe`; a list in any of them multiplies the cases.",
        __validators__={"makes_recipes": model_validator(mode="after")(_makes_recipes)},
        **_many_of(Recipe),
    )


class Suite(Record):
    """A suite: what is compared, on which data, where, and how it is measured."""

    name: Annotated[str, AfterValidator(_folder_name)] = Field(
        default="", description="Folder under results/; the file's name if left out."
    )
    title: str = Field(default="", description="Heading of the report.")
    extends: str | None = Field(default=None, description="Another suite file, relative to this one, to start from.")
    task: TaskKind = Field(default="semantic", description="Form of the prediction that is scored.")
    models: Many[Annotated[ModelEntry, BeforeValidator(_named), _OR_NAME]] = Field(
        description="model configs to compare; list them with: bench list models"
    )
    datasets: Many[Annotated[DatasetEntry, BeforeValidator(_named), _OR_NAME]] = Field(
        description="Data sets to compare on; list them with: bench list datasets"
    )
    targets: Many[TargetEntry] = (TargetEntry(),)
    exclude: Annotated[tuple[Match, ...], BeforeValidator(_listed), _OneOrMany()] = Field(
        default=(), description="Cases to leave out."
    )
    recipe: RecipeEntry | None = Field(
        default=None,
        description="How models without weights are trained; a list in a field multiplies the cases; none = untrained.",
    )
    seeds: Distinct[int] = Field(
        default=(), description="Train every model once per seed; none = once, with the recipe's own."
    )
    tune: Tune | None = Field(default=None, description="Search the recipe by scores on the validation split.")
    prompts: Distinct[PromptKind] = Field(
        default=(), description="Task prompted: what a model is told of each object; a list makes a case of each."
    )
    metrics: Many[Annotated[str, BeforeValidator(_metric), _OR_CAPPED]] = Field(
        default=("mean_iou",),
        description="Metrics; the first is the headline. {name: mask_ap, max_detections: 300} sets how many count.",
    )
    keep: Annotated[
        tuple[Literal["probabilities"], ...], BeforeValidator(_listed), AfterValidator(_distinct), _OneOrMany()
    ] = Field(
        default=(),
        description="probabilities = of each class and pixel, kept beside predictions for calibration and thresholds.",
    )
    corruptions: Annotated[Corruptions | None, BeforeValidator(_corrupting)] = Field(
        default=None,
        description="Score models on corrupted images and other data sets too; a list = these; {} = all but size.",
    )
    loggers: Distinct[str] = Field(
        default=(), description="Experiment trackers that get a copy: tensorboard, wandb, mlflow."
    )
    environments: dict[str, Literal["isolated", "running"]] = Field(
        default={},
        description="Adapter: isolated = the environment that bench env create made for it, running = that of bench.",
    )
    measurement: Annotated[Measurement, BeforeValidator(_measured), _Or(simpler=({"const": "none"},))] = Field(
        default=Measurement(), description="How models are timed; none = not at all, predictions are scored only."
    )
    profile: Profile | None = Field(default=None, description="Also measure memory, energy and operations; {} = all.")
    throughput: Throughput | None = Field(
        default=None, description="Also measure under load: batch sweep and MLPerf's scenarios; {} = its defaults."
    )
    cost: Cost | None = Field(default=None, description="Price of the machine, for the cost of a million images.")
    timeouts: Timeouts = Timeouts()
    seed: int = Field(default=0, description="Of everything random that nothing else seeds.")


def suite_schema() -> str:
    """Return the JSON Schema of a suite as text; `suites/suite.schema.json` holds the same."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Suite.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
