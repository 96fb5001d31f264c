"""Describes what is compared: models, data sets, targets, and the case that joins them with a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from bench.records.base import Record, Size, SparseRecord, held_once
from bench.records.protocol import Measurement, Profile, Throughput, Timeouts
from bench.records.recipe import Recipe

TaskKind = Literal["semantic", "instance", "panoptic", "prompted"]
"""Form of a prediction. `prompted` has no classes: a mask for each object that the model is pointed to."""

Kept = Literal["probabilities", "validation"]
"""Arrays that are kept beside predictions: probabilities of each class and pixel, and those of the validation split, by
which thresholds are chosen."""

PromptKind = Literal["point", "box", "centre"]
"""Prompt for an object: the point farthest from its border, its box, or the centre of its box.

The rules are in `bench/records/prompts.py`."""

Unmapped = Literal["error", "ignore", "background"]
"""This is what becomes of classes that only the model or only the suite has: refused, no class, or background."""


class ClassSpec(SparseRecord):
    """One class of a label space; its id is its position in the list.

    Attributes:
        name: Unique within the label space; label spaces are matched by name.
        is_thing: True if the class has countable instances (a "thing") or not ("stuff").
        colour: RGB, 0-255, for pictures only.
        is_background: True if it is the class of pixels in no object, under whatever name; see `background_class`.
        frequency: Group by the number of training images that the class is in, LVIS's 1 to 10, 11 to 100, and more;
            None elsewhere, where it is not written down.
        category: Group of classes that the data set puts it in, such as Cityscapes' `vehicle`; scores are also averaged
            over each. None where it has none, which is not written down.
    """

    left_out = frozenset({"frequency", "category"})

    name: str
    is_thing: bool = False
    colour: tuple[int, int, int]
    is_background: bool = False
    frequency: Literal["rare", "common", "frequent"] | None = None
    category: str | None = None


def background_class(classes: Sequence[ClassSpec]) -> int | None:
    """Id of the class of pixels in no object: the one declared to be it, else the one called `background`, else None.

    >>> grey = (0, 0, 0)
    >>> background_class([ClassSpec(name="cell", colour=grey), ClassSpec(name="bg", colour=grey, is_background=True)])
    1
    """
    declared = [index for index, spec in enumerate(classes) if spec.is_background]
    named = [index for index, spec in enumerate(classes) if spec.name.lower() == "background" and not spec.is_thing]
    return next(iter([*declared, *named]), None)


class TaskSpec(SparseRecord):
    """The task that a model is asked to solve.

    Attributes:
        kind: Form of the prediction.
        classes: The label space; class id = position.
        channels: Channels of an image, (H, W, channels); 3 is RGB unless the data set declares other bands.
    """

    left_out = frozenset({"channels"})

    kind: TaskKind
    classes: tuple[ClassSpec, ...]
    channels: int = Field(default=3, ge=1)


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
        trainable: True if a suite's recipe applies to it (False for fakes and fixed pipelines).
        prompt: Prompt that tells a prompted model each object; None for every other task.
        trained_on: Label space that its weights predict: the name of a published one or its
            classes in order; None = the data set's own. See `bench/data/labels/`.
        synonyms: Class of that label space -> class of the suite, beside the built-in ones.
        unmapped: Treatment of classes that only one side has.
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


class Labels(Record):
    """Hold what a suite makes of a data set's classes; all names are the data set's, but those that `merge` makes.

    Attributes:
        classes: Classes to keep, in this order.
        merge: New class -> the classes that become it.
        drop: Classes whose pixels are not scored.
        rest: Treatment of classes that are named nowhere: refused, not scored, background, or kept.
        things, stuff: New classes that are countable, or not, where their members disagree.
    """

    classes: tuple[str, ...] | None = Field(default=None, description="Keep these classes, in this order.")
    merge: dict[str, tuple[str, ...]] = Field(default={}, description="New class: the classes that become it.")
    drop: tuple[str, ...] = Field(default=(), description="Classes whose pixels are not scored.")
    rest: Literal["error", "ignore", "background", "keep"] = Field(
        default="error", description="Classes named nowhere: not scored, background, kept, or an error."
    )
    things: tuple[str, ...] = Field(default=(), description="Merged classes that are countable.")
    stuff: tuple[str, ...] = Field(default=(), description="Merged classes that are not countable.")

    @field_validator("drop", "classes", "things", "stuff", mode="before")
    @classmethod
    def _names_in_a_list(cls, value: Any) -> Any:
        if isinstance(value, str):
            hint = f"; did you mean rest: {value}" if value in ("ignore", "background", "keep", "error") else ""
            raise ValueError(f"expected a list of class names, such as [road, car], not {value!r}{hint}")
        return tuple(value) if isinstance(value, list) else value

    @field_validator("merge", mode="before")
    @classmethod
    def _members_in_lists(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        for name, members in value.items():
            if not isinstance(members, list | tuple):
                raise ValueError(f"{name}: expected a list of class names, such as [car, truck], not {members!r}")
        return {name: tuple(members) for name, members in value.items()}


class Corruption(Record):
    """Corruption of every image of the scored split; the names are those of `bench/data/corruptions/`.

    Attributes:
        name: Name of the corruption, for example `fog`.
        severity: 1 to 5.
        seed: Seed of the random numbers, together with the name, the severity and the id of each image.
    """

    name: str
    severity: int = Field(ge=1, le=5)
    seed: int = 0


class DatasetSpec(SparseRecord):
    """A data set as a case uses it.

    Attributes:
        name: Module under `bench/datasets/`.
        label: Name in tables; unique within a suite.
        options: The data set's own options; its module checks them.
        train, val, test: Split names to train on, to validate on while training, and to score.
        max_images: Use only the first n images of the scored split; None means all.
        labels: Selection and merging of its classes; None leaves them.
        corruption: Corruption of the images of the scored split; None, which is not written down, leaves them.
    """

    left_out = frozenset({"corruption"})

    name: str
    label: str
    options: dict[str, JsonValue] = {}
    train: str = "train"
    val: str = "val"
    test: str = "test"
    max_images: int | None = Field(default=None, ge=1)
    labels: Labels | None = None
    corruption: Corruption | None = None


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
    """Device and settings with which a model runs.

    Attributes:
        device: `cpu`, `cuda`, `cuda:1`, …, `mps`; `auto` in a suite is resolved before a case exists.
        precision: Arithmetic of the forward pass; `int8` is calibrated on images of the training split.
        runtime: Library that carries out the forward pass: `eager`, the model's own framework as it is; `compile`,
            torch.compile; `cuda_graphs`, its kernels recorded and replayed; `onnxruntime`, `openvino` or `tensorrt`,
            the model exported to ONNX.
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


class Shift(Record):
    """Difference of the scored images of a case from those that its model was made for.

    Attributes:
        of: Id of the case on the images as they are.
        family: `noise`, `blur`, `weather`, `digital`, `size`, or `natural` for another data set.
        name: Name of the corruption, or label of the other data set.
        severity: 1 to 5; None for another data set.
        trained_on: The data set of the other case, on which the model is trained and calibrated.
    """

    of: str
    family: str
    name: str
    severity: int | None = None
    trained_on: DatasetSpec


class Case(SparseRecord):
    """One model on one data set on one target.

    Attributes:
        id: Readable and unique within a suite; the same suite gives the same ids.
        profile: Settings of the `profile` job, which measures memory, energy and operations; None leaves the job out.
        throughput: Settings of the `throughput` job, which puts the model under load; None leaves the job out.
        keep: Kinds of arrays that are stored beside its predictions.
        shift: Shift of its images from those of another case; None, which is not written down, for most.
    """

    left_out = frozenset({"keep", "shift"})

    id: str
    model: ModelSpec
    dataset: DatasetSpec
    target: Target
    recipe: Recipe | None
    measurement: Measurement
    profile: Profile | None = None
    throughput: Throughput | None = None
    keep: tuple[Kept, ...] = ()
    shift: Shift | None = None
    timeouts: Timeouts

    _shared = field_validator("target", "recipe", "measurement", "timeouts")(held_once)

    @property
    def made_for(self) -> DatasetSpec:
        """The data set that the model is trained and calibrated on: its own, unless its images are shifted."""
        return self.dataset if self.shift is None else self.shift.trained_on
