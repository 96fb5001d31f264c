"""Detectron2 behind the common contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from detectron2.structures import ImageList

from adapters._torch import device as devices
from adapters._torch.semantic import UNTRAINED_SEED, SemanticAdapter
from adapters._torch.weights import load_weights
from adapters.detectron2 import COMPILED
from adapters.detectron2.framework import framework_versions
from adapters.detectron2.network import DetectronNetwork, make_network
from adapters.detectron2.sizing import as_channels, sized_image
from adapters.detectron2.stages import RawOutput, forward, predictions, to_device
from adapters.detectron2.zoo_weights import load_zoo_weights
from bench.adapter import Progress, TrainingData, TrainingResult
from bench.errors import BenchError
from bench.predictions import Prediction, RgbImage
from bench.records import ModelSpec, Recipe, Size, Target, TaskSpec

OUR_SUFFIX = ".pt"
"""Of weight files that a training here writes; those of Detectron2 end in `.pth` or `.pkl`."""


class Adapter(SemanticAdapter):
    """Networks of Detectron2 for all three tasks; devices and facts as for other torch networks.

    Stages are cut as `adapters.detectron2.stages` says: box NMS is part of `infer`, pasting masks
    at the original size is part of `postprocess`.
    """

    def __init__(self) -> None:
        super().__init__(make_network, packages=["torchvision", "fvcore"])

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Build the network on the target's device; see `bench.adapter.Adapter.build`."""
        self._model, self._task, self._target, self._weights = model, task, target, weights
        self._device = devices.open_device(target.device)
        devices.check_precision(self._device, target.precision)
        devices.set_threads(target.threads)
        devices.apply_settings(
            target.precision, cudnn_benchmark=target.cudnn_benchmark, deterministic=target.deterministic
        )
        self._network = self._fresh_network(UNTRAINED_SEED)
        layout = torch.channels_last if target.channels_last else torch.contiguous_format
        self._network.module.to(self._device).to(memory_format=layout).eval()

    def _fresh_network(self, seed: int) -> DetectronNetwork:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = make_network(self._model, self._task)
        self._not_loaded: list[str] = []
        source = self._weights if self._weights is not None else self._model.weights
        if isinstance(source, Path) and source.suffix == OUR_SUFFIX:
            load_weights(network, source, label=self._model.label)
        elif source is not None:
            self._not_loaded = load_zoo_weights(network.module, str(source), label=self._model.label)
        return network

    def train(self, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
        """Train a fresh network of the built kind, from the built weights if there were any.

        The built network stays as it is; build again with the result's weights to predict.
        """
        # Imported here: Detectron2's engine takes seconds to import, and only a training needs it.
        from adapters.detectron2.training import fit

        return fit(self._fresh_network(recipe.seed), data, recipe, out, progress)

    @torch.inference_mode()
    def preprocess(self, images: Sequence[RgbImage]) -> ImageList:
        """Resize, order channels, move as bytes, normalise and pad on the device."""
        if self._not_loaded:
            raise BenchError(
                f"{self._model.label}: {self._weights or self._model.weights} has no weights that fit "
                f"{', '.join(self._not_loaded[:3])}"
                f"{' and others' if len(self._not_loaded) > 3 else ''}. "
                "Train the model on this data set, or give weights with its classes."
            )
        network = self._network
        sized = [sized_image(image, self._target.image_size, network.options) for image in images]
        ordered = [as_channels(image, network.cfg.INPUT.FORMAT) for image in sized]
        return to_device(network, ordered, self._device, channels_last=self._target.channels_last)

    @torch.inference_mode()
    def infer(self, batch: ImageList) -> RawOutput:
        """Backbone and heads, with box NMS where there are boxes, in the target's precision."""
        with devices.autocast(self._device, self._target.precision):
            return forward(self._network, batch)

    @torch.inference_mode()
    def postprocess(self, raw: RawOutput, sizes: Sequence[Size]) -> list[Prediction]:
        """Resize logits, paste masks, combine them, and move the result to the host."""
        return predictions(self._network, raw, sizes)

    def versions(self) -> dict[str, str]:
        """Versions of torch, of what it computes with, and which Detectron2 this is."""
        found = super().versions()
        del found["lightning"]  # Detectron2's own trainer trains these networks
        return found | framework_versions(compiled=COMPILED)
