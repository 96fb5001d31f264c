"""Any file of a network that labels pixels, behind the common contract: NumPy, OpenCV and a runtime, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from adapters._torch.class_names import listed
from adapters._torch.fitting import Placement, place
from adapters._torch.input import InputContract
from adapters._torch.options import read_options
from adapters._torch.runtimes.cpu_sessions import (
    Port,
    Session,
    SessionKind,
    SessionSettings,
    allowed_cores,
    open_session,
)
from adapters._torch.runtimes.file_contract import (
    contract_beside,
    contract_of,
    contract_of_graph,
    contract_of_range,
    doubts_of_input,
)
from adapters._torch.runtimes.file_inputs import batch_of, network_size, only_input, seen_by, takes_bytes
from adapters._torch.runtimes.file_metadata import read_metadata
from adapters._torch.runtimes.file_objects import YoloReader
from adapters._torch.runtimes.file_options import FileOptions, ObjectFileOptions, options_class
from adapters._torch.runtimes.file_reading import OutputReader
from bench.adapter import BaseAdapter, Progress, TrainingData, TrainingResult, package_versions
from bench.errors import BenchError, Unsupported
from bench.records import ModelSpec, Recipe, Size, Target, TaskSpec
from bench.records.flag import Flag
from bench.records.predictions import Prediction, RgbImage
from bench.records.stated_classes import classes_beside, key_of


@dataclass(frozen=True)
class Inputs:
    """Hold what `preprocess` hands to `infer`: what is passed at once, in the order of the images.

    Attributes:
        arrays: Input arrays, each with a batch axis, in the model's layout and dtype.
        contents: Placement of each image within its array; the rest is padding.
    """

    arrays: tuple[NDArray[Any], ...]
    contents: tuple[Placement, ...]


@dataclass(frozen=True)
class Outputs:
    """The raw output that `infer` hands to `postprocess`.

    Attributes:
        arrays: The outputs that are read, for each array of the input.
        contents: Contents as in `Inputs`.
    """

    arrays: tuple[tuple[NDArray[Any], ...], ...]
    contents: tuple[Placement, ...]

    def answers(self) -> list[tuple[NDArray[Any], ...]]:
        """Return the outputs of each image; those of what filled a batch up are left out."""
        real = len(self.contents) if len(self.arrays) == 1 else 1
        return [one for outputs in self.arrays for one in list(zip(*outputs, strict=True))[:real]]


class FileModel(BaseAdapter):
    """The file of a network, run by a session of one runtime; an adapter says which, and of which format.

    A model config of instances is read by `adapters._torch.runtimes.file_objects`, one that labels pixels by
    `adapters._torch.runtimes.file_reading`.

    Attributes:
        runtimes: Runtimes that can run the format.
        file_format: Name of the file's format, for messages: "an ONNX file".
        example: Name of such a file, for a message.
        eager: What runs it where a target names no runtime; an adapter with a session of its own has none.

    * `preprocess` fits every image into the target's `image_size`, or into the size the file is made
      for, as its option `fit` says, normalises as the model config says and pads to the multiple. What
      has one size then is one array; where sizes differ, or the file takes one image at a time, each is
      passed apart, without padding to the largest.
    * `infer` runs the file.
    * `postprocess` cuts padding away, resizes what is not yet labels to the original size, names
      classes and gives them the ids of the task; suppression of boxes and masks of instances are part of it.
    """

    takes_bands = True
    takes_floats = True
    file_format: ClassVar[str]
    example: ClassVar[str]
    eager: ClassVar[SessionKind]

    def open_session(self, file: Path, settings: SessionSettings, target: Target) -> Session:
        """Load the file; raises as `adapters._torch.runtimes.cpu_sessions.open_session`."""
        return open_session("openvino" if target.runtime == "openvino" else self.eager, file, settings)

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Load the file; see `bench.adapter.Adapter.build`."""
        if task.kind != model.task:
            raise Unsupported(f"{model.label} makes {model.task} predictions; it has no {task.kind} prediction")
        if task.kind not in ("semantic", "instance"):
            raise Unsupported(f"{model.label} labels pixels or finds instances; it has no {task.kind} prediction")
        self._check_target(target, model.label)
        self._options, self._target, self._label = read_options(options_class(model), model), target, model.label
        if weights is None:
            raise BenchError(
                f"{model.label} needs {self.file_format} to run; give the model 'weights' in the suite, for example "
                f"{{name: {model.name}, weights: {self.example}}}"
            )
        self._file = weights
        threads = target.threads or allowed_cores()
        cv2.setNumThreads(threads)
        settings = SessionSettings(
            threads, target.precision, target.deterministic, static=target.image_size is not None
        )
        self._session = self.open_session(weights, settings, target)
        self._metadata = read_metadata(self._session.metadata)
        contract = contract_of(self._options, self._said())
        contract = replace(contract, size=contract.size or self._metadata.size)
        seen = 1 if contract.channels == "gray" else task.channels
        self._input, self._layout = only_input(self._session.inputs, self._options, seen, model.label)
        self._open_reader(task)
        self._contract = seen_by(contract, self._input, self._layout, task.channels, model.label)
        self._size = network_size(self._input, self._layout, target, self._contract.size, model.label)
        self._at_once = batch_of(self._input, target, model.label)
        if self._contract.fit != "stretch" and self._size is None:
            raise BenchError(
                f"{model.label}: fit: {self._contract.fit} needs a size to fit into; give the target an image_size"
            )
        if self._contract.fit == "crop" and any(side % self._options.multiple_of for side in self._size or ()):
            raise BenchError(f"{model.label}: fit: crop needs a size of multiples of {self._options.multiple_of}")
        order = slice(None, None, -1) if self._contract.channels == "bgr" else slice(None)
        self._shift = np.array(self._contract.mean, dtype=np.float32)[order] * np.float32(255)
        self._divisor = np.array(self._contract.std, dtype=np.float32)[order] * np.float32(255)

    def _said(self) -> InputContract | None:
        """Return the preprocessing that the file states, by graph, metadata, a file beside or its quantised range."""
        ports, said = self._session.inputs, self._metadata.input or contract_beside(self._file)
        of_graph = contract_of_graph(self._file)
        if of_graph is not None and said is not None:  # of the rest, such as the size, the others know more
            parts = {**said.sources(), "mean": of_graph.said_by, "std": of_graph.said_by}
            stated = tuple(parts.items())
            return replace(said, mean=of_graph.mean, std=of_graph.std, said_by=of_graph.said_by, stated=stated)
        of_range = contract_of_range(ports[0]) if len(ports) == 1 else None
        return of_graph or said or of_range

    def _open_reader(self, task: TaskSpec) -> None:
        """Choose what reads the outputs, and which of them it reads."""
        ports, (names, self._remarks) = self._session.outputs, self._stated_names(task)
        self._reader: OutputReader | YoloReader
        self._reads: tuple[str, ...]
        if isinstance(self._options, ObjectFileOptions):
            self._reader = YoloReader(self._options, self._options.classes or names, task, ports, self._label)
            self._reads = self._reader.outputs
        else:
            expected = 1 if self._options.is_sigmoid else len(self._options.classes or names or task.classes)
            read = _chosen_output(ports, self._options, self._label, expected)
            if "output_is" not in self._options.model_fields_set and read.dtype.kind in "iub":
                self._options = self._options.model_copy(update={"output_is": "labels"})
                self._remarks += (f"its output {read.name} is of whole numbers, which were taken for ids of classes",)
            self._reader = OutputReader(self._options, task, self._label, names)
            self._reader.layout = self._options.layout or self._layout
            self._reads = (read.name,)
            if len(ports) > 1 and self._options.output is None:
                others = ", ".join(port.name for port in ports if port.name != read.name)
                which = f"the first, {read.name}," if read is ports[0] else read.name
                self._remarks += (f"of its outputs {which} was read; option 'output' takes {others}",)
            if self._options.output_is != "labels" and len(read.shape) == 4 and 1 in (read.shape[1], read.shape[3]):
                self._reader.check_channels(1)  # before anything is run
        self._remarks += self._reader.remarks

    def _stated_names(self, task: TaskSpec) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
        """Return the classes that the file names, or a list beside it that is of this task's; and remarks."""
        own, beside = self._metadata.class_names, classes_beside(self._file)
        if own is None and beside is None and self._options.classes is None:
            return None, ("the file names no classes; its outputs were taken for the task's classes in their order",)
        if own is not None or beside is None or self._options.classes is not None:
            return own, ()
        names, called = beside
        if called == "config.json":  # of the exporter's own folder: it speaks of this file
            return names, (f"its classes are those of {called} beside it",)
        if sorted(map(key_of, names)) == sorted(key_of(spec.name) for spec in task.classes):
            return names, (f"its classes are those of {called} beside it",)
        return None, (
            f"{called} beside it names the classes {listed(names)}; if they are this file's, say trained_on with them",
        )

    def train(self, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
        """Refuse: a file is what it is."""
        raise Unsupported(
            f"{self.file_format} is not trained; train its network where it comes from and export it again"
        )

    def preprocess(self, images: Sequence[RgbImage]) -> Inputs:
        """Resize, normalise, pad, stack."""
        inputs, contents = zip(*(self._fitted(image) for image in images), strict=True)
        arrays = tuple(self._array(image) for image in inputs)
        most = self._at_once
        if len({array.shape for array in arrays}) == 1 and (most is None or 1 < most >= len(arrays)):
            arrays = (np.concatenate(arrays),)
        if most is not None and most > 1:  # a short batch is filled with its last image, whose answers are cut off
            filled = [np.repeat(array[-1:], most - len(array), axis=0) for array in arrays]
            arrays = tuple(np.concatenate(pair) for pair in zip(arrays, filled, strict=True))
        return Inputs(arrays, contents)

    def _fitted(self, image: RgbImage) -> tuple[RgbImage, Placement]:
        """Return the image at the size of the input, and where in it it lies, padding to the multiple included."""
        contract = self._contract
        placement = place(Size(*image.shape[:2]), self._size, contract.fit)
        if contract.fit == "letterbox" and not self._options.centred:
            placement = Placement(placement.input, placement.scaled)
        multiple = self._options.multiple_of
        padded = Size(*(side + -side % multiple for side in placement.input))
        return contract.fed(image, placement), Placement(padded, placement.scaled, placement.top, placement.left)

    def _array(self, image: RgbImage) -> NDArray[Any]:
        """Return one image as the model takes it, with a batch axis."""
        ordered = image[..., ::-1] if self._contract.channels == "bgr" else image
        as_bytes = takes_bytes(self._input)
        floats = np.rint(ordered) if as_bytes else (ordered.astype(np.float32) - self._shift) / self._divisor
        multiple = self._options.multiple_of
        down, right = (-side % multiple for side in image.shape[:2])
        padded = np.pad(floats, ((0, down), (0, right), (0, 0)))  # zero is the mean colour
        axes = padded if self._layout == "NHWC" else padded.transpose(2, 0, 1)
        return np.ascontiguousarray(axes[None], dtype=self._input.dtype)

    def infer(self, batch: Inputs) -> Outputs:
        """Run the file on every array."""
        return Outputs(tuple(self._session.run(array, self._reads) for array in batch.arrays), batch.contents)

    def postprocess(self, raw: Outputs, sizes: Sequence[Size]) -> list[Prediction]:
        """Label maps or instances at the original sizes."""
        return [
            self._reader.prediction(one, placement, size)
            for one, placement, size in zip(raw.answers(), raw.contents, sizes, strict=True)
        ]

    def probabilities(self, raw: Outputs, sizes: Sequence[Size]) -> list[NDArray[np.floating]]:
        """Return what the file says of each class and pixel, at the original sizes; see `OutputReader`."""
        if not isinstance(self._reader, OutputReader):
            raise Unsupported(f"{self._label} finds objects; probabilities are of label maps")
        found: list[NDArray[np.floating]] = []
        for one, placement, size in zip(raw.answers(), raw.contents, sizes, strict=True):
            found.append(self._reader.probabilities(one[0], placement, size))
        return found

    def doubts(self, images: Sequence[RgbImage]) -> tuple[Flag, ...]:
        """Return whether the file is fed as its exporter says, and its outputs are what the model config calls them.

        Raises:
            BenchError: If they cannot be.
        """
        found = doubts_of_input(self._contract, self._input, self._metadata, self._said())
        doubt = None
        if isinstance(self._reader, OutputReader):
            doubt = self._reader.doubt(self.infer(self.preprocess(images[:1])).arrays[0][0][0])
        if doubt is not None and doubt.is_certain:
            raise BenchError(f"{self._label}: {doubt.seen}, and option 'output_is' calls them so; correct it")
        if doubt is not None:
            advice = "check option 'output_is', which says whether these are logits or probabilities, and of what"
            found.append(Flag(name="outputs_unlike_head", seen=doubt.seen, advice=advice))
        return tuple(found)

    def describe(self) -> dict[str, JsonValue]:
        """Return the size of the file and the threads in effect; how many parameters it has is not counted."""
        remarks: list[JsonValue] = [*self._remarks]
        return {
            **({"weights_read": {"remarks": remarks}} if remarks else {}),
            "weights_bytes": self._file.stat().st_size,
            "device_name": "cpu",
            "threads": {"opencv": cv2.getNumThreads(), **self._session.threads()},
            "input_contract": self._contract.as_json(self._target.image_size),
        }

    def versions(self) -> dict[str, str]:
        """Return versions of Python, NumPy, OpenCV and the runtime."""
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


def _chosen_output(ports: Sequence[Port], options: FileOptions, label: str, channels: int) -> Port:
    """Return the output that is asked for; else the first with a channel for each class, auxiliary heads last."""
    chosen = [port for port in ports if options.output in (None, port.name)]
    if not chosen:
        names = ", ".join(port.name for port in ports)
        raise BenchError(f"{label}: option 'output': no output named {options.output!r}; the file has {names}")
    return min(chosen, key=lambda port: (not _may_have(port, channels), "aux" in port.name.lower()))


def _may_have(port: Port, channels: int) -> bool:
    """Return whether an output may have a number of channels, or holds ids."""
    if len(port.shape) != 4 or port.dtype.kind in "iub":
        return len(port.shape) in (0, 3) or port.dtype.kind in "iub"
    ends = [port.shape[1], port.shape[3]]
    return channels in ends or ends == [None, None]
