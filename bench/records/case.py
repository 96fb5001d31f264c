"""What is compared: models, data sets, targets, recipes, the timing protocol, and the case that joins them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

from pydantic import (
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from bench.records.base import Record, Size
from bench.records.labels import Labels, Unmapped
from bench.records.passes import Profile, Throughput
from bench.records.protocol import Measurement, Timeouts

TaskKind = Literal["semantic", "instance", "panoptic", "prompted"]
"""Form of a prediction. `prompted` has no classes: a mask for each object that the model is pointed to."""

PromptKind = Literal["point", "box", "centre"]
"""What a prompted model is told of an object: the point farthest from its border, its box, the centre of its box.

The rules are in `bench/records/prompts.py`."""


class ClassSpec(Record):
    """One class of a label space; its id is its position in the list.

    Attributes:
        name: Unique within the label space; label spaces are matched by name.
        is_thing: Whether the class has countable instances (a "thing") or not ("stuff").
        colour: RGB, 0-255, for pictures only.
        is_background: Whether it is the class of pixels in no object, under whatever name; see `background_class`.
        frequency: In how many training images it is: LVIS's groups of 1 to 10, 11 to 100, and more; None elsewhere,
            where it is not written down.
    """

    name: str
    is_thing: bool = False
    colour: tuple[int, int, int]
    is_background: bool = False
    frequency: Literal["rare", "common", "frequent"] | None = None

    @model_serializer(mode="wrap")
    def _without_empty_frequency(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Records, and the keys made of them, are as they were before there was a frequency."""
        written: dict[str, Any] = write(self)
        if self.frequency is None:
            written.pop("frequency", None)
        return written


def background_class(classes: Sequence[ClassSpec]) -> int | None:
    """Id of the class of pixels in no object: the one declared to be it, else the one called `background`, else None.

    >>> grey = (0, 0, 0)
    >>> background_class([ClassSpec(name="cell", colour=grey), ClassSpec(name="bg", colour=grey, is_background=True)])
    1
    """
    declared = [index for index, spec in enumerate(classes) if spec.is_background]
    named = [index for index, spec in enumerate(classes) if spec.name.lower() == "background" and not spec.is_thing]
    return next(iter([*declared, *named]), None)


class TaskSpec(Record):
    """What a model is asked to predict.

    Attributes:
        kind: Form of the prediction.
        classes: The label space; class id = position.
        channels: Of an image, (H, W, channels); 3 is RGB unless the data set declares other bands.
    """

    kind: TaskKind
    classes: tuple[ClassSpec, ...]
    channels: int = Field(default=3, ge=1)

    @model_serializer(mode="wrap")
    def _without_the_usual(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave 3 channels out, so that the keys of jobs on RGB images are what they were."""
        written: dict[str, Any] = write(self)
        if self.channels == 3:
            written.pop("channels", None)
        return written


class ModelSpec(Record):
    """A model config, resolved: everything an adapter needs to build the network.

    Attributes:
        name: Path name, `adapter/config`, for example `unet/transposed`.
        label: Name in tables; unique within a suite.
        adapter: Folder under `adapters/`, or the name of an entry point.
        task: The form of its native prediction.
        description: One line for `bench list models`.
        options: The model config's options with the suite's overrides applied; the adapter checks them.
        weights: Local path or address of pretrained weights; None builds from a seed.
        trainable: Whether a suite's recipe applies to it (False for fakes and fixed pipelines).
        prompt: What a prompted model is told of each object; None for every other task.
        trained_on: Label space that its weights predict: the name of a published one or its
            classes in order; None = the data set's own. See `bench/data/labels/`.
        synonyms: Class of that label space -> class of the suite, beside the built-in ones.
        unmapped: What becomes of classes that only one side has.
    """

    name: str
    label: str
    adapter: str
    task: TaskKind
    description: str
    options: dict[str, JsonValue] = {}
    weights: str | None = None
    trainable: bool = True
    prompt: PromptKind | None = None
    trained_on: str | tuple[str, ...] | None = None
    synonyms: dict[str, str] = {}
    unmapped: Unmapped = "error"


class DatasetSpec(Record):
    """A data set as a case uses it.

    Attributes:
        name: Module under `bench/datasets/`.
        label: Name in tables; unique within a suite.
        options: The data set's own options; its module checks them.
        train, val, test: Split names to train on, to validate on while training, and to score.
        max_images: Use only the first n images of the scored split; None means all.
        labels: What is made of its classes; None leaves them.
    """

    name: str
    label: str
    options: dict[str, JsonValue] = {}
    train: str = "train"
    val: str = "val"
    test: str = "test"
    max_images: int | None = Field(default=None, ge=1)
    labels: Labels | None = None


TrainingPrecision = Literal["fp32", "tf32", "fp16", "bf16"]

Precision = Literal["fp32", "tf32", "fp16", "bf16", "int8"]
"""Arithmetic of a forward pass; `int8` only by runtimes that run an exported network."""

Runtime = Literal["eager", "compile", "cuda_graphs", "onnxruntime", "openvino", "tensorrt"]

EXPORTED_RUNTIMES: tuple[Runtime, ...] = ("onnxruntime", "openvino", "tensorrt")
"""Those that run an exported model: a job of its own exports it, before anything is measured."""


class SlidingWindow(Record):
    """Forward passes over windows that cover the network input, instead of one over all of it.

    Logits are averaged where windows overlap. The last window of a row or column is shifted
    inside the image; an image smaller than the window is padded to it.

    Attributes:
        size: (height, width) of a window, pixels of the network input.
        overlap: Share of a window's height and width that the next one covers again; the step is
            rounded to whole pixels.
    """

    size: Size
    overlap: float = Field(default=0.0, ge=0, lt=1)

    @field_validator("size", mode="before")
    @classmethod
    def _size_is_a_pair(cls, value: Any) -> Size:
        pair = isinstance(value, list | tuple) and len(value) == 2 and all(type(v) is int and v > 0 for v in value)
        if not pair:
            raise ValueError(f"expected [height, width] in pixels, each at least 1, not {value!r}")
        return Size(*value)


class InferenceAugmentation(Record):
    """Test-time augmentation: passes over changed copies of the network input, with probabilities averaged.

    Every scale is passed as it is and, with `flip`, mirrored; with a window, over windows.

    Attributes:
        flip: Pass the left-right mirror image too.
        scales: Rising factors of the network input's height and width.
    """

    flip: bool = False
    scales: tuple[float, ...] = (1.0,)

    @field_validator("scales", mode="before")
    @classmethod
    def _list_is_a_tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _scales_rise(self) -> InferenceAugmentation:
        positive = bool(self.scales) and self.scales[0] > 0
        if not positive or any(b <= a for a, b in pairwise(self.scales)):
            raise ValueError(f"scales needs rising factors above 0, such as [0.5, 1.0, 1.5], not {list(self.scales)}")
        return self


class Target(Record):
    """Where and how a model runs.

    Attributes:
        device: `cpu`, `cuda`, `cuda:1`, …, `mps`; `auto` in a suite is resolved before a case exists.
        precision: Arithmetic of the forward pass; `int8` is calibrated on images of the training split.
        runtime: What makes the forward pass: `eager`, the model's own framework as it is; `compile`,
            torch.compile; `cuda_graphs`, its kernels recorded and replayed; `onnxruntime`, `openvino` or
            `tensorrt`, the model exported to ONNX.
        batch_size: Images per `infer` call.
        threads: CPU threads of the worker for every library; None means all allowed cores.
        image_size: Network input size the images are resized to, (height, width); None keeps
            each image's own size.
        window: Cover the network input with windows; None passes it whole.
        test_time: Average over changed copies of the network input; None passes it as it is.
        channels_last: Memory layout of the network and its input.
        cudnn_benchmark: Let cuDNN search for its fastest algorithm per shape.
        deterministic: Ask the framework for deterministic kernels.
    """

    device: str = "cpu"
    precision: Precision = "fp32"
    runtime: Runtime = "eager"
    batch_size: int = Field(default=1, ge=1)
    threads: int | None = Field(default=None, ge=1)
    image_size: Size | None = None
    window: SlidingWindow | None = None
    test_time: InferenceAugmentation | None = None
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


class Augmentation(Record):
    """Random changes of a training image, which its mask follows; each is off at its default.

    Mirroring is the recipe's own `flip`. Pixels that a change brings in from outside the image
    are void in the mask.

    Attributes:
        scale: Smallest and largest factor of a random enlargement or reduction, after which a
            random part of the training size is cut out, padded where the image became smaller.
        rotate_deg: Largest angle of a random rotation either way, degrees.
        elastic_px: Largest typical displacement of a smooth random warp, pixels.
        colour: Largest relative change of brightness, contrast and saturation; hue changes by a
            tenth of it.
        blur_px: Largest standard deviation of a Gaussian blur, pixels.
        noise: Largest standard deviation of Gaussian noise, in units of the full range.
    """

    scale: tuple[float, float] | None = None
    rotate_deg: float = Field(default=0.0, ge=0, le=180)
    elastic_px: float = Field(default=0.0, ge=0)
    colour: float = Field(default=0.0, ge=0, le=1)
    blur_px: float = Field(default=0.0, ge=0)
    noise: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _scale_is_a_range(self) -> Augmentation:
        if self.scale is not None and not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale needs two rising factors above 0, such as [0.5, 2.0], not {list(self.scale)}")
        return self

    @property
    def changes(self) -> bool:
        """Whether anything is on: a scale of [1.0, 1.0] leaves every image as it is."""
        return self.moves or self.colour > 0 or self.blur_px > 0 or self.noise > 0

    @property
    def moves(self) -> bool:
        """Whether pixels change their place, so that the mask changes too."""
        return self.scale not in (None, (1.0, 1.0)) or self.rotate_deg > 0 or self.elastic_px > 0


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
        loss: Weighted sum of the losses in `adapters/_torch/training/losses/`, such as `0.5*cross_entropy + dice`.
        flip: Mirror images left-right at random, with their masks.
        augmentation: Further random changes of images and masks.
        random_crop: (height, width) of a random part that a step sees of each image, at the image's own
            resolution or that of `image_size`; `augmentation.scale` then enlarges or reduces the image before
            it is cut, and what is smaller than the part is padded, void in the mask. None shows images whole.
        class_balanced: Draw images so that rare classes come as often as frequent ones, instead of
            every image once per epoch.
        accumulate: Batches whose gradients make one optimiser step; the step then sees
            `batch_size * accumulate` images.
        clip_gradient_norm: Largest norm of all gradients together; None leaves them, or leaves
            the choice to the model config.
        ema_decay: Validate and keep an exponential moving average of the weights with this decay
            per step; None keeps the weights themselves.
        backbone_learning_rate_factor: What the learning rate is multiplied by for the backbone.
        frozen_backbone_fraction: Share of the budget, from its start, in which the backbone does not learn:
            neither its weights nor the running statistics of its normalisation change.
        early_stopping: Stop after this number of validations in a row without a better one; None trains
            until the budget is spent.
        deterministic: Ask the framework for deterministic kernels.
        devices: Processes that share a step's batch, each with a device of its own, or each with
            a share of the threads of a CPU.
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
    augmentation: Augmentation = Augmentation()
    random_crop: Size | None = None
    class_balanced: bool = False
    accumulate: int = Field(default=1, ge=1)
    clip_gradient_norm: float | None = Field(default=None, gt=0)
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    backbone_learning_rate_factor: float = Field(default=1.0, gt=0, le=100)
    frozen_backbone_fraction: float = Field(default=0.0, ge=0, lt=1)
    early_stopping: int | None = Field(default=None, ge=1)
    deterministic: bool = False
    devices: int = Field(default=1, ge=1)
    image_size: Size | None = None
    device: str = "auto"
    precision: TrainingPrecision = "fp32"
    threads: int | None = Field(default=None, ge=1)
    channels_last: bool = False
    validate_every: int | None = Field(default=1, ge=1)
    checkpoint_every_s: float = Field(default=30.0, gt=0)
    seed: int = 0

    @model_validator(mode="after")
    def _thaws_in_one_process(self) -> Recipe:
        # Processes agree at the start on whose gradients they average.
        if self.frozen_backbone_fraction and self.devices > 1:
            raise ValueError("frozen_backbone_fraction needs devices: 1")
        return self


class Case(Record):
    """One model on one data set on one target.

    Attributes:
        id: Readable and unique within a suite; the same suite gives the same ids.
        profile: What is measured of it beside time; None leaves the job out.
        throughput: How it is put under load; None leaves the job out.
    """

    id: str
    model: ModelSpec
    dataset: DatasetSpec
    target: Target
    recipe: Recipe | None
    measurement: Measurement
    profile: Profile | None = None
    throughput: Throughput | None = None
    timeouts: Timeouts
