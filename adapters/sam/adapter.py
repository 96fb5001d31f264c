"""SAM and SAM 2 of transformers: a mask for each prompt, without classes.

* `preprocess` resizes and normalises as the models' own processors do. SAM: the longer side becomes
  the input size, the rest is zeros after normalisation. SAM 2: the image becomes the square.
* `infer` encodes the images of the batch at once, and decodes the prompts of one image after the other.
* `postprocess` chooses the mask, resizes its logits to the original size and cuts them at 0.

Boxes and points are handed on in pixels of the network's input; see `bench.records.prompts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import JsonValue
from torch import Tensor

from adapters._torch import device as devices
from adapters._torch.fitting import resized_image
from adapters._torch.images import Normalisation, resize_logits, scaled_size, to_host
from adapters._torch.input import IMAGENET
from adapters.sam.networks import make_network, sam_options
from adapters.sam.options import NO_GRAPH
from bench.adapter import Progress, PromptedImage, Prompts, TrainingData, TrainingResult
from bench.errors import BenchError, Unsupported
from bench.records import ModelSpec, Recipe, Size, Target, TaskSpec
from bench.records.predictions import Prediction, PromptedMasks, RgbImage

PROMPTS_AT_ONCE = 32
"""Prompts that are decoded, and masks that are resized, in one call: bounds the memory of crowded images."""


@dataclass(frozen=True)
class DevicePrompts:
    """The prompts of one image.

    Attributes:
        points, boxes: float32, (1, N, 1, 2) or (1, N, 4), in pixels of the network's input; the other
            is None.
    """

    points: Tensor | None
    boxes: Tensor | None

    def chunks(self) -> list[DevicePrompts]:
        """Yield prompts in groups of at most `PROMPTS_AT_ONCE`; none where there are no prompts."""
        given = self.points if self.points is not None else self.boxes
        assert given is not None
        groups = given.split(PROMPTS_AT_ONCE, dim=1) if given.shape[1] else ()
        return [DevicePrompts(g, None) if self.points is not None else DevicePrompts(None, g) for g in groups]


@dataclass(frozen=True)
class DeviceBatch:
    """The batch that `preprocess` hands to `infer`.

    Attributes:
        pixels: float32, (B, 3, S, S), on the device.
        content: Size of each image within it, from the top left.
    """

    pixels: Tensor
    content: tuple[Size, ...]
    prompts: tuple[DevicePrompts, ...]


@dataclass(frozen=True)
class DeviceMasks:
    """The raw output that `infer` hands to `postprocess`.

    Attributes:
        logits: Logits of each image, in groups of (N, M, h, w): M masks for each of N prompts.
        quality: Quality of each image's masks, in groups of (N, M): the network's own estimate of their IoU.
        content: Content as in `DeviceBatch`.
    """

    logits: tuple[tuple[Tensor, ...], ...]
    quality: tuple[tuple[Tensor, ...], ...]
    content: tuple[Size, ...]


class Adapter(devices.OnTorchDevice):
    """Networks of `adapters/sam/models`."""

    packages = ("torch", "transformers", "safetensors", "numpy", "opencv-python-headless")
    why_eager_alone = NO_GRAPH

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Build the network on the target's device; see `bench.adapter.Adapter.build`."""
        if task.kind != "prompted":
            raise Unsupported(
                f"{model.label} outlines what it is pointed to; it names no classes and has no {task.kind} prediction"
            )
        options = sam_options(model)
        side = options.input_size
        if target.image_size not in (None, Size(side, side)):
            raise Unsupported(
                f"{model.label} sees every image at {side} x {side}, not at {tuple(target.image_size or ())}; leave "
                "image_size out of the target, or set the option input_size"
            )
        if target.window is not None or target.test_time is not None:
            raise Unsupported(f"{model.label} makes one forward pass; it has none over windows and none for test_time")
        self._model = model
        self.open(target)
        with devices.seeded(devices.UNTRAINED_SEED):
            self._network = make_network(model, weights)
        self.ready(self._network.module)
        # SAM's longer side becomes the square's, SAM 2 is stretched to it.
        own = replace(IMAGENET, fit="stretch" if self._network.family == "sam2" else "letterbox", size=Size(side, side))
        self._contract = replace(own, said_by="its authors'", says_fit=True).changed(options.input)
        contract = self._contract
        self._normalise = Normalisation(contract.mean, contract.std, self._device, contract.channels)
        point = model.prompt != "box"
        self._several = options.masks == "best_of_three" or (options.masks == "by_prompt" and point)

    def train(self, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
        """Refuse: these networks are used as they are."""
        raise Unsupported(
            f"{self._model.label} is not trained here: it took its authors millions of images and a data engine; give "
            "'weights', a folder with config.json and model.safetensors"
        )

    @torch.inference_mode()
    def preprocess(self, images: Sequence[RgbImage]) -> DeviceBatch:
        """Resize, move as bytes, normalise on the device; prompts to pixels of the network's input."""
        side = self._network.input_size
        content = tuple(self._content(Size(*image.shape[:2])) for image in images)
        on_gpu = self._device.type == "cuda"
        stacked = torch.zeros((len(images), side, side, 3), dtype=torch.uint8, pin_memory=on_gpu)
        for row, image, size in zip(stacked.numpy(), images, content, strict=True):
            row[: size.height, : size.width] = resized_image(image, size, self._contract.interpolation)
        pixels = self._normalise(
            stacked.to(self._device, non_blocking=on_gpu), channels_last=self._target.channels_last
        )
        for plane, size in zip(pixels, content, strict=True):
            plane[:, size.height :] = 0
            plane[:, :, size.width :] = 0
        prompts = tuple(self._prompts(image, size) for image, size in zip(images, content, strict=True))
        return DeviceBatch(pixels, content, prompts)

    def _content(self, size: Size) -> Size:
        """Return the size of an image within the network's input."""
        side = self._network.input_size
        if self._network.family == "sam2":
            return Size(side, side)
        return scaled_size(size, None, side)

    def _prompts(self, image: RgbImage, content: Size) -> DevicePrompts:
        if not isinstance(image, PromptedImage):
            raise BenchError(f"{self._model.label} was handed an image without prompts; its suite needs task: prompted")
        scaled = torch.from_numpy(_scaled(image.prompts, Size(*image.shape[:2]), content)).to(self._device)[None]
        if image.prompts.kind == "box":
            return DevicePrompts(None, scaled)
        return DevicePrompts(scaled[:, :, None], None)

    @torch.inference_mode()
    def infer(self, batch: DeviceBatch) -> DeviceMasks:
        """Encode the images, decode their prompts, in the target's precision."""
        logits, quality = [], []
        with devices.autocast(self._device, self._target.precision):
            module: Any = self._network.module  # of either family; both give embeddings
            embeddings = module.get_image_embeddings(batch.pixels)
            for index, prompts in enumerate(batch.prompts):
                found = [self._decoded(_of_image(embeddings, index), chunk) for chunk in prompts.chunks()]
                logits.append(tuple(output.pred_masks[0] for output in found))
                quality.append(tuple(output.iou_scores[0] for output in found))
        return DeviceMasks(tuple(logits), tuple(quality), batch.content)

    def _decoded(self, embeddings: Any, prompts: DevicePrompts) -> Any:
        labels = None if prompts.points is None else torch.ones_like(prompts.points[..., 0], dtype=torch.int64)
        return self._network.module(
            image_embeddings=embeddings,
            input_points=prompts.points,
            input_labels=labels,
            input_boxes=prompts.boxes,
            multimask_output=self._several,
        )

    @torch.inference_mode()
    def postprocess(self, raw: DeviceMasks, sizes: Sequence[Size]) -> list[Prediction]:
        """Choose the surest mask of each prompt, resize its logits to the original size, cut at 0."""
        rows = [self._masks(*each) for each in zip(raw.logits, raw.quality, raw.content, sizes, strict=True)]
        return [PromptedMasks(masks, scores) for masks, scores in to_host(rows)]

    def _masks(
        self, logits: Sequence[Tensor], quality: Sequence[Tensor], content: Size, size: Size
    ) -> tuple[Tensor, Tensor]:
        """Return masks, bool (N, H, W), and their scores, float64 (N,), of the prompts of an image."""
        masks = [torch.zeros((0, *size), dtype=torch.bool, device=self._device)]
        scores = [torch.zeros(0, dtype=torch.float64, device=self._device)]
        for group, estimates in zip(logits, quality, strict=True):
            surest = estimates.argmax(dim=1)
            rows = torch.arange(len(surest), device=surest.device)
            # In two steps, as the models' own processors: to the network's input, then without its padding.
            side = self._network.input_size
            whole = group[rows, surest][None]
            if content != (side, side):
                whole = resize_logits(whole, Size(side, side))[..., : content.height, : content.width]
            masks.append(resize_logits(whole, size)[0] > 0)
            scores.append(estimates[rows, surest].double().clamp(0, 1))
        return torch.cat(masks), torch.cat(scores)

    def describe(self) -> dict[str, JsonValue]:
        """Return facts of the built network."""
        facts = devices.describe(self._network.module, self._device)
        return {**facts, "input_contract": self._contract.as_json()}


def _scaled(prompts: Prompts, size: Size, content: Size) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return prompts in pixels of the network's input, (N, 2) or (N, 4), as the models' own processors scale them."""
    factors = np.array([content.width / size.width, content.height / size.height])
    return np.asarray(prompts.xy * np.tile(factors, prompts.xy.shape[1] // 2), dtype=np.float32)


def _of_image(embeddings: Any, index: int) -> Any:
    """Return the embeddings of one image: SAM has one tensor, SAM 2 a list of levels."""
    if isinstance(embeddings, Tensor):
        return embeddings[index : index + 1]
    return [level[index : index + 1] for level in embeddings]
