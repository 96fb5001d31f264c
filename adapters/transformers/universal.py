"""The contract of `bench.adapter` for networks of transformers that classify masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from adapters._torch import device as devices
from adapters._torch.fitting import Placement, place
from adapters._torch.images import Normalisation, resize_logits, scaled_size, stack_images, to_host
from adapters._torch.input import IMAGENET, InputContract, refuse_other_training, sized
from adapters._torch.network import head_of
from adapters._torch.options import read_options
from adapters._torch.runtimes.onnx_export import TRIAL
from adapters._torch.runtimes.runtime import RUNTIMES, Pass, Runtime, fixed_size, open_runtime
from adapters._torch.semantic import FittedBatch, unplaced
from adapters._torch.tta import Forward, augmented, by_content, refuse_objects_in_several_passes, windowed
from adapters._torch.weights import load_weights
from adapters.transformers.classes import Classes
from adapters.transformers.masks import INFERENCES, ClassifiedMasks, at_original_size, class_scores, label_map
from adapters.transformers.networks import (
    COARSEST_GRID,
    MaskClassifier,
    UniversalNetwork,
    make_network,
)
from adapters.transformers.options import FIXED_LEVELS, UniversalOptions
from adapters.transformers.published import processor_beside, refuse_other_config
from adapters.transformers.rf_detr import BoxedMasks
from adapters.transformers.rf_detr import instances as boxed_instances
from bench.adapter import Progress, TrainingData, TrainingResult
from bench.errors import BenchError, Unsupported
from bench.records import EXPORTED_RUNTIMES, IGNORE_LABEL, ModelSpec, Recipe, Size, Target, TaskSpec
from bench.records.predictions import Prediction, RgbImage, SemanticMap

UNSEEN = -1e4
"""Logit of a mask where the input did not show the image."""


@dataclass(frozen=True)
class RawOutput:
    """The raw output that `infer` hands to `postprocess`.

    Attributes:
        masks: Classified masks of the batch; None where a target asks for several passes.
        scores: Scores of the classes, (B, K, H, W) at the size of the padded input; None after one pass.
        padded: Size of the batch's pixels.
        placements: Placement of each image, as in `FittedBatch`.
    """

    masks: ClassifiedMasks | None
    scores: Tensor | None
    padded: Size
    placements: tuple[Placement, ...]


class ClassesAndMasks(nn.Module):
    """The network for a runtime, which knows tensors and tuples of them alone."""

    def __init__(self, module: MaskClassifier | BoxedMasks) -> None:
        super().__init__()
        self.module = module

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the fields of `ClassifiedMasks`."""
        found: ClassifiedMasks = self.module(pixels)
        return found.classes, found.masks


class UniversalAdapter(devices.OnTorchDevice):
    """Mask2Former, MaskFormer, OneFormer, both kinds of EoMT, and RF-DETR."""

    runtimes = RUNTIMES
    _runtime: Runtime
    _network: UniversalNetwork
    packages = ("torch", "transformers", "lightning", "numpy", "scipy", "opencv-python-headless")

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Build the network on the target's device; see `bench.adapter.Adapter.build`."""
        self._options = read_options(UniversalOptions, model)
        if task.kind != model.task:
            raise Unsupported(f"{model.label} makes {model.task} predictions; it has no {task.kind} prediction")
        if task.kind == "semantic":
            head_of("softmax", None, task)  # refuses label spaces that a label map cannot hold
        else:
            refuse_objects_in_several_passes(target, model.label)
        self._classes = Classes.of(task, model.label)
        self._model, self._task, self._weights = model, task, weights
        self._contract = self._stated_input(None).changed(self._options.input)
        refuse_other_training(self._options.input, model.label, training_follows=self.training_follows)
        sized(target, self._contract, model.label)  # refuses before anything is built
        self.open(target)
        self._network = self._fresh_network(devices.UNTRAINED_SEED)
        read = None if self._loaded is None else self._loaded.input
        self._contract = self._stated_input(read).changed(self._options.input)
        self._target = target = sized(target, self._contract, model.label)
        if self._network.unfit is not None and not self.training_follows:
            raise BenchError(self._network.unfit)
        self._classes = self._network.classes
        self._check_sizes()
        self.ready(self._network.module)
        contract = self._contract
        self._normalise = Normalisation(contract.mean, contract.std, self._device, contract.channels)
        self._several_passes: Forward | None = None
        self._runtime = self._opened_runtime()
        self._several_passes = self._target_passes()

    def _stated_input(self, read: InputContract | None) -> InputContract:
        """Return the preprocessing that was read in the weights or stands beside them, but its size, else ImageNet's.

        How the size of an image is chosen is the options' matter: `short_edge`, `max_size` and `canvas`.
        """
        options, beside = self._options, processor_beside(self._options.pretrained, self._model.weights)
        asked = None if beside is None else beside.short_edge
        self._sizing = options.short_edge, options.max_size
        if asked is not None and options.short_edge is None:
            self._sizing = asked[0], asked[1] or options.max_size
        said = read or (None if beside is None else beside.contract)
        if said is None:
            return replace(IMAGENET, said_by="ImageNet's, as their authors'")
        by = said.said_by if read is not None or beside is None else beside.name
        if asked is not None and asked[0] != self._sizing[0]:
            by += f" (which asks for a short side of {asked[0]} pixels)"
        return replace(said, size=None, fit="stretch", interpolation="auto", says_fit=False, said_by=by)

    def _fresh_network(self, seed: int) -> UniversalNetwork:
        load = self._weights is None
        with devices.seeded(seed, drawn=self._weights is None):
            network = make_network(self._options, self._classes, self._task.kind, load=load, model=self._model)
        if self._weights is not None:
            key = self._options.weights_key
            refuse_other_config(network.module.module.config, self._model.weights, self._model.label)
            self._loaded = load_weights(network, self._weights, label=self._model.label, weights_key=key)
        else:
            self._loaded = network.loaded
        return network

    def _opened_runtime(self) -> Runtime:
        network, tokens = self._network, self._network.module.task_tokens
        size = fixed_size(self._target)
        if size is None and self._options.architecture in FIXED_LEVELS and self._target.runtime in EXPORTED_RUNTIMES:
            raise Unsupported(
                f"{self._model.label}: an export takes the sizes of its feature maps for constants, so that it answers "
                "inputs of one size alone; give the target an image_size, or use runtime eager"
            )
        architecture = {**network.architecture, "tokens": None if tokens is None else tokens.tolist()}
        whole = Pass(
            module=ClassesAndMasks(network.module),
            architecture=architecture,
            size=network.padded_size(size or TRIAL) if size is not None or network.canvas is not None else None,
            multiple=COARSEST_GRID if network.canvas is None else 1,
            outputs=("classes", "masks"),
            calibration=tuple(self.preprocess([image]).pixels for image in self._calibration),
        )
        return open_runtime(whole, self._target, self._device)

    def _check_sizes(self) -> None:
        target, label = self._target, self._model.label
        if target.image_size is not None and target.window is None:
            self._network.check_fits(target.image_size, "the target's 'image_size'", label)
        if target.window is not None:
            self._network.check_fits(target.window.size, "the target's 'window'", label)
        scaled = target.test_time is not None and max(target.test_time.scales) > 1
        if self._network.canvas is not None and scaled and target.window is None:
            raise Unsupported(
                f"{label} sees {self._network.canvas} x {self._network.canvas} pixels, which enlarged copies would not "
                "fit; leave scales above 1 out of the target's 'test_time', or give it a 'window'"
            )

    def _target_passes(self) -> Forward | None:
        """Scores of classes (B, K, H, W) from several passes, or None where the target wants one.

        Scores of windows are averaged as the official code of semantic segmentation does; those of
        changed copies as probabilities, which is why they are passed as logarithms.
        """
        target = self._target
        if target.window is None and target.test_time is None:
            return None
        forward: Forward = self._class_scores
        if target.window is not None:
            forward = windowed(forward, target.window)
        if target.test_time is None:
            return forward
        scores, tiny = forward, torch.finfo(torch.float32).tiny
        return augmented(lambda pixels: scores(pixels).clamp(min=tiny).log(), target.test_time)

    def _class_scores(self, pixels: Tensor) -> Tensor:
        padded = self._network.padded(pixels)
        found = ClassifiedMasks(*self._runtime(padded))
        masks = resize_logits(found.masks.float(), Size(*padded.shape[-2:]))
        return class_scores(ClassifiedMasks(found.classes, masks[..., : pixels.shape[-2], : pixels.shape[-1]]))

    def train(self, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
        """Train a fresh network of the built kind, from the built weights if there were any."""
        # Imported here: Lightning takes seconds to import, and only a training needs it.
        from adapters.transformers.training import fit

        network = self._fresh_network(recipe.seed)
        if recipe.image_size is not None:
            network.check_fits(recipe.image_size, "the recipe's 'image_size'", self._model.label)

        if recipe.random_crop is not None:
            network.check_fits(recipe.random_crop, "the recipe's 'random_crop'", self._model.label)

        def size_of(size: Size) -> Size | None:
            return recipe.image_size or self._own_size(size)

        return fit(network, self._options, size_of, data, recipe, out, progress)

    def _own_size(self, size: Size) -> Size | None:
        """The network's size of an image where none is asked for; None keeps the image's."""
        if self._network.canvas is not None and self._network.stretches:
            return Size(self._network.canvas, self._network.canvas)
        if self._network.canvas is not None:
            return scaled_size(size, None, self._network.canvas)
        short_edge, longest = self._sizing
        return None if short_edge is None else scaled_size(size, short_edge, longest)

    def _input_size(self, size: Size) -> Size | None:
        if self._target.image_size is not None or (self._target.window is not None and self._network.canvas):
            return self._target.image_size
        return self._own_size(size)

    @torch.inference_mode()
    def preprocess(self, images: Sequence[RgbImage]) -> FittedBatch:
        """Resize, stack, move as bytes, normalise and pad on the device.

        Images of different sizes in one batch are padded to the largest, which can change
        predictions against a batch of one.
        """
        contract, sizes = self._contract, [Size(*image.shape[:2]) for image in images]
        placements = tuple(place(size, self._input_size(size), contract.fit) for size in sizes)
        if self._network.stretches and contract.interpolation == "auto" and all(p.is_whole for p in placements):
            return FittedBatch(self._stretched(images, placements), placements)
        resized = [contract.fed(*pair) for pair in zip(images, placements, strict=True)]
        on_gpu = self._device.type == "cuda"
        stacked = stack_images(resized, contract.mean, pin=on_gpu).to(self._device, non_blocking=on_gpu)
        pixels = self._normalise(stacked, channels_last=self._target.channels_last)
        if self._several_passes is None:
            pixels = self._network.padded(pixels)
        return FittedBatch(pixels, placements)

    def _stretched(self, images: Sequence[RgbImage], placements: Sequence[Placement]) -> Tensor:
        """Normalise images at their own sizes, then interpolate: as RF-DETR's own processor, which rounds nothing."""
        rows = []
        for image, placement in zip(images, placements, strict=True):
            pixels = self._normalise(stack_images([image], self._contract.mean).to(self._device), channels_last=False)
            rows.append(F.interpolate(pixels, size=tuple(placement.input), mode="bilinear", align_corners=False))
        layout = torch.channels_last if self._target.channels_last else torch.contiguous_format
        return self._network.padded(torch.cat(rows)).contiguous(memory_format=layout)

    @torch.inference_mode()
    def infer(self, batch: FittedBatch) -> RawOutput:
        """Forward pass, or all that the target asks for, in its precision."""
        masks = scores = None
        with devices.autocast(self._device, self._target.precision):
            if self._several_passes is None:
                masks = ClassifiedMasks(*self._runtime(batch.pixels))
            else:
                scores = by_content(self._several_passes, batch.pixels, [p.input for p in batch.placements])
        return RawOutput(masks, scores, Size(*batch.pixels.shape[-2:]), batch.placements)

    @torch.inference_mode()
    def postprocess(self, raw: RawOutput, sizes: Sequence[Size]) -> list[Prediction]:
        """Bring masks to the original size, then make the task's predictions of them; move to the host."""
        if raw.scores is not None:
            maps = to_host([(label_map(scores),) for scores in self._scores_at_images(raw.scores, raw, sizes)])
            found: Sequence[Prediction] = [SemanticMap(labels) for (labels,) in maps]
        else:
            assert raw.masks is not None  # one of the two is there

            def at_image(place: int, masks: Tensor) -> Tensor:
                return self._masks(masks, raw.padded, raw.placements[place], sizes[place])

            inference = boxed_instances if self._network.stretches else INFERENCES[self._task.kind]
            found = inference(raw.masks, at_image, self._classes, self._options)
        unseen = [placement.without_answer(size) for placement, size in zip(raw.placements, sizes, strict=True)]
        return [_without(one, pixels) for one, pixels in zip(found, unseen, strict=True)]

    def _scores_at_images(self, scores: Tensor, raw: RawOutput, sizes: Sequence[Size]) -> Iterator[Tensor]:
        """Yield scores of classes, (K, H, W) at the size of each image, from those of the padded batch."""
        for own, placement, size in zip(scores.split(1), raw.placements, sizes, strict=True):
            shown = own[..., : placement.input.height, : placement.input.width]
            yield resize_logits(unplaced(shown.float(), placement), size)[0]

    @torch.inference_mode()
    def probabilities(self, raw: RawOutput, sizes: Sequence[Size]) -> list[NDArray[np.floating]]:
        """Return the scores of the classes at the original size as shares of their sum; 0 where nothing was looked at.

        A mask classifier gives a class the sum over its queries of class times mask probability, which is no
        probability; its share of all classes is one, names the same class, and is what test-time augmentation averages.
        """
        if self._task.kind != "semantic":
            raise Unsupported(f"{self._model.label} finds objects; probabilities are of networks that label pixels")
        found: list[NDArray[np.floating]] = []
        for scores, placement, size in zip(self._class_scores_of(raw, sizes), raw.placements, sizes, strict=True):
            shares = (scores / scores.sum(dim=0).clamp(min=torch.finfo(scores.dtype).tiny)).cpu().numpy()
            unanswered = placement.without_answer(size)
            found.append(shares if unanswered is None else np.where(unanswered, np.float32(0), shares))
        return found

    def _class_scores_of(self, raw: RawOutput, sizes: Sequence[Size]) -> Iterator[Tensor]:
        """Yield scores of classes above 0, (K, H, W) at the size of each image."""
        if raw.scores is not None:
            are_logarithms = self._target.test_time is not None
            for scores in self._scores_at_images(raw.scores, raw, sizes):
                yield scores.softmax(dim=0) if are_logarithms else scores
            return
        assert raw.masks is not None  # one of the two is there
        for index, size in enumerate(sizes):
            masks = self._masks(raw.masks.masks[index], raw.padded, raw.placements[index], size)
            yield class_scores(ClassifiedMasks(raw.masks.classes[index], masks))

    def _masks(self, masks: Tensor, padded: Size, placement: Placement, size: Size) -> Tensor:
        """Mask logits (Q, h, w) of the padded input as those of the image; where it was not shown, `UNSEEN`."""
        if placement.is_whole and self._network.stretches and placement.input == padded:
            # Straight to the size of the image, as RF-DETR's own processor does.
            return resize_logits(masks.float()[None], size)[0]
        if placement.is_whole:
            return at_original_size(masks, padded=padded, content=placement.input, size=size)
        at_input = at_original_size(masks, padded=padded, content=placement.input, size=placement.input)
        at_image = resize_logits(unplaced(at_input[None].float(), placement), size)[0]
        unanswered = placement.without_answer(size)
        if unanswered is not None:
            at_image[:, torch.from_numpy(unanswered).to(at_image.device)] = UNSEEN
        return at_image


def _without(found: Prediction, unanswered: NDArray[np.bool_] | None) -> Prediction:
    """Return a label map with void where the input did not show the image; other predictions as they are."""
    if unanswered is None or not isinstance(found, SemanticMap):
        return found
    return SemanticMap(np.where(unanswered, np.uint8(IGNORE_LABEL), found.labels))
