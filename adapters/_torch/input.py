"""States what a network was trained to see: the preprocessing of its weights, as they or a model config say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import JsonValue, ValidationError

from adapters._torch.fitting import Fit, Interpolation, Placement, fitted, grey
from adapters._torch.options import Channels, InputOptions
from bench.errors import BenchError, Unsupported
from bench.records import ModelSpec, Size, SlidingWindow, Target
from bench.records.predictions import RgbImage

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in the luma (ITU-R BT.601)."""

BY_PILLOW: dict[int, Interpolation] = {0: "nearest", 2: "pil_linear", 3: "pil_cubic"}
"""Pillow's numbers of its filters, as preprocessors of transformers have them in `resample`."""


STATED = ("mean", "std", "channels", "size", "fit", "interpolation")
"""This is what a preprocessing says, by name."""

OF_COLOURS = ("mean", "std", "channels")
"""Names of `STATED` that every network has; the others are its weights' matter."""

DEFAULT = "the default"
"""The source of what nobody says."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's RGB in 0-1 units, which pretrained networks are fed with."""


@dataclass(frozen=True)
class InputContract:
    """The module sees (value / 255 - mean) / std of an image that was fitted into a size.

    Attributes:
        mean, std: R, G, B or another number for each channel, in 0-1 units.
        channels: The colours that the module sees.
        size: Size of its input where a target has no `image_size`; None keeps the image's own.
        fit, interpolation: Way in which an image gets the size of the input; see `adapters._torch.fitting`.
        fill: Value beside the image, 0-255 for each channel; None is the mean.
        overlap: Overlap of tiles.
        said_by: Source of these statements, in words.
        says_fit: True if it says how images are fitted too; False if it says colours alone.
        of_weights: True if the weights, or a file beside them, say it; else it is what their like are mostly fed.
        trained_fit: The `fit` with which the weights were trained, where somebody says so apart from `fit`.
        stated: Pairs of a name of `STATED` and where that comes from, where it is not `said_by`.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: Channels = "rgb"
    size: Size | None = None
    fit: Fit = "stretch"
    interpolation: Interpolation = "auto"
    fill: tuple[float, ...] | None = None
    overlap: float = 0.25
    said_by: str = "the network's own"
    says_fit: bool = False
    of_weights: bool = False
    trained_fit: Fit | None = None
    stated: tuple[tuple[str, str], ...] = ()

    def changed(self, options: InputOptions | None) -> InputContract:
        """Return the contract with what a model config says in its place."""
        if options is None or not options.model_fields_set:
            return self
        # What the weights themselves say of their training comes first: a model config speaks of its published ones.
        known = self.trained_fit is not None or self.sources()["fit"] != DEFAULT
        trained_fit = self.trained_fit if known or options.fit else options.trained_fit
        if options.model_fields_set == {"trained_fit"}:
            return replace(self, trained_fit=trained_fit)
        mean, std = self.mean, self.std
        if options.channels == "gray" and self.channels != "gray" and len(mean) == 3:
            mean = (sum(weight * value for weight, value in zip(LUMA, mean, strict=True)),)
            std = (sum(weight * value for weight, value in zip(LUMA, std, strict=True)),)
        count, named = len(mean), [name for name in STATED if name in options.model_fields_set]
        return replace(
            self,
            mean=mean if options.mean is None else _for_each("mean", _divided(options.mean, options.scale), count),
            std=std if options.std is None else _for_each("std", _divided(options.std, options.scale), count),
            channels=options.channels or self.channels,
            size=self.size if options.size is None else Size(*options.size),
            fit=options.fit or self.fit,
            interpolation=options.interpolation or self.interpolation,
            fill=self.fill if options.fill is None else _for_each("fill", options.fill, count),
            overlap=options.overlap,
            trained_fit=trained_fit,
            said_by="the option input" if self.said_by == "the network's own" else f"the option input; {self.said_by}",
            stated=tuple({**self.sources(), **dict.fromkeys(named, "the option input")}.items()),
        )

    def fed(self, image: RgbImage, placement: Placement) -> RgbImage:
        """Return the input of a network, (h, w, C), of the type of the image; see `fitted`."""
        seen = grey(image) if self.channels == "gray" else image
        beside = self.fill if self.fill is not None else tuple(255 * value for value in self.mean)
        return fitted(seen, placement, beside, self.interpolation)

    def sources(self) -> dict[str, str]:
        """Return where each of `STATED` comes from."""
        return {
            name: dict(self.stated).get(name, self.said_by if self.says_fit or name in OF_COLOURS else DEFAULT)
            for name in STATED
        }

    def as_json(self, image_size: Size | None = None) -> dict[str, JsonValue]:
        """Return what stands in records and weight files; a target's `image_size` takes the place of the contract's."""
        size, sources = image_size or self.size, self.sources()
        of_target = {} if image_size is None else {"size": "the target"}
        return {
            "mean": list(self.mean),
            "std": list(self.std),
            "channels": self.channels,
            "size": None if size is None else list(size),
            "fit": self.fit,
            "interpolation": self.interpolation,
            "trained_fit": self.trained_fit or (self.fit if sources["fit"] != DEFAULT else None),
            **({} if self.fill is None else {"fill": list(self.fill)}),
            "said_by": self.said_by,
            "from": {**sources, **of_target},
        }


IMAGENET = InputContract(IMAGENET_MEAN, IMAGENET_STD)


def input_options(model: ModelSpec) -> InputOptions | None:
    """Return a model config's option `input`, which its adapter has checked; None where it has none."""
    said = model.options.get("input")
    return None if said is None else InputOptions.model_validate(said)


def sized(target: Target, contract: InputContract, label: str) -> Target:
    """Return the target with the size that the contract asks for where it has none, or with tiles of a size.

    Raises:
        BenchError: If there is no size to fit an image into.
    """
    size = target.image_size or contract.size
    if contract.fit not in ("stretch", "tile") and size is None:
        raise BenchError(
            f"{label}: fit: {contract.fit} needs a size to fit images into; set input: {{size: [height, width]}}, or "
            "the target's image_size"
        )
    if contract.fit != "tile":
        return target.model_copy(update={"image_size": size})
    if target.window is not None:
        return target.model_copy(update={"image_size": None})
    if size is None:
        raise BenchError(f"{label}: fit: tile needs the size of a tile; set input: {{size: [height, width]}}")
    window = SlidingWindow(size=size, overlap=contract.overlap)
    return target.model_copy(update={"image_size": None, "window": window})


def refuse_other_training(given: InputOptions | None, label: str, *, training_follows: bool) -> None:
    """Refuse an `input` that the trainer of a network which finds objects does not follow; its mean and std it does.

    Raises:
        Unsupported: Naming the keys.
    """
    passed_over = {"channels", "size", "fit", "interpolation", "fill"}
    keys = sorted(passed_over & given.model_fields_set) if given is not None and training_follows else []
    if keys:
        raise Unsupported(
            f"{label}: its training stretches RGB images to the recipe's image_size and follows no input.{keys[0]}; "
            "leave it out, or give weights instead of a recipe"
        )


def contract_in(said: Mapping[str, Any] | None) -> InputContract | None:
    """Return what a weight file says of its input, as `InputContract.as_json` wrote it; None if it says nothing."""
    known = {k: v for k, v in (said or {}).items() if k in InputOptions.model_fields and v is not None}
    try:
        read = InputOptions.model_validate(known)
    except ValidationError:
        return None
    if read.mean is None or read.std is None:
        return None
    own = InputContract(read.mean, read.std, read.channels or "rgb").changed(read)
    silent = tuple((name, DEFAULT) for name in STATED if name not in known)
    return replace(own, said_by="the weight file", says_fit=True, of_weights=True, stated=silent)


def contract_of_processor(said: Mapping[str, Any]) -> InputContract | None:
    """Return what a `preprocessor_config.json` of transformers says; None if it says nothing about colours.

    >>> contract_of_processor({"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_normalize": True}).mean
    (0.5, 0.5, 0.5)
    >>> contract_of_processor({"do_normalize": False, "size": {"height": 64, "width": 32}, "resample": 2}).size
    Size(height=64, width=32)
    >>> contract_of_processor({"do_flip_channel_order": True, "do_resize": False}).channels
    'bgr'
    """
    mean, std = (_of_each_colour(said.get(name)) for name in ("image_mean", "image_std"))
    reversed_colours = said.get("do_flip_channel_order") is True
    # A processor that only reverses the colours states no mean, and subtracts none.
    if said.get("do_normalize") is False or (reversed_colours and mean is None):
        mean, std = [0.0] * 3, [1.0] * 3
    if mean is None or std is None or not (are_numbers(mean) and are_numbers(std)):
        return None
    factor = said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1.0
    scale = 255 * float(factor)  # what a byte of 255 is before the mean is subtracted
    contract = InputContract(
        _divided(mean, scale),
        _divided(std, scale),
        channels="bgr" if reversed_colours else "rgb",
        said_by="preprocessor_config.json",
        of_weights=True,
    )
    if said.get("do_resize", True) is False:
        return contract
    size, fit = _size_of_processor(said)
    interpolation = BY_PILLOW.get(said.get("resample", -1), "auto")
    return replace(contract, size=size, fit=fit, interpolation=interpolation, says_fit=size is not None)


def passed_over_in(said: Mapping[str, Any]) -> str | None:
    """Return what a preprocessor's configuration says of the size of images that is not followed, or not exactly.

    >>> passed_over_in({"size": {"shortest_edge": 544}, "do_center_crop": True, "crop_size": 512})
    'a short side of 544 pixels'
    >>> passed_over_in({"size": {"height": 384, "width": 384}, "keep_aspect_ratio": True})
    'keep_aspect_ratio'
    >>> passed_over_in({"size": {"height": 384, "width": 384}}) is None
    True
    """
    size = said.get("size")
    if said.get("do_resize", True) is False:
        return None
    if said.get("keep_aspect_ratio") is True:
        return "keep_aspect_ratio"
    short = size.get("shortest_edge") if isinstance(size, Mapping) else None
    return None if short is None else f"a short side of {short} pixels"


PROCESSORS = ("processor_config.json", "preprocessor_config.json")
"""Files beside weights that state a preprocessing; the first has that of images beside that of texts, and counts."""


@dataclass(frozen=True)
class Processor:
    """Hold what a file of `PROCESSORS` says of the preprocessing of images.

    Attributes:
        contract: What it says of colours, size and fit.
    """

    name: str
    said: dict[str, Any]
    contract: InputContract

    @property
    def short_edge(self) -> tuple[int, int | None] | None:
        """Return the short side that images are scaled to, and the longest side, pixels; None where it has neither."""
        size = self.said.get("size")
        if self.said.get("do_resize", True) is False or not isinstance(size, dict) or "shortest_edge" not in size:
            return None
        longest = size.get("longest_edge")
        return int(size["shortest_edge"]), None if longest is None else int(longest)


def processor_in(files: Iterable[Path | None]) -> Processor | None:
    """Return the first of some files that says something about colours; None where none does."""
    for file in files:
        said = None if file is None else json_in(file)
        of_images = None if said is None else said.get("image_processor", said)
        contract = contract_of_processor(of_images) if isinstance(of_images, dict) else None
        if file is not None and isinstance(of_images, dict) and contract is not None:
            passed = passed_over_in(of_images)
            by = f"{file.name}, but for {passed}, which is not followed" if passed else file.name
            return Processor(file.name, of_images, replace(contract, said_by=by))
    return None


def json_in(file: Path) -> dict[str, Any] | None:
    """Return the object in a file of JSON; None where there is none that can be read."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _size_of_processor(said: Mapping[str, Any]) -> tuple[Size | None, Fit]:
    """Return the height and width, and whether the image is cut to them."""
    crop, size = said.get("crop_size"), said.get("size")
    if said.get("do_center_crop") and isinstance(crop, int):
        return Size(crop, crop), "crop"
    if said.get("do_center_crop") and isinstance(crop, Mapping) and {"height", "width"} <= crop.keys():
        return Size(int(crop["height"]), int(crop["width"])), "crop"
    if said.get("keep_aspect_ratio") is True:
        return None, "stretch"
    if isinstance(size, int):
        return Size(size, size), "stretch"
    if isinstance(size, Mapping) and {"height", "width"} <= size.keys():
        return Size(int(size["height"]), int(size["width"])), "stretch"
    return None, "stretch"


def _of_each_colour(value: Any) -> Any:
    """Return a number for each of three colours where there is one for all; anything else as it is."""
    one = value[0] if isinstance(value, list) and len(value) == 1 else value
    return [one] * 3 if isinstance(one, int | float) and not isinstance(one, bool) else value


def are_numbers(values: object) -> bool:
    """Return whether values are a list of at least one number."""
    return isinstance(values, list | tuple) and bool(values) and all(isinstance(v, int | float) for v in values)


def _for_each(name: str, values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if len(values) == 1:
        return values * channels
    if len(values) != channels:
        raise BenchError(
            f"option 'input.{name}' has {len(values)} numbers and the network sees {channels} channels; give one for "
            "each, or one for all"
        )
    return values


def _divided(values: Sequence[float], scale: float) -> tuple[float, ...]:
    return tuple(float(value) / scale for value in values)
