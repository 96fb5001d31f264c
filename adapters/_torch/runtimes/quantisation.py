"""An exported network in 8-bit integers: ONNX Runtime's static quantisation, calibrated on images.

What costs time is quantised, convolutions and matrix products, each between a step from float to
int8 and one back (the form called QDQ), so that both runtimes can fuse them; everything between stays
float. The range of an activation is its smallest and largest value over the calibration images. A
file is kept beside the export it was made of, named by those images and the settings.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters._torch.runtimes.cpu_sessions import package
from adapters._torch.runtimes.onnx_export import INPUT, made_once
from bench.errors import Unsupported, in_one_line

QUANTISED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators that are computed in integers."""


def quantised(file: Path, images: Sequence[NDArray[np.float32]]) -> Path:
    """Return the model of a float32 export in int8: from beside it, or made now.

    It is calibrated on images as the network sees them, each (1, 3, H, W).

    Raises:
        Unsupported: Without images, without ONNX Runtime, or for a network that it cannot quantise.
    """
    if not images:
        raise Unsupported(
            "int8 needs images to find the ranges of its numbers with, and this model was given none; use it in a "
            "suite, whose training split has them, or use precision fp32"
        )
    package("onnxruntime")
    settings = {"narrow": _narrow_weights(), "operators": list(QUANTISED), "onnxruntime": version("onnxruntime")}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for image in images:
        digest.update(str(image.shape).encode() + np.ascontiguousarray(image).tobytes())
    folder = file.parent.parent / f"{file.parent.name}-int8-{digest.hexdigest()[:32]}"
    return made_once(folder, lambda made: _quantise(file, made, images))


def _quantise(file: Path, made: Path, images: Sequence[NDArray[np.float32]]) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # it advises, through the root logger, to optimise the file first
    try:
        quantize_static(
            file,
            made,
            _Reader(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            per_channel=True,
            reduce_range=_narrow_weights(),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    except Exception as error:  # ONNX Runtime and protobuf have their own, below no other
        reason = in_one_line(error, 300)
        raise Unsupported(f"the network cannot be quantised to int8 ({reason}); use precision fp32") from None
    finally:
        logging.getLogger().setLevel(level)


def _narrow_weights() -> bool:
    """Return whether weights get 7 bits: without VNNI instructions a processor's sums of 8-bit products saturate."""
    try:
        return "vnni" not in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return True


class _Reader:
    """The calibration images one after the other, as ONNX Runtime asks for them."""

    def __init__(self, images: Sequence[NDArray[np.float32]]) -> None:
        self._images: Iterator[NDArray[np.float32]] = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        """Return inputs of the next pass; None after the last."""
        image = next(self._images, None)
        return None if image is None else {INPUT: image}
