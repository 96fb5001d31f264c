"""The contract of `bench.adapter` for torchvision's Mask R-CNN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torchvision.models.detection.image_list import ImageList

from adapters._torch import device as devices
from adapters._torch.fitting import Placement, place
from adapters._torch.images import move_images
from adapters._torch.input import IMAGENET, refuse_other_training, sized
from adapters._torch.options import read_options
from adapters._torch.tta import refuse_objects_in_several_passes
from adapters._torch.weights import load_weights
from adapters.torchvision.mask_rcnn import MaskRCNNNetwork, make_mask_rcnn
from adapters.torchvision.options import NO_GRAPH, MaskRCNNOptions
from adapters.torchvision.stages import Fields, detections, instances, network_input
from bench.adapter import Progress, TrainingData, TrainingResult
from bench.errors import Unsupported
from bench.records import ModelSpec, Precision, Recipe, Runtime, Size, Target, TaskSpec
from bench.records.predictions import Prediction, RgbImage


@dataclass(frozen=True)
class FittedImages:
    """Hold what `preprocess` hands to `infer`: normalised images, and where in its input each of them lies."""

    images: ImageList
    placements: tuple[Placement, ...]


@dataclass(frozen=True)
class FoundFields:
    """Hold what `infer` hands to `postprocess`: what was found in each image, in pixels of its input."""

    fields: list[Fields]
    batch: FittedImages


class DetectionAdapter(devices.OnTorchDevice):
    """Mask R-CNN; see `adapters.torchvision.stages` for where a pass is cut."""

    _network: MaskRCNNNetwork

    packages = ("torch", "torchvision", "lightning", "numpy", "opencv-python-headless")

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Build the network on the target's device; see `bench.adapter.Adapter.build`."""
        self._options = read_options(MaskRCNNOptions, model)
        if task.kind != "instance" or model.task != "instance":
            raise Unsupported(f"{model.label} finds instances; it has no {task.kind} prediction")
        if not any(spec.is_thing for spec in task.classes):
            raise Unsupported(f"{model.label} finds things; this label space has none")
        refuse_objects_in_several_passes(target, model.label)
        if target.runtime != "eager":
            raise Unsupported(f"{model.label} has no runtime {target.runtime}: {NO_GRAPH}; use runtime eager")
        self._model, self._task, self._weights = model, task, weights
        self._contract = replace(IMAGENET, said_by="torchvision's own").changed(self._options.input)
        refuse_other_training(self._options.input, model.label, training_follows=self.training_follows)
        sized(target, self._contract, model.label)  # refuses before anything is built
        self.open(target)
        self._network = self._fresh_network(devices.UNTRAINED_SEED)
        self._target = sized(target, self._contract, model.label)
        self.ready(self._network.module)

    def check_precision(self, device: torch.device, precision: Precision, runtime: Runtime = "eager") -> None:
        """Refuse arithmetic that the device, or an operator of torchvision on it, does not have."""
        super().check_precision(device, precision, runtime)
        if device.type == "cpu" and precision != "fp32":
            raise Unsupported(f"{precision} on a CPU: RoIAlign and NMS of torchvision have no such kernels; use fp32")

    def _fresh_network(self, seed: int) -> MaskRCNNNetwork:
        with devices.seeded(seed, drawn=self._weights is None):
            network = make_mask_rcnn(self._model, self._task)
        self._loaded = None
        if self._weights is not None:
            key = self._options.weights_key
            self._loaded = load_weights(network, self._weights, label=self._model.label, weights_key=key)
            if self._loaded.input is not None:
                self._contract = self._loaded.input.changed(self._options.input)
        step = -1 if self._contract.channels == "bgr" else 1
        transform: Any = network.module.transform
        transform.image_mean, transform.image_std = (
            list(values[::step]) for values in (self._contract.mean, self._contract.std)
        )
        return network

    def train(self, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
        """Train a fresh network of the built kind, from the built weights if there were any."""
        # Imported here: Lightning takes seconds to import, and only a training needs it.
        from adapters.torchvision.training import fit

        self.check_precision(devices.open_device(recipe.device), recipe.precision)
        return fit(self._fresh_network(recipe.seed), self._options, data, recipe, out, progress)

    @torch.inference_mode()
    def preprocess(self, images: Sequence[RgbImage]) -> FittedImages:
        """Move as bytes, then scale, normalise, resize and pad on the device.

        With an `image_size` in the target images are resized as for every other network; without
        one as torchvision does it, by `short_edge`. Images of different sizes in one batch are
        padded at the bottom and on the right, which can change predictions against a batch of one.
        """
        size, contract = self._target.image_size, self._contract
        placements = tuple(place(Size(*image.shape[:2]), size, contract.fit) for image in images)
        resized = [contract.fed(*pair) for pair in zip(images, placements, strict=True)]
        pixels = [
            image.flip(0) if contract.channels == "bgr" else image for image in move_images(resized, self._device)
        ]
        on_device = [image.float().div_(255) for image in pixels]
        resize = size is None and self._options.short_edge is not None
        batch, _ = network_input(self._network.module, on_device, resize=resize)
        tensors = batch.tensors.contiguous(memory_format=self._memory_format)
        return FittedImages(ImageList(tensors, batch.image_sizes), placements)

    @torch.inference_mode()
    def infer(self, batch: FittedImages) -> FoundFields:
        """Backbone, proposals and heads, the NMS of boxes included, in the target's precision."""
        with devices.autocast(self._device, self._target.precision):
            return FoundFields(detections(self._network.module, batch.images), batch)

    @torch.inference_mode()
    def postprocess(self, raw: FoundFields, sizes: Sequence[Size]) -> list[Prediction]:
        """Paste masks at the original size and move them to the host."""
        found, shown = [], []
        for fields, placement, size in zip(raw.fields, raw.batch.placements, raw.batch.images.image_sizes, strict=True):
            if placement.is_whole:
                found.append(fields)
                shown.append(size)
                continue
            # In pixels of the resized image, which may begin within the input or before it.
            offset = fields["boxes"].new_tensor([placement.left, placement.top] * 2)
            found.append({**fields, "boxes": fields["boxes"] - offset})
            shown.append(tuple(placement.scaled))
        return list(instances(self._network.module, found, shown, sizes, self._network.things))
