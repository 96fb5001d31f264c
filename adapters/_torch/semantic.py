"""The contract of `bench.adapter` for any torch network that labels pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor
from torch.nn import functional as F

from adapters._torch import device as devices
from adapters._torch.components import instances_from_labels, panoptic_from_labels
from adapters._torch.first_statistics import doubt
from adapters._torch.fitting import Placement, place
from adapters._torch.images import Normalisation, resize_logits, stack_images, to_host
from adapters._torch.input import IMAGENET, InputContract, input_options, sized
from adapters._torch.matching import LoadedWeights
from adapters._torch.network import SemanticNetwork
from adapters._torch.output_values import contradiction
from adapters._torch.runtimes.runtime import RUNTIMES, Pass, Runtime, fixed_size, open_runtime
from adapters._torch.tta import by_content, target_forward
from adapters._torch.weights import load_weights, refuse_inverted
from bench.adapter import Progress, TrainingData, TrainingResult
from bench.errors import BenchError, Unsupported
from bench.records import (
    IGNORE_LABEL,
    ModelSpec,
    Recipe,
    Size,
    Target,
    TaskKind,
    TaskSpec,
)
from bench.records.flag import Flag
from bench.records.predictions import Instances, LabelMap, Panoptic, Prediction, RgbImage, SemanticMap


@dataclass(frozen=True)
class FittedBatch:
    """The batch that `preprocess` hands to `infer`.

    Attributes:
        pixels: float32, (B, 3, H, W), on the device.
        placements: Placement of each image in its input, which lies at the top left of the batch; the rest is padding.
    """

    pixels: Tensor
    placements: tuple[Placement, ...]


@dataclass(frozen=True)
class DeviceLogits:
    """The raw output that `infer` hands to `postprocess`.

    Attributes:
        logits: (B, C, h, w), on the device.
        input_size: Size of the batch they were computed from.
        placements: Placements as in `FittedBatch`.
    """

    logits: Tensor
    input_size: Size
    placements: tuple[Placement, ...]


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
        takes_bands: True if it makes networks for `TaskSpec.channels` other than 3; None leaves it to the class.
    """

    runtimes = RUNTIMES
    _runtime: Runtime
    _network: SemanticNetwork
    takes_bands = False
    imported_to_train = ("adapters._torch.training.semantic", "adapters._torch.training.transforms")
    takes_floats = True

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
        if task.kind not in ("semantic", *_PARTS):
            raise Unsupported(f"{model.label} labels pixels; it has no {task.kind} prediction")
        if task.kind == "instance" and not any(spec.is_thing for spec in task.classes):
            raise Unsupported(f"{model.label} makes instances of things; this label space has none")
        self._seen_task = seen_task(model, task, takes_bands=self.takes_bands)
        if self._seen_task.channels != 3 and target.runtime != "eager":
            raise Unsupported(f"runtime {target.runtime} exports networks for RGB alone; use eager for other bands")
        self._model, self._task, self._weights = model, task, weights
        self.open(target)
        self._network = self._fresh_network(devices.UNTRAINED_SEED)
        if self._network.unfit is not None and weights is None and not self.training_follows:
            raise BenchError(self._network.unfit)
        self.ready(self._network.module)
        self._contract = self._network.input
        self._normalise = Normalisation(self._contract.mean, self._contract.std, self._device, self._contract.channels)
        self._target = target = sized(target, self._contract, model.label)
        calibration = tuple(self.preprocess([image]).pixels for image in self._calibration)
        whole = Pass(self._network.module, self._network.architecture, fixed_size(target), calibration=calibration)
        self._runtime = open_runtime(whole, target, self._device)
        self._several_passes = target_forward(self._runtime, target, head=self._network.head)

    def _fresh_network(self, seed: int) -> SemanticNetwork:
        with devices.seeded(seed, drawn=self._weights is None):
            network = self._make_network(self._model, self._seen_task)
        if self._task.channels != 3:
            channels = self._task.channels
            network = replace(network, input=InputContract((0.5,) * channels, (0.25,) * channels))
        network, loaded = loaded_network(network, self._model, self._weights)
        self._loaded = loaded or network.loaded
        return network

    def train(self, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
        """Train a fresh network of the built kind, from the built weights if there were any."""
        # Imported here: Lightning takes seconds to import, and only a training needs it.
        from adapters._torch.training.semantic import fit

        if not self._model.trainable:
            raise Unsupported(f"{self._model.label} has published weights of one input and is not trained here")
        if self._network.head.thresholds is not None or self._network.head.gives == "probabilities":
            raise Unsupported(
                f"{self._model.label}: losses are of logits, of head: softmax or head: sigmoid; a network with another "
                "head is not trained here. Give it weights"
            )
        if self._seen_task.channels != 3 and recipe.augmentation.changes:
            raise Unsupported(
                f"augmentation is made for RGB; these have {self._seen_task.channels} channels. Leave 'augmentation' "
                "out of the recipe; flip works"
            )

        return fit(self._fresh_network(recipe.seed), data, recipe, out, progress)

    @torch.inference_mode()
    def preprocess(self, images: Sequence[RgbImage]) -> FittedBatch:
        """Fit into the input, stack, move as bytes, normalise on the device."""
        contract, size = self._contract, self._target.image_size
        placements = tuple(place(Size(*image.shape[:2]), size, contract.fit) for image in images)
        resized = [contract.fed(*pair) for pair in zip(images, placements, strict=True)]
        on_gpu = self._device.type == "cuda"
        stacked = stack_images(resized, contract.mean, pin=on_gpu)
        pixels = stacked.to(self._device, non_blocking=on_gpu)
        return FittedBatch(self._normalise(pixels, channels_last=self._target.channels_last), placements)

    @torch.inference_mode()
    def infer(self, batch: FittedBatch) -> DeviceLogits:
        """Forward pass, or all that the target asks for, in its precision."""
        with devices.autocast(self._device, self._target.precision):
            if self._several_passes is None:
                logits = self._runtime(batch.pixels)
            else:
                logits = by_content(self._several_passes, batch.pixels, [p.input for p in batch.placements])
        return DeviceLogits(logits, Size(*batch.pixels.shape[-2:]), batch.placements)

    @torch.inference_mode()
    def postprocess(self, raw: DeviceLogits, sizes: Sequence[Size]) -> list[Prediction]:
        """Resize logits to the original size, name classes, move labels to the host, give them the task's form."""
        head = self._network.head
        maps: list[tuple[Tensor, ...]] = []
        unanswered: list[Unanswered] = []
        for logits, unseen in self._resized(raw, sizes):
            labels = head.labels(logits)
            maps.append((labels,) if self._task.kind not in _PARTS else (labels, head.probability(logits, labels)))
            unanswered.append(unseen)
        return [
            self._prediction(_void(labels, unseen), *probability)
            for stacked, unseen in zip(to_host(maps), unanswered, strict=True)
            for labels, *probability in zip(*stacked, strict=True)
        ]

    def _prediction(self, labels: LabelMap, probability: NDArray[np.float32] | None = None) -> Prediction:
        """Return class ids, (H, W), in the form of the task; objects need each pixel's probability too."""
        if probability is None:
            return SemanticMap(labels)
        return _PARTS[self._task.kind](labels, probability, self._task.classes, min_area=self._network.min_area)

    @torch.inference_mode()
    def probabilities(self, raw: DeviceLogits, sizes: Sequence[Size]) -> list[NDArray[np.floating]]:
        """Return the probabilities of all classes at the original size; 0 where the network did not look."""
        if self._task.kind != "semantic":
            raise Unsupported(
                f"{self._model.label} makes {self._task.kind} predictions; probabilities are of label maps"
            )
        found: list[NDArray[np.floating]] = []
        for logits, unseen in self._resized(raw, sizes):
            ((maps,),) = to_host([(self._network.head.class_probabilities(logits),)])
            found += list(maps if unseen is None else np.where(unseen, np.float32(0), maps))
        return found

    def _resized(self, raw: DeviceLogits, sizes: Sequence[Size]) -> Iterator[tuple[Tensor, Unanswered]]:
        """Yield logits at the original size, of all images together where they are alike, else of one after another."""
        alike = {*raw.placements} == {Placement(raw.input_size, raw.input_size)}
        if alike and len(set(sizes)) == 1:
            yield resize_logits(raw.logits, sizes[0]), None
            return
        logits = resize_logits(raw.logits, raw.input_size)
        for index, (placement, size) in enumerate(zip(raw.placements, sizes, strict=True)):
            own = logits[index : index + 1, :, : placement.input.height, : placement.input.width]
            yield resize_logits(unplaced(own, placement), size), placement.without_answer(size)

    @torch.inference_mode()
    def doubts(self, images: Sequence[RgbImage]) -> tuple[Flag, ...]:
        """Return whether images look to the network as those of its training did, and its outputs are what they are
        read as.

        See `adapters._torch.first_statistics` and `adapters._torch.output_values`.
        """
        batch = self.preprocess(images[:1])
        return (*self._doubts_of_input(batch.pixels), *self._doubts_of_output(batch), *self._runtime.doubts())

    def _doubts_of_output(self, batch: FittedBatch) -> tuple[Flag, ...]:
        head = self._network.head
        outputs = self.infer(batch).logits.float().cpu().numpy()
        found = contradiction(outputs, claimed=head.gives, sigmoid=head.is_sigmoid)
        if found is None:
            return ()
        other = "logits" if head.gives == "probabilities" else "probabilities"
        if found.is_certain:
            raise BenchError(
                f"{self._model.label}: {found.seen}, and its head reads {head.gives}; make it with gives='{other}'"
            )
        advice = f"the head reads {head.gives}; if the network ends with an activation, make it with gives='{other}'"
        return (Flag(name="outputs_unlike_head", seen=found.seen, advice=advice),)

    def _doubts_of_input(self, fed: Tensor) -> tuple[Flag, ...]:
        step = -1 if self._contract.channels == "bgr" else 1
        numbers = (self._contract.mean[::step], self._contract.std[::step])
        mean, std = (torch.tensor(one, device=fed.device).view(1, -1, 1, 1) for one in numbers)
        values = fed * std + mean  # of 0-1
        others = {
            "mean: 0, std: 1": values,
            "mean: 0.5, std: 0.5": (values - 0.5) / 0.5,
            "mean: 0, std: 1, scale: 255": values * 255,
        }
        if fed.shape[1] == 3:
            imagenet = Normalisation(IMAGENET.mean, IMAGENET.std, fed.device)
            bytes_of_it = (values * 255).permute(0, 2, 3, 1)
            others["ImageNet's mean and std"] = imagenet(bytes_of_it, channels_last=self._target.channels_last)
        with devices.autocast(self._device, self._target.precision):
            found = doubt(self._network.module, fed, others)
        if found is None:
            return ()
        advice = "say what the weights were trained with in the model's options, input: {mean, std, scale, channels}"
        return (Flag(name="input_unlike_training", seen=found, advice=advice),)

    def describe(self) -> dict[str, JsonValue]:
        """Return facts of the built network, and the rule by which its outputs name classes."""
        return {**super().describe(), "output_rule": self._network.head.rule}


def loaded_network(
    network: SemanticNetwork, model: ModelSpec, weights: Path | None
) -> tuple[SemanticNetwork, LoadedWeights | None]:
    """Return a fresh network with the weights of a file and the preprocessing they were trained with.

    What the model config's option `input` says comes first, then what the file says, then the network's own.
    """
    own = network.input
    loaded: LoadedWeights | None = None
    if weights is not None:
        key = model.options.get("weights_key")
        asked = key if isinstance(key, str) else None
        loaded = load_weights(network, weights, label=model.label, weights_key=asked)
        if network.head.threshold is not None:
            refuse_inverted(loaded, network.class_names, model.label)
        own = loaded.input or own
    options = input_options(model)
    if loaded is not None and not own.of_weights and (options is None or options.mean is None):
        numbers = [", ".join(f"{value:.4g}" for value in values) for values in (own.mean, own.std)]
        told = (
            f"the weights state no preprocessing: they are fed mean {numbers[0]} and std {numbers[1]} of 0 to 1 "
            f"({own.said_by}); if they were trained otherwise, say input: {{mean: […], std: […]}}"
        )
        loaded = replace(loaded, remarks=(*loaded.remarks, told))
    return replace(network, input=own.changed(options)), loaded


def seen_task(model: ModelSpec, task: TaskSpec, *, takes_bands: bool) -> TaskSpec:
    """Return the task with the channels that the network sees: one where its input is grey.

    Raises:
        Unsupported: If it has no network for grey images, or the images are not of colours.
    """
    options = input_options(model)
    if options is None or options.channels in (None, "rgb"):
        return task
    if task.channels != 3:
        raise Unsupported(
            f"{model.label}: input.channels: {options.channels} is made of RGB images; these have {task.channels} "
            "channels. Leave it out"
        )
    if options.channels == "bgr":
        return task
    if not takes_bands:
        raise Unsupported(f"{model.label} sees colours; leave 'channels: gray' out of its input")
    return task.model_copy(update={"channels": 1})


def unplaced(logits: Tensor, placement: Placement) -> Tensor:
    """Return logits (1, C, H, W) of the input as those of the resized image."""
    if placement.is_whole:
        return logits
    (above, below), (left, right) = placement.unseen
    shown = logits[..., placement.seen[0], placement.seen[1]]
    return (
        F.pad(shown.float(), (left, right, above, below), mode="replicate") if above + below + left + right else shown
    )


# --------------------------------------------------------------------------- logits to predictions


Unanswered: TypeAlias = NDArray[np.bool_] | None
"""Pixels of the one image of a batch, (H, W), that the network did not see; None if there are none."""


def _void(labels: NDArray[Any], unanswered: Unanswered) -> NDArray[Any]:
    return labels if unanswered is None else np.where(unanswered, np.uint8(IGNORE_LABEL), labels)


_PARTS: dict[TaskKind, Callable[..., Panoptic | Instances]] = {
    "panoptic": panoptic_from_labels,
    "instance": instances_from_labels,
}
"""Task kind -> the predictions that are made of a label map and its probabilities, beside the label map itself."""
