"""The frozen types that cross a process boundary or land on disk.

Every record is immutable, refuses unknown fields, and names its units. Constructing one touches
nothing: no file, no environment variable, no device. `results/README.md` describes the files
these records become, field by field.
"""

from __future__ import annotations

import hashlib
import json
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

RECORDS_VERSION = 1
IGNORE_LABEL = 255
"""Label of a pixel that is left out of every score."""


class Size(NamedTuple):
    """Image size in pixels, always (height, width)."""

    height: int
    width: int


R = TypeVar("R", bound="Record")


class Record(BaseModel):
    """Base of every record: frozen, strict, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ser_json_inf_nan="null")

    def to_json(self) -> str:
        """Return this record as indented JSON with a final newline."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls: type[R], text: str) -> R:
        """Read a record back from what `to_json` wrote; raises pydantic's `ValidationError`."""
        return cls.model_validate_json(text)


def digest(value: JsonValue) -> str:
    """Return the SHA-256 of a JSON value in canonical form (sorted keys, no spaces), in hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


# --------------------------------------------------------------------------- what is compared

TaskKind = Literal["semantic", "instance", "panoptic"]


class ClassSpec(Record):
    """One class of a label space; its id is its position in the list.

    Attributes:
        name: Unique within the label space; label spaces are matched by name.
        is_thing: Whether the class has countable instances (a "thing") or not ("stuff").
        colour: RGB, 0-255, for pictures only.
    """

    name: str
    is_thing: bool = False
    colour: tuple[int, int, int]


class TaskSpec(Record):
    """What a model is asked to predict.

    Attributes:
        kind: Form of the prediction.
        classes: The label space; class id = position.
    """

    kind: TaskKind
    classes: tuple[ClassSpec, ...]


class ModelSpec(Record):
    """A model card, resolved: everything an adapter needs to build the network.

    Attributes:
        name: Path name, `adapter/card`, for example `unet/transposed`.
        label: Name in tables; unique within a suite.
        adapter: Folder under `adapters/`, or the name of an entry point.
        task: The form of its native prediction.
        description: One line for `bench list models`.
        options: The card's options with the suite's overrides applied; the adapter checks them.
        weights: Local path or address of pretrained weights; None builds from a seed.
        trainable: Whether a suite's recipe applies to it (False for fakes and fixed pipelines).
    """

    name: str
    label: str
    adapter: str
    task: TaskKind
    description: str
    options: dict[str, JsonValue] = {}
    weights: str | None = None
    trainable: bool = True


class DatasetSpec(Record):
    """A data set as a case uses it.

    Attributes:
        name: Module under `bench/datasets/`.
        label: Name in tables; unique within a suite.
        options: The data set's own options; its module checks them.
        train, val, test: Split names to train on, to validate on while training, and to score.
        max_images: Use only the first so many images of the scored split; None means all.
    """

    name: str
    label: str
    options: dict[str, JsonValue] = {}
    train: str = "train"
    val: str = "val"
    test: str = "test"
    max_images: int | None = Field(default=None, ge=1)


Precision = Literal["fp32", "tf32", "fp16", "bf16"]


class Target(Record):
    """Where and how a model runs.

    Attributes:
        device: `cpu`, `cuda`, `cuda:1`, … ; `auto` in a suite is resolved before a case exists.
        precision: Arithmetic of the forward pass.
        batch_size: Images per `infer` call.
        threads: CPU threads of the worker for every library; None means all allowed cores.
        image_size: Network input size the images are resized to, (height, width); None keeps
            each image's own size.
        channels_last: Memory layout of the network and its input.
        cudnn_benchmark: Let cuDNN search for its fastest algorithm per shape.
        deterministic: Ask the framework for deterministic kernels.
    """

    device: str = "cpu"
    precision: Precision = "fp32"
    batch_size: int = Field(default=1, ge=1)
    threads: int | None = Field(default=None, ge=1)
    image_size: Size | None = None
    channels_last: bool = False
    cudnn_benchmark: bool = True
    deterministic: bool = False


class Budget(Record):
    """How long to train: whichever of the given limits is reached first. At least one is given.

    Attributes:
        epochs: Passes over the training split.
        steps: Optimiser steps.
        seconds: Wall-clock seconds spent in training steps (validation not counted).
    """

    epochs: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1)
    seconds: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _has_an_end(self) -> Budget:
        if self.epochs is None and self.steps is None and self.seconds is None:
            raise ValueError("a budget needs at least one of epochs, steps and seconds")
        return self


class Recipe(Record):
    """How a model is trained; mapped by each adapter to its framework's own trainer.

    Attributes:
        budget: When to stop.
        batch_size: Images per optimiser step.
        optimizer: Update rule.
        learning_rate: Peak learning rate.
        weight_decay: Decoupled for AdamW, L2 otherwise.
        momentum: Of SGD; ignored by the others.
        schedule: Learning-rate curve over the budget.
        warmup_fraction: Share of the budget with a linearly rising learning rate.
        loss: Named loss of `adapters/_torch/losses.py`.
        flip: Mirror images left-right at random, with their masks.
        image_size: (height, width) that training images are resized to; None keeps their own.
        device, precision, threads, channels_last: As in `Target`, for training; a job's recipe has
            its device resolved.
        validate_every: Epochs between validations; None validates only at the end.
        checkpoint_every_s: Wall-clock seconds between resume checkpoints.
        seed: Of the initial weights, the image order and the augmentation.
    """

    budget: Budget
    batch_size: int = Field(default=8, ge=1)
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    schedule: Literal["constant", "cosine", "poly", "one_cycle"] = "cosine"
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1)
    loss: str = "cross_entropy"
    flip: bool = True
    image_size: Size | None = None
    device: str = "auto"
    precision: Precision = "fp32"
    threads: int | None = Field(default=None, ge=1)
    channels_last: bool = False
    validate_every: int | None = Field(default=1, ge=1)
    checkpoint_every_s: float = Field(default=30.0, gt=0)
    seed: int = 0


PROTOCOL_ID = 1


class Measurement(Record):
    """The timing protocol, as data: its digest is in every record.

    Defaults are the protocol's; `quick` shortens them and marks the result.

    Attributes:
        protocol: Id of the protocol.
        quick: Shortened run, marked as such in every report.
        replicates: Fresh worker processes per case.
        images: Distinct images that are timed (or all there are).
        order_seed: Seed of the image order and of the order of cases within a block.
        warmup_min_iterations, warmup_min_s_cpu, warmup_min_s_cuda, warmup_window,
        warmup_tolerance, warmup_max_iterations, warmup_max_s: The warm-up rule.
        min_s, min_samples, median_half_width, percentiles, max_s: The stop rule.
        block_s: Length of an accepted-or-rejected block of samples, seconds.
        block_retries: How often a disturbed block is measured again.
        pipelined_s: Length of the throughput pass; 0 leaves it out.
        audit_fraction: Share of the timed images whose predictions are kept and compared.
    """

    protocol: int = PROTOCOL_ID
    quick: bool = False
    replicates: int = Field(default=3, ge=1)
    images: int = Field(default=64, ge=1)
    order_seed: int = 0
    warmup_min_iterations: int = Field(default=10, ge=1)
    warmup_min_s_cpu: float = Field(default=1.0, ge=0)
    warmup_min_s_cuda: float = Field(default=3.0, ge=0)
    warmup_window: int = Field(default=20, ge=2)
    warmup_tolerance: float = Field(default=0.02, gt=0)
    warmup_max_iterations: int = Field(default=200, ge=1)
    warmup_max_s: float = Field(default=30.0, gt=0)
    min_s: float = Field(default=10.0, ge=0)
    min_samples: int = Field(default=100, ge=1)
    median_half_width: float = Field(default=0.01, gt=0)
    percentiles: tuple[float, ...] = (50.0, 90.0, 95.0)
    max_s: float = Field(default=120.0, gt=0)
    block_s: float = Field(default=1.0, gt=0)
    block_retries: int = Field(default=3, ge=0)
    pipelined_s: float = Field(default=2.0, ge=0)
    audit_fraction: float = Field(default=0.1, ge=0, le=1)


QUICK: dict[str, JsonValue] = {
    "quick": True,
    "replicates": 1,
    "warmup_max_s": 5.0,
    "min_s": 2.0,
    "min_samples": 30,
    "max_s": 5.0,
    "pipelined_s": 0.5,
}
"""What `quick: true` changes in the protocol."""


# --------------------------------------------------------------------------- jobs and outcomes

JobKind = Literal["train", "predict", "time"]


class Timeouts(Record):
    """Wall-clock limits per job, seconds; at the limit the worker gets TERM, then KILL."""

    train_s: float = Field(default=3600.0, gt=0)
    predict_s: float = Field(default=1800.0, gt=0)
    time_s: float = Field(default=600.0, gt=0)


class Case(Record):
    """One model on one data set on one target.

    Attributes:
        id: Readable and unique within a suite; the same suite gives the same ids.
    """

    id: str
    model: ModelSpec
    dataset: DatasetSpec
    target: Target
    recipe: Recipe | None
    measurement: Measurement
    timeouts: Timeouts


class Job(Record):
    """Everything a worker needs, as `job.json` in the folder it works in.

    Attributes:
        records_version: Version of these records.
        kind: What the worker does.
        key: Content key, hex; equal keys mean interchangeable results.
        key_parts: What the key was made of (name -> digest or readable value), so that a stale
            job can say why it is stale.
        case_id: The case it belongs to; a training shared by cases names the first.
        replicate: 0-based; only `time` jobs have more than one.
        model, dataset, task, target, recipe, measurement: As resolved for the case. `time` jobs
            carry a measurement, `train` jobs a recipe.
        dataset_fingerprint: Content hash of the splits in use.
        weights: Folder- or file path of trained weights, relative to the job folder when it lies
            in the same run, else absolute; None for untrained models.
        seed: Of everything random in the job that the recipe or measurement does not seed.
        harness_root, adapters_root: Folders the worker must find `bench` and `adapters` in.
        cpu_affinity: Cores the worker is pinned to; None leaves it alone.
    """

    records_version: int = RECORDS_VERSION
    kind: JobKind
    key: str
    key_parts: dict[str, str]
    case_id: str
    replicate: int = 0
    model: ModelSpec
    dataset: DatasetSpec
    task: TaskSpec
    target: Target
    recipe: Recipe | None = None
    measurement: Measurement | None = None
    dataset_fingerprint: str
    weights: str | None = None
    seed: int = 0
    harness_root: str
    adapters_root: str
    cpu_affinity: tuple[int, ...] | None = None


class Status(str, Enum):
    """How a job ended; each is a row of the report."""

    OK = "ok"
    UNSUPPORTED = "unsupported"
    OOM_DEVICE = "oom_device"
    OOM_HOST = "oom_host"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    INVALID_OUTPUT = "invalid_output"
    ENVIRONMENT_ERROR = "environment_error"


class Outcome(Record):
    """How a job ended; `outcome.json`, written last and atomically.

    Attributes:
        status: One state.
        reason: One paragraph for every status but `ok`.
        signal: Name of the signal that ended the worker, for `crashed`.
        exit_code: Of the worker process; None when it was killed.
        started_at: UTC, ISO 8601.
        wall_s: From the start of the process to its outcome.
        traceback: Of an unexpected exception, whole.
        facts: What the worker reported: load_s, weights file, parameter counts, versions, notes …
    """

    records_version: int = RECORDS_VERSION
    status: Status
    reason: str | None = None
    signal: str | None = None
    exit_code: int | None = None
    started_at: str
    wall_s: float
    traceback: str | None = None
    facts: JobFacts = Field(default_factory=lambda: JobFacts())


class JobFacts(Record):
    """What a worker reports beside its files. Absent is None, never 0.

    Attributes:
        load_s: Importing the framework and building the model with its weights.
        first_call_ms: The very first predict call.
        time_to_steady_s: From the first call until the warm-up rule held.
        parameters, trainable_parameters: Counted by the adapter.
        weights_bytes: Of the weight file, or of the parameters where there is no file.
        weights_sha256: Of the weight file.
        weights_file: Path of what `train` wrote, relative to the job folder.
        trained_steps, trained_images, trained_s: What the budget came to.
        predicted_images: Number of stored predictions.
        predict_s: Seconds for all of them after the first batch: loading, predicting, storing.
        versions: Package -> version, as the worker's interpreter has them.
        device_name: As the framework names it.
        host_rss_peak_bytes: VmHWM of the worker process.
        torch_peak_allocated_bytes / peak_device_bytes: Of the device allocator.
        fused_stages: Stages the adapter cannot separate.
        threads: Library -> threads in effect, read back.
        not_honoured: Recipe fields the framework cannot honour, with the reason.
        flags: Doubts about the measurement, each `name: what was seen and what to do`.
        invalid: Reasons why the measurement must not be used.
        self_reported: The framework's own scores, name -> value.
        notes: Anything else worth a line.
    """

    load_s: float | None = None
    first_call_ms: float | None = None
    time_to_steady_s: float | None = None
    parameters: int | None = None
    trainable_parameters: int | None = None
    weights_bytes: int | None = None
    weights_sha256: str | None = None
    weights_file: str | None = None
    trained_steps: int | None = None
    trained_images: int | None = None
    trained_s: float | None = None
    predicted_images: int | None = None
    predict_s: float | None = None
    versions: dict[str, str] = {}
    device_name: str | None = None
    host_rss_peak_bytes: int | None = None
    peak_device_bytes: int | None = None
    fused_stages: tuple[str, ...] = ()
    threads: dict[str, int] = {}
    not_honoured: dict[str, str] = {}
    flags: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()
    self_reported: dict[str, float] = {}
    notes: tuple[str, ...] = ()


# --------------------------------------------------------------------------- scores


class Score(Record):
    """One number with its definition and its support.

    Attributes:
        metric: Name of the metric's module.
        version: Of the metric's definition.
        value: The number, or None where it is undefined.
        undefined_because: The reason for None.
        low, high: 95 % interval over images; None where it is undefined.
        per_class: Class name -> value, None where that class is undefined.
        classes_scored: Number of classes that entered a mean.
        images: Number of images that were scored.
        pixels: Number of pixels that were scored.
        dialects: Named variants of the same quantity, name -> value.
        definition: One line.
    """

    metric: str
    version: int
    value: float | None
    undefined_because: str | None = None
    low: float | None = None
    high: float | None = None
    per_class: dict[str, float | None] = {}
    classes_scored: int | None = None
    images: int
    pixels: int | None = None
    dialects: dict[str, float | None] = {}
    definition: str


class CaseScores(Record):
    """All scores of one case; `scores/<case>.json`."""

    records_version: int = RECORDS_VERSION
    case_id: str
    predict_key: str
    scored_at: str
    scores: tuple[Score, ...]


def read_record(cls: type[R], path: Path) -> R:
    """Read a record from a JSON file."""
    return cls.from_json(path.read_text(encoding="utf-8"))


def as_json_dict(record: Record) -> dict[str, Any]:
    """Return a record as plain JSON values (tuples as lists, enums as strings)."""
    value: dict[str, Any] = json.loads(record.model_dump_json())
    return value


Outcome.model_rebuild()
