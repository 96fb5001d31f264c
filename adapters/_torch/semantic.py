"""The contract of `bench.adapter` for any torch network that labels pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor

from adapters._torch import device as devices
from adapters._torch.components import instances_from_labels, panoptic_from_labels
from adapters._torch.images import DeviceBatch, Normalisation, resize_image, resize_logits, stack_images
from adapters._torch.input import InputContract
from adapters._torch.matching import LoadedWeights
from adapters._torch.network import SemanticNetwork
from adapters._torch.options import InputOptions
from adapters._torch.runtimes.runtime import RUNTIMES, Pass, fixed_size, open_runtime
from adapters._torch.tta import by_content, target_forward
from adapters._torch.weights import load_weights
from bench.adapter import Progress, TrainingData, TrainingResult
from bench.errors import BenchError, Unsupported
from bench.records import ClassSpec, ModelSpec, Recipe, Size, Target, TaskKind, TaskSpec
from bench.records.predictions import Instances, Panoptic, Prediction, RgbImage, SemanticMap


@dataclass(frozen=True)
class DeviceLogits:
    """What `infer` hands to `postprocess`.

    Attributes:
        logits: (B, C, h, w), on the device.
        input_size: Size of the batch they were computed from.
        content: As in `DeviceBatch`.
    """

    logits: Tensor
    input_size: Size
    content: tuple[Size, ...]


class SemanticAdapter(devices.OnTorchDevice):
    """An adapter around a function that makes a network from a model config and a task.

    * `preprocess` resizes every image to the target's `image_size`. Without one each image keeps
      its size; images of different sizes in one batch are padded at the bottom and on the right to
      the largest, which can change labels near those edges against a batch of one.
    * `infer` makes the forward pass by the target's `runtime`; see `adapters._torch.runtimes.runtime`.
    * `infer` makes all passes that the target asks for: windows, scales, mirror images. With any of
      these an image is passed without its padding, apart from images of another size.
    * `postprocess` resizes logits, not labels, to the original size, then names classes. For a
      model config whose task is panoptic or instance it makes segments or instances of them; see
      `adapters._torch.components`.

    Args:
        make_network: Returns the network on the CPU in float32 with fresh weights, drawn from
            torch's global generator, which is seeded before each call. Raises `BenchError` for
            wrong options and `Unsupported` for a task it cannot do.
        packages: Further distributions that can change a result, for `versions`.
        takes_bands: Whether it makes networks for `TaskSpec.channels` other than 3; None leaves it to the class.
    """

    runtimes = RUNTIMES
    takes_bands = False

    def __init__(
        self,
        make_network: Callable[[ModelSpec, TaskSpec], SemanticNetwork],
        packages: Sequence[str] = (),
        *,
        takes_bands: bool | None = None,
    ) -> None:
        self._make_network = make_network
        if takes_bands is not None:
            self.takes_bands = takes_bands
        self.packages = ("torch", "lightning", "numpy", "opencv-python-headless", *packages)

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Build the network on the target's device; see `bench.adapter.Adapter.build`."""
        if task.kind != model.task:
            raise Unsupported(f"{model.label} makes {model.task} predictions; it has no {task.kind} prediction")
        if task.kind not in _FORMS:
            raise Unsupported(f"{model.label} labels pixels; it has no {task.kind} prediction")
        if task.kind == "instance" and not any(spec.is_thing for spec in task.classes):
            raise Unsupported(f"{model.label} makes instances of things; this label space has none")
        if task.channels != 3 and target.runtime != "eager":
            raise Unsupported(f"runtime {target.runtime} exports networks for RGB alone; use eager for other bands")
        self._model, self._task, self._weights = model, task, weights
        self.open(target)
        self._network = self._fresh_network(devices.UNTRAINED_SEED)
        if self._network.unfit is not None and weights is None and not self.training_follows:
            raise BenchError(self._network.unfit)
        self.ready(self._network.module)
        mean, std, channels = self._network.mean, self._network.std, self._network.channels
        self._normalise = Normalisation(mean, std, self._device, channels)
        calibration = tuple(self.preprocess([image]).pixels for image in self._calibration)
        whole = Pass(self._network.module, self._network.architecture, fixed_size(target), calibration=calibration)
        self._runtime = open_runtime(whole, target, self._device)
        self._several_passes = target_forward(self._runtime, target)

    def _fresh_network(self, seed: int) -> SemanticNetwork:
        with devices.seeded(seed):
            network = self._make_network(self._model, self._task)
        if self._task.channels != 3:
            network = replace(network, mean=(0.5,) * self._task.channels, std=(0.25,) * self._task.channels)
        network, loaded = loaded_network(network, self._model, self._weights)
        self._loaded = loaded or network.loaded
        return network

    def train(self, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
        """Train a fresh network of the built kind, from the built weights if there were any.

        The built network stays as it is; build again with the result's weights to predict.
        """
        # Imported here: Lightning takes seconds to import, and only a training needs it.
        from adapters._torch.training.semantic import fit

        if self._task.channels != 3 and recipe.augmentation.changes:
            raise Unsupported(
                f"augmentation is made for RGB; these images have {self._task.channels} channels. Leave 'augmentation' "
                "out of the recipe; flip works"
            )

        return fit(self._fresh_network(recipe.seed), data, recipe, out, progress)

    @torch.inference_mode()
    def preprocess(self, images: Sequence[RgbImage]) -> DeviceBatch:
        """Resize, stack, move as bytes, normalise on the device."""
        resized = [resize_image(image, self._target.image_size) for image in images]
        on_gpu = self._device.type == "cuda"
        stacked = stack_images(resized, self._network.mean, pin=on_gpu)
        pixels = stacked.to(self._device, non_blocking=on_gpu)
        return DeviceBatch(
            self._normalise(pixels, channels_last=self._target.channels_last),
            tuple(Size(*image.shape[:2]) for image in resized),
        )

    @torch.inference_mode()
    def infer(self, batch: DeviceBatch) -> DeviceLogits:
        """Forward pass, or all that the target asks for, in its precision."""
        with devices.autocast(self._device, self._target.precision):
            if self._several_passes is None:
                logits = self._runtime(batch.pixels)
            else:
                logits = by_content(self._several_passes, batch.pixels, batch.content)
        return DeviceLogits(logits, Size(*batch.pixels.shape[-2:]), batch.content)

    @torch.inference_mode()
    def postprocess(self, raw: DeviceLogits, sizes: Sequence[Size]) -> list[Prediction]:
        """Resize logits to the original size, name classes, move labels to the host, give them the task's form."""
        if len({*raw.content, raw.input_size}) == 1 and len(set(sizes)) == 1:
            return self._predictions(raw.logits, sizes[0])
        logits = resize_logits(raw.logits, raw.input_size)
        contents = [logits[i : i + 1, :, : c.height, : c.width] for i, c in enumerate(raw.content)]
        return [self._predictions(content, size)[0] for content, size in zip(contents, sizes, strict=True)]

    def _predictions(self, logits: Tensor, size: Size) -> list[Prediction]:
        resized = resize_logits(logits, size)
        return list(_FORMS[self._task.kind](self._network, resized, self._task.classes))

    def describe(self) -> dict[str, JsonValue]:
        """Facts of the built network."""
        facts = self._runtime.describe(devices.describe(self._network.module, self._device))
        facts["input_contract"] = self._network.input
        if self._loaded is not None:
            facts["weights_read"] = self._loaded.as_json()
        return facts

    def _runtime_packages(self) -> tuple[str, ...]:
        return self._runtime.packages


def loaded_network(
    network: SemanticNetwork, model: ModelSpec, weights: Path | None
) -> tuple[SemanticNetwork, LoadedWeights | None]:
    """Return a fresh network with the weights of a file and the preprocessing they were trained with.

    What the model config's option `input` says comes first, then what the file says, then the network's own.
    """
    said = model.options.get("input")
    options = None if said is None else InputOptions.model_validate(said)
    own = InputContract(network.mean, network.std, network.channels, network.input_said_by)
    loaded: LoadedWeights | None = None
    if weights is not None:
        key = model.options.get("weights_key")
        asked = key if isinstance(key, str) else None
        loaded = load_weights(network, weights, label=model.label, weights_key=asked)
        own = loaded.input or own
    return network.fed(own.changed(options)), loaded


# --------------------------------------------------------------------------- logits to predictions


def _semantic(network: SemanticNetwork, logits: Tensor, _: Sequence[ClassSpec]) -> list[SemanticMap]:
    return [SemanticMap(labels) for labels in _on_host(network.head.labels(logits))]


def _panoptic(network: SemanticNetwork, logits: Tensor, classes: Sequence[ClassSpec]) -> list[Panoptic]:
    return [panoptic_from_labels(*pair, classes, min_area=network.min_area) for pair in _labelled(network, logits)]


def _instances(network: SemanticNetwork, logits: Tensor, classes: Sequence[ClassSpec]) -> list[Instances]:
    return [instances_from_labels(*pair, classes, min_area=network.min_area) for pair in _labelled(network, logits)]


def _labelled(network: SemanticNetwork, logits: Tensor) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Labels and their probabilities of each image, on the host."""
    labels = network.head.labels(logits)
    return zip(_on_host(labels), _on_host(network.head.probability(logits, labels)), strict=True)


def _on_host(maps: Tensor) -> NDArray[Any]:
    return np.asarray(maps.cpu().numpy())


_FORMS: dict[TaskKind, Callable[[SemanticNetwork, Tensor, Sequence[ClassSpec]], Sequence[Prediction]]] = {
    "semantic": _semantic,
    "panoptic": _panoptic,
    "instance": _instances,
}
"""Task kind -> the predictions of a batch, from logits (B, C, H, W) at the original size."""
