"""Ultralytics' YOLO networks behind the common contract; see `adapters.ultralytics.stages` for where a pass is cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue

from adapters._torch import device as devices
from adapters._torch.runtimes.runtime import RUNTIMES, Runtime, open_runtime
from adapters._torch.tta import refuse_objects_in_several_passes
from adapters.ultralytics.network import (
    YoloNetwork,
    contract_of,
    load_for_prediction,
    load_for_training,
    make_network,
    normalised,
    options_of,
)
from adapters.ultralytics.options import InstanceOptions
from bench.adapter import Progress, TrainingData, TrainingResult
from bench.errors import BenchError, Unsupported
from bench.records import ModelSpec, Recipe, Size, Target, TaskSpec
from bench.records.predictions import Prediction, RgbImage


class Adapter(devices.OnTorchDevice):
    """Networks of `adapters/ultralytics/models`, from the framework's YAML files."""

    runtimes = RUNTIMES
    _runtime: Runtime
    packages = ("torch", "torchvision", "ultralytics", "numpy", "opencv-python", "opencv-python-headless")
    imported_to_build = ("adapters.ultralytics.stages",)
    imported_to_train = ("adapters.ultralytics.training",)

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Build the network on the target's device; see `bench.adapter.Adapter.build`."""
        if task.kind != model.task:
            raise Unsupported(f"{model.label} predicts {model.task} masks; it has no {task.kind} prediction")
        if task.kind != "semantic":
            refuse_objects_in_several_passes(target, model.label)
        if weights is None and model.weights is not None:
            raise BenchError(
                f"{model.label}: nothing is fetched from {model.weights!r}; download the file yourself and set "
                "'weights' to where it lies"
            )
        self._model, self._task, self._weights = model, task, weights
        if self.training_follows and options_of(model).input is not None:
            raise Unsupported(
                f"{model.label}: the framework's trainer feeds 0 to 1, RGB, and follows no option 'input'; leave it out"
            )
        self.check_precision(devices.open_device(target.device), target.precision, target.runtime)
        if weights is not None and not self.training_follows:
            network = load_for_prediction(model, task, weights, seed=devices.UNTRAINED_SEED)
        else:
            network = make_network(model, task, seed=devices.UNTRAINED_SEED)
            if weights is not None:
                load_for_training(network, weights, model)
        self.open(target)  # after the framework's import, which sets threads of its own
        self._make_ready(network)

    def _make_ready(self, network: YoloNetwork) -> None:
        """Choose the head, fold normalisation into the convolutions, move to the device, open the runtime."""
        # Imported here: it imports the framework, which takes seconds and must come in by `environment`.
        from adapters.ultralytics import stages

        self._cut = stages
        self._trained_size, self._loaded = network.trained_size, network.loaded
        self._contract = contract_of(network)
        module: Any = network.module.eval()
        self._facts = devices.describe(module, self._device)
        self._options = options = network.options
        if isinstance(options, InstanceOptions):
            module.end2end = not options.nms
            module.set_head_attr(max_det=options.max_det)
        module.fuse(verbose=False)
        self._module = module.requires_grad_(False)
        self.ready(self._module)
        if isinstance(options, InstanceOptions):
            self._stages: Any = stages.InstanceStages(network, end2end=not options.nms)
        else:
            self._stages = stages.SemanticStages(network, self._target, len(self._task.classes))
        whole = stages.whole_pass(network, self._module, self._target, self._calibration_pixels())
        self._runtime = open_runtime(whole, self._target, self._device)

    def _calibration_pixels(self) -> tuple[torch.Tensor, ...]:
        return tuple(self.preprocess([image]).pixels for image in self._calibration)

    def train(self, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
        """Train a fresh network, from the built weights if there were any, by the framework's trainer."""
        # Imported here: the framework's trainers take seconds to import, and only a training needs them.
        from adapters.ultralytics.training import fit

        network = make_network(self._model, self._task, seed=recipe.seed)
        if self._weights is not None:
            load_for_training(network, self._weights, self._model)
        return fit(network, data, recipe, out, progress)

    @torch.inference_mode()
    def preprocess(self, images: Sequence[RgbImage]) -> Any:
        """Letterbox, stack, move as bytes, scale to 0-1 on the device."""
        size, layout = self._target.image_size or self._contract.size, self._target.channels_last
        trained = self._trained_size
        batch = self._cut.letterboxed(images, size, self._device, channels_last=layout, trained_size=trained)
        return replace(batch, pixels=normalised(batch.pixels, self._contract))

    @torch.inference_mode()
    def infer(self, batch: Any) -> Any:
        """Forward pass, or all that the target asks for, in its precision."""
        with devices.autocast(self._device, self._target.precision):
            output = self._stages.forward(self._runtime, batch)
        return self._cut.DeviceOutput(output, Size(*batch.pixels.shape[-2:]), batch.content)

    @torch.inference_mode()
    def postprocess(self, raw: Any, sizes: Sequence[Size]) -> list[Prediction]:
        """Suppress, resize to the original size, move to the host."""
        predictions: list[Prediction] = self._stages.predictions(raw, sizes)
        return predictions

    @torch.inference_mode()
    def probabilities(self, raw: Any, sizes: Sequence[Size]) -> list[NDArray[np.floating]]:
        """Return the softmax over classes at the original size, of a network that labels pixels."""
        if self._task.kind != "semantic":
            raise Unsupported(f"{self._model.label} finds objects; probabilities are of networks that label pixels")
        found: list[NDArray[np.floating]] = self._stages.probabilities(raw, sizes)
        return found

    def describe(self) -> dict[str, JsonValue]:
        """Return facts of the built network, with its parameters before batch normalisation is folded in."""
        facts = self._runtime.describe(self._facts)
        facts["input_contract"] = self._contract.as_json(self._target.image_size)
        if self._loaded is not None:
            facts["weights_read"] = self._loaded.as_json()
        facts["folded_parameters"] = sum(p.numel() for p in self._module.parameters())
        if isinstance(self._options, InstanceOptions):
            facts["confidence_floor"] = {"scored": self._options.conf, "user": self._options.user_conf}
        return facts
