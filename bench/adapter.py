"""The contract every adapter keeps, on one page.

A module `adapters/<name>/adapter.py` (or an entry point in the group `bench.adapters`) has a
class `Adapter` that follows this protocol and can be made without arguments. Making it touches
nothing; `build` is the first call that may import a framework's heavy parts or use a device.

Order of calls in a worker: `build` once; then `train` once in a training job, or
`preprocess`, `infer`, `postprocess` many times. The harness owns the clock: an adapter has no
stopwatch, no targets and no file handles beyond its weights. `adapters/README.md` numbers the
rules that the harness checks.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeAlias, runtime_checkable

from pydantic import JsonValue

from bench.errors import PluginError, Unsupported, did_you_mean
from bench.records import ModelSpec, Operations, Recipe, Size, Target, TaskSpec
from bench.records.names import harness_root
from bench.records.predictions import LabelMap, Prediction, RgbImage
from bench.records.prompts import PromptedImage, Prompts

__all__ = [
    "ADAPTERS_VARIABLE",
    "Adapter",
    "Batch",
    "CalibratedAdapter",
    "DeviceTimer",
    "ProfiledAdapter",
    "Progress",
    "PromptedImage",
    "Prompts",
    "Raw",
    "Split",
    "TrainingData",
    "TrainingResult",
    "Unsupported",
    "adapter_folder",
    "adapter_folders",
    "load_adapter",
    "predict",
]

ADAPTERS_VARIABLE = "BENCH_ADAPTERS"
"""Environment variable with further adapter folders, separated as in PATH."""

Batch: TypeAlias = Any
"""Whatever `preprocess` hands to `infer`; the harness never looks inside."""

Raw: TypeAlias = Any
"""Whatever `infer` hands to `postprocess`; the harness never looks inside."""


class Split(Protocol):
    """A split of a data set with its truths, for training only."""

    def __len__(self) -> int: ...
    def image(self, index: int) -> RgbImage:
        """The image, uint8, (H, W, 3)."""
        ...

    def semantic(self, index: int) -> LabelMap:
        """Its class ids, uint8, (H, W); 255 = void."""
        ...

    def truth(self, index: int) -> Prediction:
        """Its truth in the form of the task that is trained."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """What a training job may look at: the training and the validation split, never the scored one."""

    train: Split
    val: Split
    task: TaskSpec


class Progress(Protocol):
    """Where `train` reports; every call lands in `training.jsonl` at once."""

    def planned(self, *, steps: int | None, seconds: float | None) -> None:
        """Say how long training will be, for the progress bar."""
        ...

    def step(self, *, step: int, images: int, train_s: float, loss: float, learning_rate: float) -> None:
        """Report an optimiser step: steps and images so far, seconds spent training so far."""
        ...

    def validated(self, *, step: int, images: int, train_s: float, values: dict[str, float]) -> None:
        """Report a validation, for example `{"val_loss": 0.41, "val_mean_iou": 0.62}`."""
        ...


@dataclass(frozen=True)
class TrainingResult:
    """What `train` leaves behind.

    Attributes:
        weights: File or folder under `out` that `build(weights=...)` reads back.
        steps, images: Optimiser steps and images seen.
        train_s: Wall-clock seconds in training steps.
        not_honoured: Recipe fields the framework cannot honour -> why.
        self_reported: The framework's own validation scores.
    """

    weights: Path
    steps: int
    images: int
    train_s: float
    not_honoured: dict[str, str]
    self_reported: dict[str, float]


class DeviceTimer(Protocol):
    """A pair of device events on the stream in use (CUDA); driven by the harness only."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def elapsed_ms(self) -> float:
        """Device time between the two events; waits for the second."""
        ...


class Adapter(Protocol):
    """One framework behind the common interface.

    Attributes:
        fused_stages: Stages this adapter cannot separate, for example `("preprocess+infer",)`.
            An adapter may also have `runtimes`, the values of `Target.runtime` that it offers; without
            it that is `eager` alone. One with that alone may say why in `why_eager_alone`, the end of a sentence.
            One with `fetches_weights = True` loads the address that `ModelSpec.weights` may be; to others the
            harness gives none.
            It may also have `decode(encoded: Sequence[bytes]) -> Sequence[Any]`, which turns the contents of
            image files into what `preprocess` takes, on the device for example; without it the harness
            decodes where the timed path begins at files (`measurement: {input: file}`).
            What only a profile job asks is in `ProfiledAdapter`, what int8 needs in `CalibratedAdapter`.
    """

    fused_stages: tuple[str, ...]

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Build the network and load its weights; `weights=None` means untrained, seeded weights.

        Raises:
            Unsupported: If this model, task or target cannot be had here.
            BenchError: If an option of the model card or the weight file is wrong.
        """
        ...

    def train(self, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
        """Train the built network; resumes from a checkpoint in `out` if there is one.

        An adapter that cannot train raises `Unsupported`.
        """
        ...

    def preprocess(self, images: Sequence[RgbImage]) -> Batch:
        """Turn host images, each uint8 (H, W, 3), into a batch that lies on the device.

        Under the task `prompted` each is a `PromptedImage`, whose `prompts` say what is asked of it.
        """
        ...

    def infer(self, batch: Batch) -> Raw:
        """Forward pass only; ends with raw output on the device."""
        ...

    def postprocess(self, raw: Raw, sizes: Sequence[Size]) -> list[Prediction]:
        """Turn raw output into host predictions at the ORIGINAL image sizes."""
        ...

    def synchronize(self) -> None:
        """Wait until the device is idle; nothing to do on a CPU."""
        ...

    def device_timer(self) -> DeviceTimer | None:
        """Return a fresh pair of device events, or None where the device has none."""
        ...

    def reset_peak_device_bytes(self) -> None:
        """Start a new peak of device memory; nothing to do on a CPU."""
        ...

    def peak_device_bytes(self) -> int | None:
        """Peak bytes allocated on the device since the last reset, or None on a CPU."""
        ...

    def describe(self) -> dict[str, JsonValue]:
        """Facts of the built model: `parameters`, `trainable_parameters`, `weights_bytes`,
        `device_name`, `threads` (library -> count, read back). Leave out what is not known."""
        ...

    def versions(self) -> dict[str, str]:
        """Package -> version of everything that can change a result."""
        ...


@runtime_checkable
class ProfiledAdapter(Adapter, Protocol):
    """An adapter that also tells what only a profile job asks; it need not, and then the report says so."""

    def peak_reserved_bytes(self) -> int | None:
        """Peak bytes that the allocator held of the device since `reset_peak_device_bytes`, or None on a CPU."""
        ...

    def operations(self, images: Sequence[RgbImage]) -> Operations:
        """Count the arithmetic of one `infer` on these images, as it is really run: windows, copies and all.

        Raises:
            Unsupported: If it is not known, as of an exported network.
        """
        ...


@runtime_checkable
class CalibratedAdapter(Adapter, Protocol):
    """An adapter that can compute in int8, for which it must see images of the kind that it will be given."""

    def calibrate(self, images: Sequence[RgbImage]) -> None:
        """Take images of the training split, each uint8 (H, W, 3); called before `build` where the target has int8."""
        ...


def predict(adapter: Adapter, images: Sequence[RgbImage]) -> list[Prediction]:
    """Return predictions for images of any sizes: preprocess + infer + postprocess."""
    sizes = [Size(*image.shape[:2]) for image in images]
    return adapter.postprocess(adapter.infer(adapter.preprocess(images)), sizes)


def adapter_folders() -> dict[str, Path]:
    """Adapter name -> folder, built-in ones first; an outside adapter may not hide a built-in one."""
    folders: dict[str, Path] = {}
    roots = [harness_root() / "adapters"]
    roots += [Path(part) for part in os.environ.get(ADAPTERS_VARIABLE, "").split(os.pathsep) if part]
    for root in roots:
        for file in sorted(root.glob("*/adapter.py")):
            folders.setdefault(file.parent.name, file.parent)
    for point in entry_points(group="bench.adapters"):
        spec = importlib.util.find_spec(point.value)
        if spec is not None and spec.submodule_search_locations:
            folders.setdefault(point.name, Path(next(iter(spec.submodule_search_locations))))
    return folders


def adapter_folder(name: str) -> Path:
    """Folder of an adapter; raises `PluginError` with the nearest name."""
    folders = adapter_folders()
    if name not in folders:
        raise PluginError(
            f"no adapter named {name!r}.{did_you_mean(name, folders)} List them with: bench list adapters"
        )
    return folders[name]


def load_adapter(name: str) -> Adapter:
    """Import an adapter's module and make its `Adapter`; the only place that does so."""
    folder = adapter_folder(name)
    if folder.parent == harness_root() / "adapters":
        module = importlib.import_module(f"adapters.{name}.adapter")
    else:
        module = _import_file(f"bench_adapter_{name}", folder / "adapter.py")
    made: Adapter = module.Adapter()
    return made


def _import_file(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=[str(file.parent)])
    if spec is None or spec.loader is None:
        raise PluginError(f"{file} cannot be imported as an adapter; it must be a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
