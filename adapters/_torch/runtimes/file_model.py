"""Any file of a network that labels pixels, behind the common contract: NumPy, OpenCV and a runtime, no torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from adapters._torch.options import read_options
from adapters._torch.runtimes.cpu_sessions import Port, Session, SessionSettings
from adapters._torch.runtimes.file_options import FileOptions
from adapters._torch.runtimes.file_reading import Box, OutputReader
from bench.adapter import BaseAdapter, Progress, TrainingData, TrainingResult, package_versions
from bench.errors import BenchError, Unsupported
from bench.records import ModelSpec, Recipe, Size, Target, TaskSpec
from bench.records.predictions import Prediction, RgbImage, SemanticMap


@dataclass(frozen=True)
class Inputs:
    """What `preprocess` hands to `infer`: what is passed at once, in the order of the images.

    Attributes:
        arrays: Each with a batch axis, in the model's layout and dtype.
        contents: Where each image lies within its array; the rest is padding.
    """

    arrays: tuple[NDArray[Any], ...]
    contents: tuple[Box, ...]


@dataclass(frozen=True)
class Outputs:
    """What `infer` hands to `postprocess`.

    Attributes:
        arrays: An output for each array of the input.
        inputs: Height and width of those.
        contents: As in `Inputs`.
    """

    arrays: tuple[NDArray[Any], ...]
    inputs: tuple[Size, ...]
    contents: tuple[Box, ...]


class FileModel(BaseAdapter):
    """The file of a network, run by a session of one runtime; an adapter says which, and of which format.

    Attributes:
        runtimes: Those that the format can be run by.
        file_format: Of the file, in a message: "an ONNX file".
        example: Name of such a file, for a message.

    * `preprocess` fits every image into the target's `image_size`, or into the size the file is made
      for, stretched or as a letterbox, normalises as the model config says and pads to the multiple. What
      has one size then is one array; where sizes differ, or the file takes one image at a time, each is
      passed apart, without padding to the largest.
    * `infer` runs the file.
    * `postprocess` cuts padding away, resizes what is not yet labels to the original size, names
      classes and gives them the ids of the task.
    """

    file_format: ClassVar[str]
    example: ClassVar[str]

    def open_session(self, file: Path, settings: SessionSettings, target: Target) -> Session:
        """Load the file; raises as `adapters._torch.runtimes.cpu_sessions.open_session`."""
        raise NotImplementedError

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Load the file; see `bench.adapter.Adapter.build`."""
        if task.kind != "semantic" or model.task != "semantic":
            raise Unsupported(f"{model.label} labels pixels; it has no {task.kind} prediction")
        self._check_target(target, model.label)
        self._options, self._target = read_options(FileOptions, model), target
        self._reader = OutputReader(self._options, task, model.label)
        if weights is None:
            raise BenchError(
                f"{model.label} needs {self.file_format} to run; give the model 'weights' in the suite, for example "
                f"{{name: {model.name}, weights: {self.example}}}"
            )
        self._file = weights
        threads = target.threads or _allowed_cores()
        cv2.setNumThreads(threads)
        settings = SessionSettings(
            threads, target.precision, target.deterministic, static=target.image_size is not None
        )
        self._session = self.open_session(weights, settings, target)
        self._input = _only_input(self._session.inputs, self._options, model.label)
        self._output = _chosen_output(self._session.outputs, self._options, model.label)
        self._size = _network_size(self._input, self._options, target, model.label)
        if self._options.fit == "letterbox" and self._size is None:
            raise BenchError(f"{model.label}: fit: letterbox needs a size to fit into; give the target an image_size")
        order = slice(None) if self._options.channels == "rgb" else slice(None, None, -1)
        scale = 255 / self._options.range_max
        self._shift = np.array(self._options.mean, dtype=np.float32)[order] * np.float32(scale)
        self._divisor = np.array(self._options.std, dtype=np.float32)[order] * np.float32(scale)

    def train(self, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
        """Refuse: a file is what it is."""
        raise Unsupported(
            f"{self.file_format} is not trained; train its network where it comes from and export it again"
        )

    def preprocess(self, images: Sequence[RgbImage]) -> Inputs:
        """Resize, normalise, pad, stack."""
        fitted, contents = zip(*(self._fitted(image) for image in images), strict=True)
        arrays = tuple(self._array(image) for image in fitted)
        if len({array.shape for array in arrays}) == 1 and self._input.shape[0] in (None, len(arrays)):
            arrays = (np.concatenate(arrays),)
        return Inputs(arrays, contents)

    def _fitted(self, image: RgbImage) -> tuple[RgbImage, Box]:
        """The image at the size of the input, and where in it it lies."""
        if self._options.fit == "letterbox" and self._size is not None:
            return _letterboxed(image, self._size, self._options)
        resized = _resized(image, self._size)
        return resized, Box(0, 0, *resized.shape[:2])

    def _array(self, image: RgbImage) -> NDArray[Any]:
        """One image as the model takes it, with a batch axis."""
        ordered = image if self._options.channels == "rgb" else image[..., ::-1]
        floats = (ordered.astype(np.float32) - self._shift) / self._divisor
        multiple = self._options.multiple_of
        down, right = (-side % multiple for side in image.shape[:2])
        padded = np.pad(floats, ((0, down), (0, right), (0, 0)))  # zero is the mean colour
        axes = padded if self._options.layout == "NHWC" else padded.transpose(2, 0, 1)
        if np.issubdtype(self._input.dtype, np.integer):
            axes = np.rint(axes)
        return np.ascontiguousarray(axes[None], dtype=self._input.dtype)

    def infer(self, batch: Inputs) -> Outputs:
        """Run the file on every array."""
        answers = tuple(self._session.run(array, (self._output.name,))[0] for array in batch.arrays)
        rows = 1 if self._options.layout == "NHWC" else 2
        sizes = tuple(Size(*array.shape[rows : rows + 2]) for array in batch.arrays)
        return Outputs(answers, sizes, batch.contents)

    def postprocess(self, raw: Outputs, sizes: Sequence[Size]) -> list[Prediction]:
        """Label maps at the original sizes."""
        images = [(one, size) for answer, size in zip(raw.arrays, raw.inputs, strict=True) for one in answer]
        return [
            SemanticMap(self._reader.labels(one, network=network, content=content, size=size))
            for (one, network), content, size in zip(images, raw.contents, sizes, strict=True)
        ]

    def describe(self) -> dict[str, JsonValue]:
        """Size of the file and the threads in effect; how many parameters it has is not counted."""
        return {
            "weights_bytes": self._file.stat().st_size,
            "device_name": "cpu",
            "threads": {"opencv": cv2.getNumThreads(), **self._session.threads()},
        }

    def versions(self) -> dict[str, str]:
        """Versions of Python, NumPy, OpenCV and the runtime."""
        return package_versions(["numpy", "opencv-python-headless", *self._session.packages])

    def _check_target(self, target: Target, label: str) -> None:
        """Refuse what a file cannot be run with."""
        if target.runtime not in self.runtimes:
            raise Unsupported(
                f"{label} is {self.file_format}, which runtime {target.runtime} does not take; use runtime "
                + " or ".join(self.runtimes[1:] or self.runtimes)
            )
        if target.device != "cpu":
            raise Unsupported(f"{label} runs on the CPU; device {target.device!r} is not one that this adapter drives")
        if target.precision == "int8":
            raise Unsupported(f"{label} computes as its file says, in int8 if that was quantised; use precision fp32")
        if target.precision != "fp32" and target.runtime != "openvino":
            has_it = "openvino" in self.runtimes
            instead = "needs runtime openvino, or use fp32" if has_it else "cannot be had; use fp32"
            raise Unsupported(f"{label} computes as its file says; {target.precision} {instead}")
        refused = {
            "window": target.window is not None,
            "test_time": target.test_time is not None,
            "channels_last": target.channels_last,
        }
        if any(refused.values()):
            names = " and ".join(name for name, asked in refused.items() if asked)
            raise Unsupported(
                f"{label} is passed whole, once, in the layout its model config says; leave {names} out of its target"
            )


def _only_input(ports: Sequence[Port], options: FileOptions, label: str) -> Port:
    names = ", ".join(port.name for port in ports)
    if len(ports) != 1:
        raise BenchError(f"{label}: the file has the inputs {names}; expected a single one, the image")
    if options.input not in (None, ports[0].name):
        raise BenchError(f"{label}: option 'input': the file's input is called {names}, not {options.input!r}")
    shape = ports[0].shape
    channels, elsewhere = (1, 3) if options.layout == "NCHW" else (3, 1)
    # A free axis may be three long, but not where the file has three on the other one.
    if shape and (
        len(shape) != 4 or shape[channels] not in (3, None) or (shape[channels], shape[elsewhere]) == (None, 3)
    ):
        expected = "(B, 3, H, W)" if options.layout == "NCHW" else "(B, H, W, 3)"
        raise BenchError(
            f"{label}: the file's input has the shape {_told(shape)}; layout {options.layout} is {expected}"
        )
    return ports[0] if shape else Port(ports[0].name, (None,) * 4, ports[0].dtype)


def _chosen_output(ports: Sequence[Port], options: FileOptions, label: str) -> Port:
    chosen = [port for port in ports if options.output in (None, port.name)]
    if not chosen:
        names = ", ".join(port.name for port in ports)
        raise BenchError(f"{label}: option 'output': no output named {options.output!r}; the file has {names}")
    return chosen[0]


def _network_size(port: Port, options: FileOptions, target: Target, label: str) -> Size | None:
    """The size every image is resized to: the file's own, where it has one, else the target's."""
    height, width = port.shape[2:4] if options.layout == "NCHW" else port.shape[1:3]
    if height is None or width is None:
        return target.image_size
    if target.image_size not in (None, Size(height, width)):
        raise Unsupported(
            f"{label}: the file takes images of {height} x {width} alone; set image_size: [{height}, {width}], or "
            "leave it out"
        )
    return Size(height, width)


def _told(shape: Sequence[int | None]) -> str:
    return "(" + ", ".join("?" if length is None else str(length) for length in shape) + ")"


def _resized(image: RgbImage, size: Size | None) -> RgbImage:
    """The image at a size: area-averaged when both sides shrink, else bilinear; None keeps it."""
    if size is None or image.shape[:2] == tuple(size):
        return image
    shrinks = size.height <= image.shape[0] and size.width <= image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size.width, size.height), interpolation=method), dtype=np.uint8)


def _letterboxed(image: RgbImage, size: Size, options: FileOptions) -> tuple[RgbImage, Box]:
    """The image with its own aspect ratio in one of another size, and where it lies there."""
    scale = min(size.height / image.shape[0], size.width / image.shape[1])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    top, left = ((size.height - height) // 2, (size.width - width) // 2) if options.centred else (0, 0)
    canvas = np.empty((*size, 3), dtype=np.uint8)
    canvas[:] = options.fill
    canvas[top : top + height, left : left + width] = _resized(image, Size(height, width))
    return canvas, Box(top, left, height, width)


def _allowed_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
