"""Describes the input of a file: order of axes, number of images, their size, and the type of its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np

from adapters._torch.input import LUMA, InputContract
from adapters._torch.runtimes.cpu_sessions import Port
from adapters._torch.runtimes.file_options import FileOptions
from bench.errors import BenchError, Unsupported
from bench.records import Size, Target

Layout: TypeAlias = Literal["NCHW", "NHWC"]

LEAST_SIDE = 16
"""Pixels; a fixed axis of fewer is not the height of an image, but its channels."""


def only_input(ports: Sequence[Port], options: FileOptions, channels: int, label: str) -> tuple[Port, Layout]:
    """Return the image's port, and where its channels are."""
    names = ", ".join(port.name for port in ports)
    if len(ports) != 1:
        raise BenchError(f"{label}: the file has the inputs {names}; expected a single one, the image")
    if isinstance(options.input, str) and options.input != ports[0].name:
        raise BenchError(f"{label}: option 'input': the file's input is called {names}, not {options.input!r}")
    port = ports[0] if ports[0].shape else Port(ports[0].name, (None,) * 4, ports[0].dtype)
    fits = {}
    if len(port.shape) == 4:
        # A free axis may be of any length, but not where the file has the channels on the other one.
        known: tuple[int | None, ...] = (channels, 1) if channels == 3 else (channels,)
        first, last = (port.shape[axis] in known for axis in (1, 3))
        fits = {
            "NCHW": first or (port.shape[1] is None and not last),
            "NHWC": last or (port.shape[3] is None and not first and (port.shape[1] or LEAST_SIDE) >= LEAST_SIDE),
        }
    layout: Layout = options.layout or ("NCHW" if fits.get("NCHW") or not fits.get("NHWC") else "NHWC")
    if not fits.get(layout):
        expected = f"(B, {channels}, H, W)" if layout == "NCHW" else f"(B, H, W, {channels})"
        raise BenchError(
            f"{label}: the file's input has the shape {_describe(port.shape)}; layout {layout} is {expected}"
        )
    return port, layout


def seen_by(contract: InputContract, port: Port, layout: Layout, channels: int, label: str) -> InputContract:
    """Return the contract with mean and std for each channel of the file; grey where it has one of three."""
    given = port.shape[1 if layout == "NCHW" else 3]
    seen = contract.channels
    if given == 1 and channels == 3:
        seen = "gray"
    count = 1 if seen == "gray" else channels
    if port.dtype == np.int8:
        raise BenchError(
            f"{label}: the file takes int8 and does not say which number stands for which brightness; export it with "
            "an input of float or of bytes (uint8)"
        )
    if takes_bytes(port):
        by = "the file, which takes bytes as they are"
        return replace(
            contract,
            mean=(0.0,) * count,
            std=(1 / 255,) * count,
            channels=seen,
            fill=_channels(contract.fill or (0.0,), count, "fill", label),
            said_by=by,
            stated=tuple({**contract.sources(), "mean": by, "std": by}.items()),
        )
    return replace(
        contract,
        mean=_channels(contract.mean, count, "mean", label),
        std=_channels(contract.std, count, "std", label),
        channels=seen,
        fill=_channels(contract.fill or (0.0,), count, "fill", label),
    )


def takes_bytes(port: Port) -> bool:
    """Return whether an input is of whole numbers, which are those of images: nothing else is known of them."""
    return bool(np.issubdtype(port.dtype, np.integer))


def batch_of(port: Port, target: Target, label: str) -> int | None:
    """Return how many images the file takes at once; None where any number.

    Raises:
        Unsupported: If the target hands over another number of images.
    """
    count = port.shape[0]
    if count not in (None, 1, target.batch_size):
        raise Unsupported(f"{label}: the file takes batches of {count} images alone; set batch_size: {count}")
    return count


def _channels(values: tuple[float, ...], count: int, name: str, label: str) -> tuple[float, ...]:
    """Return a number for each channel; those of R, G and B become that of their luma."""
    if len(values) == count:
        return values
    if count == 1 and len(values) == 3:
        return (sum(weight * value for weight, value in zip(LUMA, values, strict=True)),)
    if len(set(values)) == 1:
        return values[:1] * count
    raise BenchError(
        f"{label}: option {name!r} has {len(values)} numbers and the file sees {count} channels; give one for each, or "
        "one for all"
    )


def network_size(port: Port, layout: Layout, target: Target, said: Size | None, label: str) -> Size | None:
    """Return the size every image is fitted into: the file's own, if any, else the target's or the option's."""
    height, width = port.shape[2:4] if layout == "NCHW" else port.shape[1:3]
    if height is None or width is None:
        return target.image_size or said
    if target.image_size not in (None, Size(height, width)):
        raise Unsupported(
            f"{label}: the file takes images of {height} x {width} alone; set image_size: [{height}, {width}], or "
            "leave it out"
        )
    return Size(height, width)


def _describe(shape: Sequence[int | None]) -> str:
    return "(" + ", ".join("?" if length is None else str(length) for length in shape) + ")"
