"""Hugging Face transformers behind the common contract: SegFormer, and the networks that classify masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import JsonValue

from adapters._torch.semantic import SemanticAdapter
from bench.adapter import Adapter as AnyAdapter
from bench.adapter import Batch, DeviceTimer, Progress, Raw, TrainingData, TrainingResult
from bench.errors import BenchError, did_you_mean
from bench.predictions import Prediction, RgbImage
from bench.records import ModelSpec, Recipe, Size, Target, TaskSpec


def _segformer() -> AnyAdapter:
    from adapters.transformers.segformer import make_network

    return SemanticAdapter(make_network, packages=["transformers"])


def _universal() -> AnyAdapter:
    from adapters.transformers.universal import UniversalAdapter

    return UniversalAdapter()


ARCHITECTURES: dict[str, Callable[[], AnyAdapter]] = {
    "segformer": _segformer,
    "mask2former": _universal,
    "maskformer": _universal,
    "oneformer": _universal,
    "eomt": _universal,
}
"""A card's option `architecture`, `segformer` where it has none -> what follows the contract for it."""


class Adapter:
    """Hands everything to the adapter of the card's architecture, which `build` chooses."""

    fused_stages: tuple[str, ...] = ()

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Build the network on the target's device; see `bench.adapter.Adapter.build`."""
        name = model.options.get("architecture", "segformer")
        if not isinstance(name, str) or name not in ARCHITECTURES:
            raise BenchError(
                f"{model.label}: option 'architecture': there is no {name!r}.{did_you_mean(str(name), ARCHITECTURES)} "
                f"Choose one of {', '.join(sorted(ARCHITECTURES))}"
            )
        self._chosen = ARCHITECTURES[name]()
        self._chosen.build(model, task, target, weights)

    def train(self, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
        """Train a fresh network of the built kind."""
        return self._chosen.train(data, recipe, out, progress)

    def preprocess(self, images: Sequence[RgbImage]) -> Batch:
        """Resize, pad, move as bytes, normalise on the device."""
        return self._chosen.preprocess(images)

    def infer(self, batch: Batch) -> Raw:
        """Forward pass."""
        return self._chosen.infer(batch)

    def postprocess(self, raw: Raw, sizes: Sequence[Size]) -> list[Prediction]:
        """Predictions at the original sizes, on the host."""
        return self._chosen.postprocess(raw, sizes)

    def synchronize(self) -> None:
        """Wait until the device is idle."""
        self._chosen.synchronize()

    def device_timer(self) -> DeviceTimer | None:
        """CUDA events, or None on a CPU."""
        return self._chosen.device_timer()

    def reset_peak_device_bytes(self) -> None:
        """Start a new peak of device memory."""
        self._chosen.reset_peak_device_bytes()

    def peak_device_bytes(self) -> int | None:
        """Peak bytes allocated by torch on the device, or None on a CPU."""
        return self._chosen.peak_device_bytes()

    def describe(self) -> dict[str, JsonValue]:
        """Facts of the built network."""
        return self._chosen.describe()

    def versions(self) -> dict[str, str]:
        """Versions of transformers, torch and what they compute with."""
        return self._chosen.versions()
