"""The contract every adapter keeps, on one page.

A module `adapters/<name>/adapter.py` (or an entry point in the group `bench.adapters`) has a
class `Adapter` that inherits from `BaseAdapter` and can be made without arguments. Making it
touches nothing; `build` is the first call that may import a framework's heavy parts or use a device.

Order of calls in a worker: `build` once; then `train` once in a training job, or
`preprocess`, `infer`, `postprocess` many times. The harness owns the clock: an adapter has no
clock, no targets and no file handles beyond its weights. `adapters/README.md` numbers the
rules that the harness checks.

Everything that an adapter's author needs is imported from `bench.adapter`.
"""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from bench.errors import Unsupported
from bench.records import (
    ModelSpec,
    Operations,
    Recipe,
    Size,
    Target,
    TaskSpec,
)
from bench.records.flag import Flag
from bench.records.predictions import (
    LabelMap,
    Prediction,
    RgbImage,
)

Batch: TypeAlias = Any
"""Whatever `preprocess` hands to `infer`; the harness never looks inside."""

Raw: TypeAlias = Any
"""Whatever `infer` hands to `postprocess`; the harness never looks inside."""


class Split(Protocol):
    """A split of a data set with its ground truth, for training only."""

    def __len__(self) -> int: ...
    def image(self, index: int) -> RgbImage:
        """Return the image, uint8, (H, W, `TaskSpec.channels`)."""
        ...

    def semantic(self, index: int) -> LabelMap:
        """Return its class ids, uint8, (H, W); 255 = void."""
        ...

    def ground_truth(self, index: int) -> Prediction:
        """Return its ground truth in the form of the task that is trained."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """The data that a training job may read: the training and the validation split, never the scored one."""

    train: Split
    val: Split
    task: TaskSpec


class Progress(Protocol):
    """The place where `train` reports; every call lands in `training.jsonl` at once."""

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
    """The results that `train` leaves behind.

    Attributes:
        weights: File or folder under `out` that `build(weights=...)` reads back.
        steps, images: Optimiser steps and images seen.
        train_s: Wall-clock seconds in training steps.
        not_honoured: Recipe fields the framework cannot honour -> why.
        self_reported: The framework's own validation scores.
        data_wait_s: Seconds of `train_s` in which the training waited for batches, or made them itself; None = not
            known.
        validation_s: Seconds between the steps, for validations and checkpoints, in this process; None = not known.
    """

    weights: Path
    steps: int
    images: int
    train_s: float
    not_honoured: dict[str, str]
    self_reported: dict[str, float]
    data_wait_s: float | None = None
    validation_s: float | None = None


class DeviceTimer(Protocol):
    """A pair of device events on the stream in use (CUDA); driven by the harness only."""

    def hold(self, ms: float) -> None:
        """Keep the device busy for at least so long, without waiting for it: what is queued then runs without a gap."""
        ...

    def start(self) -> None:
        """Record the first event."""
        ...

    def stop(self) -> None:
        """Record the second event."""
        ...

    def elapsed_ms(self) -> float:
        """Return the device time between the two events; waits for the second."""
        ...


class BaseAdapter(ABC):
    """One framework behind the common interface; a subclass writes the four abstract methods.

    Everything else has a default, which is that of a model on a CPU that runs its framework as it
    is and is not trained here.

    Attributes:
        fused_stages: The stages that this adapter cannot separate, for example `("preprocess+infer",)`.
        stages_overlap: True if a pass of throughput may call `preprocess`, `infer` and `postprocess` from a thread
            each, at once and for different batches: all that a batch needs is handed on, and the device is not the
            processor. Where it is false, one stage follows the other.
        runtimes: The values of `Target.runtime` that it offers; the harness refuses the others.
        why_eager_alone: Why it has no other runtime, as the end of a sentence; None says nothing.
        fetches_weights: True if it loads the address that `ModelSpec.weights` may be; where it does not, the
            harness refuses addresses.
        takes_bands: True if it makes networks for `TaskSpec.channels` other than 3, see `takes_bands_for`.
        takes_floats: True if the images of those may be float32 from 0 to 255, as well as uint8.
        training_follows: Set before `build` where `train` is called after it: weights may then be drawn anew where
            they do not fit; they are refused otherwise.
        packages: The distributions whose versions can change a result, for `versions`.
        imported_to_build, imported_to_train: The modules below `adapters` that `build` and `train` import only when
            they are called. A parent of forked workers, see `bench.run.fork_server`, imports them once for all jobs.
    """

    fused_stages: tuple[str, ...] = ()
    stages_overlap: bool = False
    runtimes: tuple[str, ...] = ("eager",)
    why_eager_alone: str | None = None
    fetches_weights: ClassVar[bool] = False
    takes_bands: bool = False
    takes_floats: ClassVar[bool] = False
    training_follows: bool = False
    packages: tuple[str, ...] = ()
    imported_to_build: ClassVar[tuple[str, ...]] = ()
    imported_to_train: ClassVar[tuple[str, ...]] = ()

    def takes_bands_for(self, model: ModelSpec) -> bool:  # noqa: ARG002
        """Say whether the network of a model config is made for `TaskSpec.channels` other than 3.

        Where it is not, the harness gives it the bands that the data set declares as `rgb`, and refuses data sets that
        declare none.
        """
        return self.takes_bands

    @abstractmethod
    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Build the network and load its weights; `weights=None` means untrained, seeded weights.

        Raises:
            Unsupported: If this model, task or target cannot be had here.
            BenchError: If an option of the model config or the weight file is wrong.
        """

    @abstractmethod
    def preprocess(self, images: Sequence[RgbImage]) -> Batch:
        """Turn host images, each uint8 (H, W, `TaskSpec.channels`), into a batch that lies on the device.

        Under the task `prompted` each is a `PromptedImage`, whose `prompts` say what is asked of it.
        """

    @abstractmethod
    def infer(self, batch: Batch) -> Raw:
        """Make the forward pass alone; it ends with raw output on the device."""

    @abstractmethod
    def postprocess(self, raw: Raw, sizes: Sequence[Size]) -> list[Prediction]:
        """Turn raw output into host predictions at the ORIGINAL image sizes."""

    def probabilities(self, raw: Raw, sizes: Sequence[Size]) -> list[NDArray[np.floating]]:  # noqa: ARG002
        """Return what raw output says of each class and pixel: an array (K, H, W) from 0 to 1 for each image.

        At the ORIGINAL image sizes, in the order of the task's classes; of the same `raw` as `postprocess`. It is asked
        of models that label pixels where the suite keeps probabilities, and never while anything is timed.

        Raises:
            Unsupported: By default, and for a network that has none.
        """
        raise Unsupported(
            "this adapter hands over no probabilities; leave 'keep: probabilities' out of the suite, or the model"
        )

    def train(self, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:  # noqa: ARG002
        """Train the built network; an adapter that can resumes from a checkpoint in `out` if there is one.

        To predict, the network is built again with the result's weights; the built one may stay as it is.

        Raises:
            Unsupported: By default, and wherever this network cannot be trained.
        """
        raise Unsupported("this adapter does not train; give the model 'weights', or leave it out of the suite")

    def calibrate(self, images: Sequence[RgbImage]) -> None:  # noqa: B027
        """Take images of the training split, each uint8 (H, W, `TaskSpec.channels`).

        Called before `build` where the target has int8.

        By default they are not looked at; what has no int8 refuses it in `build`.
        """

    def decode(self, encoded: Sequence[bytes]) -> Sequence[Any] | None:  # noqa: ARG002
        """Turn the contents of image files into what `preprocess` takes, on the device for example.

        None, the default, leaves it to the harness's decoder. It is asked where the timed path begins at files
        (`measurement: {input: file}`).
        """
        return None

    def synchronize(self) -> None:  # noqa: B027
        """Wait until the device is idle; there is nothing to do on a CPU."""

    def queued(self) -> Any:
        """Return a mark of the device work that this thread has queued so far; None where nothing is queued."""
        return None

    def beside(self, mark: Any) -> AbstractContextManager[None]:  # noqa: ARG002
        """Return a context in which this thread's device work goes to a stream of its own.

        It waits for what is before the mark and for nothing that was queued later; with None for nothing at all. At the
        end of the context it is done. Asked only of adapters whose `stages_overlap`.
        """
        return nullcontext()

    def device_timer(self) -> DeviceTimer | None:
        """Return a fresh pair of device events, or None where the device has none."""
        return None

    def reset_peak_device_bytes(self) -> None:  # noqa: B027
        """Start a new peak of device memory; there is nothing to do on a CPU."""

    def peak_device_bytes(self) -> int | None:
        """Return the peak bytes allocated on the device since the last reset, or None on a CPU."""
        return None

    def peak_reserved_bytes(self) -> int | None:
        """Return the peak bytes that the allocator held of the device since the last reset, or None if not known."""
        return None

    def operations(self, images: Sequence[RgbImage]) -> Operations:  # noqa: ARG002
        """Count the arithmetic of one `infer` on these images, as it is really run: windows, copies and all.

        Raises:
            Unsupported: If it is not known, as by default and of an exported network.
        """
        raise Unsupported("the adapter counts none")

    def doubts(self, images: Sequence[RgbImage]) -> tuple[Flag, ...]:  # noqa: ARG002
        """Return what is odd about feeding the built model these images, beside what it answers; nothing is timed."""
        return ()

    def describe(self) -> dict[str, JsonValue]:
        """Return facts of the built model: `parameters`, `trainable_parameters`, `weights_bytes`,
        `device_name`, `threads` (library -> count, read back). What is not known is left out."""
        return {}

    def versions(self) -> dict[str, str]:
        """Return package -> version of everything that can change a result; by default of `packages`."""
        return package_versions(self.packages)


Adapter: TypeAlias = BaseAdapter
"""The harness holds any adapter as this."""


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python and of those packages that are installed; some go by several names."""
    found = {"python": platform.python_version()}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def predict(adapter: Adapter, images: Sequence[RgbImage]) -> list[Prediction]:
    """Return predictions for images of any sizes: preprocess + infer + postprocess."""
    sizes = [Size(*image.shape[:2]) for image in images]
    return adapter.postprocess(adapter.infer(adapter.preprocess(images)), sizes)


def predict_with_probabilities(
    adapter: Adapter, images: Sequence[RgbImage]
) -> tuple[list[Prediction], list[NDArray[np.floating]]]:
    """Return predictions as `predict` does, and the probabilities of the same forward pass."""
    sizes = [Size(*image.shape[:2]) for image in images]
    raw = adapter.infer(adapter.preprocess(images))
    return adapter.postprocess(raw, sizes), adapter.probabilities(raw, sizes)
