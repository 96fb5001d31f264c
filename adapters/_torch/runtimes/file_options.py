"""Reads what a model config says about the file of a network: how pixels go in, and what comes out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from adapters._torch.fitting import Interpolation
from adapters._torch.options import Channels, InputOptions, Numbers, Options, Thresholds, option_errors
from bench.records import ModelSpec
from bench.records.abilities import Abilities


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Byte = Annotated[int, Field(ge=0, le=255)]

EXPORTS = False
"""The file is what every runtime runs: nothing is exported first."""


class FileOptions(Options):
    """Hold what the file itself does not say.

    Attributes:
        layout: Axes of the input after the batch: channels first or last; what the file's shape says if left out.
        channels: Order of the colours; `gray`, the network sees their luma, as where the file's input has one channel.
        range_max: Value that a byte of 255 gets before normalisation: 1 or 255.
        mean, std: Mean and standard deviation in the range of `range_max`, in the order R, G, B, or one number for all
            channels; the model sees (value - mean) / std. A file that takes bytes (uint8) is given them as they are.
        fit: Way in which an image gets the input's size; see `adapters._torch.fitting`. The padding around the image is
            cut off from the output before it is resized back.
        fill: Colour beside the image: R, G, B, 0-255.
        centred: True if a letterbox has the image in the middle; else at the top left.
        interpolation: Interpolation with which images are resized; see `adapters._torch.fitting`.
        multiple_of: Sides of the input are multiples of this many pixels; images are padded at the
            bottom and on the right with the mean colour, and the output is cut back.
        input: Name of the input; may be left out, as there must be only one. Or `{mean, std, scale, channels, size,
            fit, interpolation, fill}`, as all networks take it, in the place of the options of these names.
        default_input: The same, for files that say nothing: what stands in a file's metadata, or in a preprocessor's
            configuration beside it, comes before this, and after all other options.
        output: Name of the output that is read; the first that has a channel for each class if left out.
        output_layout: Axes of the output after the batch; the input's if left out.
        output_is: `logits`, a number per class; `probabilities`, the same after a softmax; `sigmoid_logit`
            and `sigmoid_probability`, one number, of class 1 of two; `multilabel_logits` and
            `multilabel_probabilities`, a number of each class on its own, of which the highest above its
            threshold wins; `labels`, class ids, which an output of whole numbers is if this is left out.
        threshold: Probability of a sigmoid above which a pixel is of class 1; with several sigmoids one number for all,
            or one for each of `classes`.
        classes: Names of the model's classes, in the order of its channels or ids; those of the task
            in its order if left out. A class that the task does not have becomes `others`.
        others: Class of the task for what only the model knows; void if left out.
    """

    layout: Literal["NCHW", "NHWC"] | None = None
    channels: Channels = "rgb"
    range_max: Literal[1, 255] = 1
    mean: Numbers = (0.0,)
    std: Numbers = (1.0,)
    fit: Literal["stretch", "letterbox", "pad", "crop"] = "stretch"
    fill: Annotated[tuple[Byte, Byte, Byte], BeforeValidator(_tuple)] = (0, 0, 0)
    centred: bool = True
    interpolation: Interpolation = "auto"
    multiple_of: int = Field(default=1, ge=1)
    input: str | InputOptions | None = None
    default_input: InputOptions | None = None
    output: str | None = None
    output_layout: Literal["NCHW", "NHWC"] | None = None
    output_is: Literal[
        "logits",
        "probabilities",
        "sigmoid_logit",
        "sigmoid_probability",
        "multilabel_logits",
        "multilabel_probabilities",
        "labels",
    ] = "logits"
    threshold: Thresholds = (0.5,)
    classes: Annotated[tuple[str, ...], BeforeValidator(_tuple)] | None = None
    others: str | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> FileOptions:
        if min(self.std) <= 0:
            raise ValueError("option 'std' needs numbers above 0")
        if self.fit == "stretch" and not {"fill", "centred"}.isdisjoint(self.model_fields_set):
            raise ValueError("options 'fill' and 'centred' belong to fit: letterbox")
        if any(isinstance(one, InputOptions) and one.fit == "tile" for one in (self.input, self.default_input)):
            raise ValueError("a file is passed whole, once; 'fit: tile' is for networks of torch")
        if self.threshold != (0.5,) and not (self.is_sigmoid or self.is_multilabel):
            raise ValueError("option 'threshold' belongs to an output_is of a sigmoid or of multilabel")
        if self.is_sigmoid and len(self.threshold) > 1:
            raise ValueError("option 'threshold': one number for a sigmoid of two classes")
        if self.others is not None and self.classes is None:
            raise ValueError("option 'others' needs 'classes', the names of the model's own")
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            raise ValueError("option 'classes' names a class twice")
        return self

    @property
    def is_sigmoid(self) -> bool:
        """Return whether one number says which of two classes a pixel has."""
        return self.output_is in ("sigmoid_logit", "sigmoid_probability")

    @property
    def is_multilabel(self) -> bool:
        """Return whether each class has a number of its own."""
        return self.output_is in ("multilabel_logits", "multilabel_probabilities")

    @property
    def gives(self) -> Literal["logits", "probabilities"]:
        """Return whether the file ends before its activation, or behind it."""
        return "probabilities" if "probabilit" in self.output_is else "logits"


class ObjectFileOptions(FileOptions):
    """Hold what the file of a network that finds instances does not say.

    Attributes:
        finds: Kind of its outputs: `yolo`, candidates and prototypes as Ultralytics exports them.
        conf: Score below which nothing is returned. AP wants the whole curve, hence so low.
        iou: Overlap of boxes above which the less sure one of a class is left out.
        max_det: Most instances of an image.
    """

    finds: Literal["yolo"] = "yolo"
    conf: float = Field(default=0.001, ge=0, le=1)
    iou: float = Field(default=0.7, ge=0, le=1)
    max_det: int = Field(default=100, ge=1)

    @model_validator(mode="after")
    def _reads_objects(self) -> ObjectFileOptions:
        taken = {"output", "output_layout", "output_is", "threshold", "others"} & self.model_fields_set
        if taken:
            raise ValueError(f"option {min(taken)!r} is for files that label pixels; these find instances")
        return self


def options_class(model: ModelSpec) -> type[FileOptions]:
    """Return the options of a model config by the form of its predictions."""
    return ObjectFileOptions if model.task == "instance" else FileOptions


def usage_errors(model: ModelSpec) -> list[str]:
    """Return what is wrong with a model config's options, a sentence each; imports no framework."""
    return option_errors(options_class(model), model)


def abilities_of_file(model: ModelSpec, **own: Any) -> Abilities:
    """Return what the model of a file can be asked for: on the CPU in fp32, unless its `own` say otherwise."""
    labels = model.options.get("output_is") == "labels"
    usual = {"devices": ("cpu",), "cpu_precisions": ("fp32",), "int8": False, "several_passes": False}
    return Abilities(**{**usual, "probabilities": not labels, "channels_last": False, **own})
