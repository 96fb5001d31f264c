"""torchvision behind the common contract: networks that label pixels, and Mask R-CNN."""

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


def _semantic() -> AnyAdapter:
    from adapters.torchvision.semantic import make_network

    return SemanticAdapter(make_network, packages=["torchvision"])


def _mask_rcnn() -> AnyAdapter:
    from adapters.torchvision.detection import DetectionAdapter

    return DetectionAdapter()


NETWORKS: dict[str, Callable[[], AnyAdapter]] = {
    "fcn_resnet50": _semantic,
    "fcn_resnet101": _semantic,
    "deeplabv3_resnet50": _semantic,
    "deeplabv3_resnet101": _semantic,
    "deeplabv3_mobilenet_v3_large": _semantic,
    "lraspp_mobilenet_v3_large": _semantic,
    "maskrcnn_resnet50_fpn": _mask_rcnn,
    "maskrcnn_resnet50_fpn_v2": _mask_rcnn,
    "maskrcnn_small": _mask_rcnn,
}
"""A card's option `network` -> what follows the contract for it."""


class Adapter:
    """Hands everything to the adapter of the card's network, which `build` chooses.

    The `runtimes` are those of the networks that label pixels; Mask R-CNN refuses all but the first.
    """

    fused_stages: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = SemanticAdapter.runtimes

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Build the network on the target's device; see `bench.adapter.Adapter.build`."""
        name = model.options.get("network")
        if not isinstance(name, str) or name not in NETWORKS:
            raise BenchError(
                f"{model.label}: option 'network': there is no {name!r}.{did_you_mean(str(name), NETWORKS)} "
                f"Choose one of {', '.join(sorted(NETWORKS))}"
            )
        self._chosen = NETWORKS[name]()
        self._chosen.build(model, task, target, weights)

    def train(self, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
        """Train a fresh network of the built kind."""
        return self._chosen.train(data, recipe, out, progress)

    def preprocess(self, images: Sequence[RgbImage]) -> Batch:
        """Resize, stack, move as bytes, normalise on the device."""
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
        """Versions of torchvision, torch and what they compute with."""
        return self._chosen.versions()
