"""Options of a model config, checked by a pydantic model, with messages that name the model config."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from adapters._torch.fitting import Fit, Interpolation
from bench.errors import BenchError, did_you_mean
from bench.records import ModelSpec, TaskSpec

if TYPE_CHECKING:
    from adapters._torch.network import Head

OptionsT = TypeVar("OptionsT", bound="Options")


class Options(BaseModel):
    """Base of an adapter's options: frozen, strict, no unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Channels = Literal["rgb", "bgr", "gray"]


def _numbers(value: object) -> object:
    """Return numbers as a tuple of floats; a single one is that of every channel."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (float(value),)
    if not isinstance(value, list | tuple):
        return value
    return tuple(float(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in value)


def _size(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, value)
    return tuple(value) if isinstance(value, list) else value


Numbers = Annotated[tuple[float, ...], BeforeValidator(_numbers), Field(min_length=1)]
Probability = Annotated[float, Field(gt=0, lt=1)]
Thresholds = Annotated[tuple[Probability, ...], BeforeValidator(_numbers), Field(min_length=1)]
Side = Annotated[int, Field(ge=1)]
HeightWidth = Annotated[tuple[Side, Side], BeforeValidator(_size)]


class InputOptions(Options):
    """A model config's option `input`: the preprocessing that the weights were trained with.

    The network sees (value - mean) / std. What is left out is what the weights say, or the network's own.

    Attributes:
        mean, std: A number for each channel, R, G, B of colours, or one for all; in the range of `scale`.
        scale: Value that a byte of 255 has before `mean` is subtracted: 1 or 255.
        channels: Order of the colours that the network sees; `gray`, it sees their luma alone.
        size: Height and width, or the side of a square, that images have without a target's `image_size`.
        fit: Way in which an image gets that size; see `adapters._torch.fitting`.
        interpolation: Interpolation of the resizing; see `adapters._torch.fitting`.
        fill: Value of the input beside the image, 0-255, given as `mean` is; the mean if left out.
        overlap: `fit: tile`: share of a tile that the next one sees too.
        trained_fit: The `fit` with which the weights were trained, where it is not the one used here: a case that fits
            them otherwise says so.
    """

    mean: Numbers | None = None
    std: Numbers | None = None
    scale: Literal[1, 255] = 1
    channels: Channels | None = None
    size: HeightWidth | None = None
    fit: Fit | None = None
    interpolation: Interpolation | None = None
    fill: Numbers | None = None
    overlap: float = Field(default=0.25, ge=0, lt=1)
    trained_fit: Fit | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> InputOptions:
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("'std' needs numbers above 0")
        if self.scale == 255 and (self.mean is None or self.std is None):
            raise ValueError(
                "'scale: 255' needs 'mean' and 'std' in that range; without them write mean: [0, 0, 0], std: [1, 1, 1]"
            )
        if self.scale == 1 and self.mean is not None and max(self.mean) > 1:
            raise ValueError("a 'mean' above 1 is in the range 0-255; say scale: 255")
        if self.fill is not None and not 0 <= min(self.fill) <= max(self.fill) <= 255:
            raise ValueError("'fill' needs numbers of 0-255")
        if "overlap" in self.model_fields_set and self.fit != "tile":
            raise ValueError("'overlap' belongs to fit: tile")
        return self


def refuse_in_input(given: InputOptions, reasons: Mapping[str, str]) -> None:
    """Refuse keys of `input`, or keys with a value such as `fit: tile`, that a network cannot honour for these reasons.

    Raises:
        ValueError: With the first of them.
    """
    for name in sorted(given.model_fields_set):
        value = getattr(given, name)
        for asked in (name, f"{name}: {value}"):
            if value is not None and asked in reasons:
                raise ValueError(f"'{asked}': {reasons[asked]}")


class ObjectInput(InputOptions):
    """`input` of a network that finds objects: it sees an image whole, once, in colours."""

    @model_validator(mode="after")
    def _is_whole_and_of_colours(self) -> ObjectInput:
        refuse_in_input(
            self,
            {
                "fit: tile": "objects of several tiles would have to be matched, not averaged; use another fit",
                "channels: gray": "this network's first layer sees three colours; use rgb or bgr",
            },
        )
        return self


class NetworkOptions(Options):
    """Options of every network that reads an image through `InputContract` and weights by name.

    Attributes:
        input: The preprocessing that the weights were trained with, where it is not the network's own.
        weights_key: Key under which the tensors lie in the file of `weights`, for example `state_dict` beside a moving
            average; the moving average is taken if left out.
    """

    input: InputOptions | None = None
    weights_key: str | None = None


class ObjectOptions(NetworkOptions):
    """Options of every network that finds objects.

    Attributes:
        input: The preprocessing that the weights were trained with; with a `size` images are fitted into it.
        score_threshold: Instances with a lower score are left out. COCO's AP wants nearly all of them.
        detections: Largest number of instances per image.
        short_edge, max_size: Without a target's `image_size`, images are scaled until the short side has `short_edge`
            pixels, or the long one `max_size`; None keeps their own size.
        clip_gradients: Largest norm of all gradients together where the recipe sets none; None does not clip.
    """

    input: ObjectInput | None = None
    score_threshold: float = Field(default=0.001, ge=0, le=1)
    detections: int = Field(default=100, ge=1)
    short_edge: int | None = Field(default=None, ge=1)
    max_size: int = Field(default=1333, ge=1)
    clip_gradients: float | None = Field(default=5.0, gt=0)

    @model_validator(mode="after")
    def _size_is_small_enough(self) -> ObjectOptions:
        if self.short_edge is not None and self.short_edge > self.max_size:
            raise ValueError(f"option 'short_edge' ({self.short_edge}) is above 'max_size' ({self.max_size})")
        return self


class RegionOptions(ObjectOptions):
    """Options of every network that looks at regions of a feature pyramid, as Mask R-CNN does.

    Attributes:
        fpn_channels: Channels of the feature pyramid.
        anchor_sizes: Side of the anchors on each pyramid level, pixels of the network's input.
        anchor_ratios: Height over width of the anchors.
        rpn_batch, roi_batch: Sampled anchors and proposals per training image.
        proposals_train, proposals_test: Proposals that are kept after their non-maximum suppression, in training and in
            prediction.
        box_head_channels, mask_head_channels: Widths of the two heads.
    """

    fpn_channels: int = Field(default=64, ge=1)
    anchor_sizes: list[int] = Field(default=[8, 16, 32, 64, 96], min_length=5, max_length=5)
    anchor_ratios: list[float] = Field(default=[1.0], min_length=1)
    rpn_batch: int = Field(default=256, ge=1)
    roi_batch: int = Field(default=512, ge=1)
    proposals_train: int = Field(default=2000, ge=1)
    proposals_test: int = Field(default=1000, ge=1)
    box_head_channels: int = Field(default=256, ge=1)
    mask_head_channels: int = Field(default=64, ge=1)


OUTSIDE_THE_NETWORK = frozenset({"input", "weights_key", "threshold", "background_output"})
"""Options that do not decide what weights mean; one more output shows by itself, in their shapes."""


class HeadOptions(NetworkOptions):
    """Options of a network whose outputs name classes in one of three ways.

    Attributes:
        head: `softmax` over one channel per class; `sigmoid` over a single channel, for tasks with two
            classes; `multilabel`, a sigmoid for each class but the background, of which the most probable
            above its threshold wins.
        threshold: The probability above which a sigmoid names its class, or one for each output of
            `multilabel`; 0.5 if left out.
        background_output: `multilabel`: whether the background has an output of its own.
    """

    head: Literal["softmax", "sigmoid", "multilabel"] = "softmax"
    threshold: Thresholds | None = None
    background_output: bool = False

    @model_validator(mode="after")
    def _fits_the_head(self) -> HeadOptions:
        if self.threshold is not None and self.head == "softmax":
            raise ValueError("option 'threshold' belongs to 'head: sigmoid'; a softmax head takes the likeliest class")
        if self.head == "sigmoid" and len(self.threshold or (0.5,)) > 1:
            raise ValueError("option 'threshold': one number for 'head: sigmoid'; several are of 'head: multilabel'")
        if self.background_output and self.head != "multilabel":
            raise ValueError("option 'background_output' belongs to 'head: multilabel'")
        return self

    def for_task(self, task: TaskSpec) -> Head:
        """Return the head for a task.

        Raises:
            BenchError: If it has not a threshold for each output.
            Unsupported: If it cannot tell the task's classes apart.
        """
        from adapters._torch.network import head_of  # torch, which checking options does without

        return head_of(self.head, self.threshold, task, background_output=self.background_output)


def read_options(cls: type[OptionsT], model: ModelSpec) -> OptionsT:
    """Return a model config's options as an adapter's own type.

    Raises:
        BenchError: With a line for each usage error: the model, the option, what is allowed and the nearest known name.
    """
    try:
        return cls.model_validate(model.options)
    except ValidationError as error:
        raise BenchError("\n".join(_sentence(cls, model, one) for one in error.errors())) from None


def option_errors(cls: type[Options], model: ModelSpec) -> list[str]:
    """Return what is wrong with a model config's options, one sentence each, all of them; empty if nothing is."""
    try:
        cls.model_validate(model.options)
    except ValidationError as error:
        return [_sentence(cls, model, one) for one in error.errors()]
    return []


def _sentence(cls: type[Options], model: ModelSpec, error: ErrorDetails) -> str:
    """Return one of pydantic's complaints in words of ours."""
    place = [part for part in error["loc"] if isinstance(part, str)]
    name = ".".join(place)
    if error["type"] == "extra_forbidden":
        known = _known_at(cls, place[:-1])
        return (
            f"{model.label}: no option named {name!r}.{did_you_mean(place[-1], known)}{_belongs(cls, place[-1])} "
            f"Options of {model.adapter}{''.join(f', {part}' for part in place[:-1])}: {', '.join(known)}"
        )
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{model.label}: option {name!r} is missing"
    return f"{model.label}: option {name!r}: {message}, not {error['input']!r}" if name else f"{model.label}: {message}"


def _known_at(cls: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """Return names of the options at a place within the options."""
    for part in location:
        annotation = cls.model_fields[str(part)].annotation
        inner = [kind for kind in (annotation, *get_args(annotation)) if inspect.isclass(kind)]
        cls = next(kind for kind in inner if issubclass(kind, BaseModel))
    return sorted(cls.model_fields)


def _belongs(cls: type[BaseModel], name: str) -> str:
    """Return where an option that is not known at the top stands one level down."""
    inside = [at for at in cls.model_fields if name in _nested(cls, at)]
    return f" It stands in {inside[0]!r}: options: {{{inside[0]}: {{{name}: …}}}}." if inside else ""


def _nested(cls: type[BaseModel], name: str) -> list[str]:
    try:
        return _known_at(cls, (name,))
    except StopIteration:
        return []
