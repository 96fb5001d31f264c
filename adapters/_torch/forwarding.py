"""One adapter for a framework whose networks need several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from adapters._torch.runtimes.runtime import RUNTIMES
from bench.adapter import (
    BaseAdapter,
    Batch,
    DeviceTimer,
    Progress,
    Raw,
    TrainingData,
    TrainingResult,
)
from bench.errors import BenchError, did_you_mean
from bench.records import ModelSpec, Operations, Recipe, Size, Target, TaskSpec
from bench.records.flag import Flag
from bench.records.predictions import Prediction, RgbImage


class ForwardingAdapter(BaseAdapter):
    """Hands everything to the adapter of a model config's network, which `build` chooses by one of the model config's
    options.

    The `runtimes` are those of any of them: which one it will be is known when it is built, and it then
    refuses what it does not have.

    Args:
        option: Name of the option.
        adapters: Its value -> what makes the adapter; imports what that needs only when it is called.
        default: Value of a model config without the option; None where it must have it.
    """

    runtimes = RUNTIMES

    def __init__(
        self, option: str, adapters: Mapping[str, Callable[[], BaseAdapter]], default: str | None = None
    ) -> None:
        self._option, self._adapters, self._default = option, adapters, default
        self._calibration: tuple[RgbImage, ...] = ()
        self.training_follows = False

    def calibrate(self, images: Sequence[RgbImage]) -> None:
        """Keep the images that int8 finds its ranges with, for the adapter that is chosen."""
        self._calibration = tuple(images)

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Build the network on the target's device; see `bench.adapter.Adapter.build`."""
        self._chosen = self._made(model)
        self._chosen.calibrate(self._calibration)
        self._chosen.training_follows = self.training_follows
        self._chosen.build(model, task, target, weights)
        self.fused_stages = self._chosen.fused_stages
        self.stages_overlap = self._chosen.stages_overlap

    takes_floats = True  # all that are forwarded to and take bands are `SemanticAdapter`s

    def takes_bands_for(self, model: ModelSpec) -> bool:
        """Say what the adapter of a model config's network says."""
        return self._made(model).takes_bands_for(model)

    def _made(self, model: ModelSpec) -> BaseAdapter:
        name = model.options.get(self._option, self._default)
        if not isinstance(name, str) or name not in self._adapters:
            raise BenchError(
                f"{model.label}: option {self._option!r}: there is no {name!r}."
                f"{did_you_mean(str(name), self._adapters)} Choose one of {', '.join(sorted(self._adapters))}"
            )
        return self._adapters[name]()

    def decode(self, encoded: Sequence[bytes]) -> Sequence[Any] | None:
        """Decode images as the chosen adapter does."""
        return self._chosen.decode(encoded)

    def train(self, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
        """Train a fresh network of the built kind."""
        return self._chosen.train(data, recipe, out, progress)

    def preprocess(self, images: Sequence[RgbImage]) -> Batch:
        """Turn images into a batch on the device."""
        return self._chosen.preprocess(images)

    def infer(self, batch: Batch) -> Raw:
        """Forward pass."""
        return self._chosen.infer(batch)

    def postprocess(self, raw: Raw, sizes: Sequence[Size]) -> list[Prediction]:
        """Return predictions at the original sizes, on the host."""
        return self._chosen.postprocess(raw, sizes)

    def probabilities(self, raw: Raw, sizes: Sequence[Size]) -> list[NDArray[np.floating]]:
        """Return probabilities of each class and pixel, where what was chosen has them."""
        return self._chosen.probabilities(raw, sizes)

    def synchronize(self) -> None:
        """Wait until the device is idle."""
        self._chosen.synchronize()

    def queued(self) -> Any:
        """Return a mark of the device work queued so far."""
        return self._chosen.queued()

    def beside(self, mark: Any) -> AbstractContextManager[None]:
        """Return a context with a stream of its own."""
        return self._chosen.beside(mark)

    def device_timer(self) -> DeviceTimer | None:
        """CUDA events, or None where there are none."""
        return self._chosen.device_timer()

    def reset_peak_device_bytes(self) -> None:
        """Start a new peak of device memory."""
        self._chosen.reset_peak_device_bytes()

    def peak_device_bytes(self) -> int | None:
        """Return the peak bytes allocated by torch on the device, or None where that is not known."""
        return self._chosen.peak_device_bytes()

    def peak_reserved_bytes(self) -> int | None:
        """Return the peak bytes that torch's allocator held of the device, or None where that is not known."""
        return self._chosen.peak_reserved_bytes()

    def operations(self, images: Sequence[RgbImage]) -> Operations:
        """Count what one `infer` computes."""
        return self._chosen.operations(images)

    def doubts(self, images: Sequence[RgbImage]) -> tuple[Flag, ...]:
        """Return versions of the chosen adapter."""
        return self._chosen.doubts(images)

    def describe(self) -> dict[str, JsonValue]:
        """Return facts of the built network."""
        return self._chosen.describe()

    def versions(self) -> dict[str, str]:
        """Return versions of what can change a result."""
        return self._chosen.versions()
