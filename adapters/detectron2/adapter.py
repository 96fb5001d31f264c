"""Detectron2 behind the common contract."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor

from adapters._torch import device as devices
from adapters._torch.fitting import place
from adapters._torch.images import move_images, scaled_size
from adapters._torch.input import InputContract, refuse_other_training, sized
from adapters._torch.options import read_options
from adapters._torch.tta import refuse_objects_in_several_passes
from adapters._torch.weights import load_weights
from adapters.detectron2.labels import LabelSpace
from adapters.detectron2.options import NO_GRAPH, Detectron2Options, config_beside
from bench.adapter import Progress, TrainingData, TrainingResult
from bench.errors import Unsupported
from bench.records import ModelSpec, Precision, Recipe, Runtime, Size, Target, TaskSpec
from bench.records.predictions import Prediction, RgbImage


@dataclass(frozen=True)
class Detectron2Network:
    """A network with what its weight files must share with it.

    Attributes:
        module: The framework's model.
        architecture: Description that stands in weight files; see `adapters._torch.weights`.
        class_names: Class names of the task, by id.
        input: Preprocessing of the network; it stands in weight files.
    """

    module: Any
    architecture: dict[str, JsonValue]
    class_names: tuple[str, ...]
    input: InputContract
    left_out = ("pixel_mean", "pixel_std", "proposal_generator.anchor_generator.")  # buffers of files of before 0.6

    @property
    def backbone(self) -> tuple[str, ...]:
        """Beginning of the names of the backbone's parameters, without its pyramid."""
        return ("backbone.bottom_up." if hasattr(self.module.backbone, "bottom_up") else "backbone.",)

    def input_in(self, tensors: Mapping[str, Tensor]) -> InputContract | None:
        """Return what the buffers of a file of before Detectron2 0.6 say, in the order of this network's colours."""
        found = [
            next((t for n, t in tensors.items() if n.endswith(name)), None) for name in ("pixel_mean", "pixel_std")
        ]
        if any(one is None or one.numel() != 3 for one in found):
            return None
        step = -1 if self.input.channels == "bgr" else 1
        mean, std = (tuple(one.flatten().float().div(255).tolist())[::step] for one in found if one is not None)
        said = "the buffers pixel_mean and pixel_std of the weight file"
        return replace(self.input, mean=mean, std=std, stated=(("mean", said), ("std", said)))


class Adapter(devices.OnTorchDevice):
    """Networks of `adapters/detectron2/models`; see `adapters.detectron2.stages` for where a pass is cut."""

    fetches_weights = True
    _network: Detectron2Network
    packages = ("torch", "torchvision", "numpy", "fvcore")
    why_eager_alone = NO_GRAPH
    imported_to_build = tuple(
        f"adapters.detectron2.{name}" for name in ("config", "heads", "panoptic_deeplab", "stages", "zoo_weights")
    )
    imported_to_train = ("adapters.detectron2.training",)

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Build the network on the target's device; see `bench.adapter.Adapter.build`."""
        self._options = read_options(Detectron2Options, model)
        self._zoo_config = self._options.config
        self._beside = config_beside(weights, self._options)
        if self._beside is not None and not self.training_follows:
            self._options = self._options.model_copy(update={"config": str(self._beside)})
        if task.kind != self._options.task:
            raise Unsupported(f"{model.label} predicts {self._options.task} maps; it has no {task.kind} prediction")
        self._labels = LabelSpace.of(task, things_apart=self._options.architecture == "panoptic_deeplab")
        if task.kind != "semantic" and not len(self._labels.things):
            raise Unsupported(f"{model.label} finds things; this label space has none")
        if task.kind != "semantic":
            refuse_objects_in_several_passes(target, model.label)
        self._model, self._task, self._weights = model, task, weights
        self.open(target)
        self._network = self._fresh_network(devices.UNTRAINED_SEED)
        self.ready(self._network.module)
        from adapters.detectron2.stages import stages_of

        self._target = target = sized(target, self._contract, model.label)
        self._stages: Any = stages_of(task.kind, self._network.module, self._labels, target)

    def check_precision(self, device: torch.device, precision: Precision, runtime: Runtime = "eager") -> None:
        """Refuse arithmetic that the device, or an operator of torchvision on it, does not have."""
        super().check_precision(device, precision, runtime)
        if device.type == "cpu" and precision != "fp32" and self._options.task != "semantic":
            raise Unsupported(f"{precision} on a CPU: RoIAlign and NMS of torchvision have no such kernels; use fp32")

    def _fresh_network(self, seed: int) -> Detectron2Network:
        drawn = self._weights is None and self._model.weights is None
        with warnings.catch_warnings(), devices.seeded(seed, drawn=drawn):
            warnings.simplefilter("ignore")  # the framework's own, about torch.jit and meshgrid
            network = self._configured_network()
        self._loaded = None
        if self._weights is not None and self._weights.suffix not in (".pkl", ".pyth"):
            key = self._options.weights_key
            self._loaded = load_weights(network, self._weights, label=self._model.label, weights_key=key)
            if self._loaded.input is not None:
                network = self._fed_as(network, self._loaded.input.changed(self._options.input))
        elif self._weights is not None or self._model.weights is not None:
            from adapters.detectron2.zoo_weights import load_zoo_weights

            self._loaded = load_zoo_weights(
                network.module, str(self._weights or self._model.weights), label=self._model.label
            )
        if self._loaded is not None and self._beside is not None:
            told = f"{self._beside.name} beside the weights was followed"
            if self.training_follows:
                told = (
                    f"{self._beside.name} beside the weights was not followed, as a training follows; for its network "
                    f"say options: {{config: {self._beside}}}"
                )
            self._loaded = replace(self._loaded, remarks=(*self._loaded.remarks, told))
        return network

    def _fed_as(self, network: Detectron2Network, contract: InputContract) -> Detectron2Network:
        """Return a network that is fed as its weights say, instead of its configuration."""
        from adapters.detectron2.config import feed

        self._contract = contract
        self._config.defrost()
        feed(self._config, contract)
        self._config.freeze()
        for name in ("PIXEL_MEAN", "PIXEL_STD"):
            buffer: Tensor = getattr(network.module, name.lower())
            buffer.copy_(torch.tensor(self._config.MODEL[name], dtype=buffer.dtype).view(buffer.shape))
        return replace(network, input=contract)

    def _configured_network(self) -> Detectron2Network:
        # Imported here: the framework takes seconds to import, and only a build needs it.
        from detectron2.modeling import build_model

        from adapters.detectron2 import heads, panoptic_deeplab  # noqa: F401 - they register their heads
        from adapters.detectron2.config import contract_of, is_own, make_config, sizing_of, sizing_of_zoo
        from adapters.detectron2.framework import has_compiled_operators

        self._config = make_config(
            self._options,
            self._labels,
            label=self._model.label,
            device=str(self._device),
            compiled=has_compiled_operators(str(self._device)),
        )
        refuse_other_training(self._options.input, self._model.label, training_follows=self.training_follows)
        self._contract = contract_of(self._config)
        is_given = self._weights is not None or self._model.weights is not None
        if self._options.config is not None and is_given and not self.training_follows:
            # As Detectron2's own predictor resizes.
            stated = (*self._contract.stated, ("interpolation", "Detectron2's predictor"))
            self._contract = replace(self._contract, interpolation="pil_linear", stated=stated)
        self._contract = self._contract.changed(self._options.input)
        self._sizing = (self._options.short_edge, self._options.max_size)
        if is_own(self._options.config) and self._weights is not None and not self.training_follows:
            self._contract = replace(self._contract, trained_fit=self._contract.trained_fit or "pad")
        of_zoo = self._beside is not None and self._sizing == sizing_of_zoo(self._zoo_config)
        if is_own(self._options.config) and (self._options.short_edge is None or of_zoo):
            self._sizing = sizing_of(self._config)
        # Thresholds read what the network returns; weights trained with one serve any other.
        reading = {"score_threshold", "detections", "short_edge", "max_size", "clip_gradients", "input", "weights_key"}
        reading |= {
            name
            for name in Detectron2Options.model_fields
            if name.startswith(("combine_", "proposals_", "center", "small_"))
        }
        return Detectron2Network(
            module=build_model(self._config),
            architecture=self._options.model_dump(exclude=reading),
            class_names=tuple(spec.name for spec in self._task.classes),
            input=self._contract,
        )

    def train(self, data: TrainingData, recipe: Recipe, out: Path, progress: Progress) -> TrainingResult:
        """Train a fresh network, from the built weights if there were any, by Detectron2's trainer."""
        from adapters.detectron2.training import fit

        return fit(self._fresh_network(recipe.seed), self._options, self._labels, data, recipe, out, progress)

    @torch.inference_mode()
    def preprocess(self, images: Sequence[RgbImage]) -> Any:
        """Resize, move as bytes, reorder channels, normalise and pad on the device."""
        from adapters.detectron2.stages import normalised

        contract, sizes = self._contract, [Size(*image.shape[:2]) for image in images]
        placements = [place(size, self._input_size(size), contract.fit) for size in sizes]
        resized = [contract.fed(*pair) for pair in zip(images, placements, strict=True)]
        bgr = self._config.INPUT.FORMAT == "BGR"
        pixels = [image.flip(0) if bgr else image for image in move_images(resized, self._device)]
        batch = normalised(self._network.module, [image.float() for image in pixels])
        # What lies beside an image in its input, at the bottom and on the right, is cut off like a batch's padding.
        batch.image_sizes = [tuple(placement.scaled) for placement in placements]
        return batch

    def _input_size(self, size: Size) -> Size | None:
        short_edge, longest = self._sizing
        if self._target.image_size is not None or short_edge is None:
            return self._target.image_size
        return scaled_size(size, short_edge, longest)

    @torch.inference_mode()
    def infer(self, batch: Any) -> Any:
        """Backbone and heads, the NMS of boxes included, in the target's precision; or all passes it asks for."""
        with devices.autocast(self._device, self._target.precision):
            return batch, self._stages.infer(batch)

    @torch.inference_mode()
    def postprocess(self, raw: Any, sizes: Sequence[Size]) -> list[Prediction]:
        """Resize logits, paste masks, or combine both, at the original size; move to the host."""
        batch, found = raw
        predictions: list[Prediction] = self._stages.predictions(found, batch, sizes)
        return predictions

    @torch.inference_mode()
    def probabilities(self, raw: Any, sizes: Sequence[Size]) -> list[NDArray[np.floating]]:
        """Return the softmax over classes at the original size, of a network that labels pixels."""
        if self._task.kind != "semantic":
            raise Unsupported(f"{self._model.label} finds objects; probabilities are of networks that label pixels")
        batch, found = raw
        probabilities: list[NDArray[np.floating]] = self._stages.probabilities(found, batch, sizes)
        return probabilities

    def describe(self) -> dict[str, JsonValue]:
        """Return facts of the built network, and how it sizes images where the target has no size."""
        facts, (short_edge, longest) = super().describe(), self._sizing
        if not self._target.image_size and short_edge is not None:
            facts["input_contract"] = {**self._contract.as_json(self._asked_size), "short_edge": [short_edge, longest]}
        return facts

    def versions(self) -> dict[str, str]:
        """Return versions of Detectron2, torch and what they compute with."""
        from adapters.detectron2.framework import versions

        return {**super().versions(), **versions()}
