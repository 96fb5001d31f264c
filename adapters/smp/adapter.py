"""segmentation-models-pytorch behind the common contract: every decoder with every encoder."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from adapters._torch.input import IMAGENET, InputContract
from adapters._torch.network import SemanticNetwork, bands_of
from adapters._torch.options import OUTSIDE_THE_NETWORK, read_options
from adapters._torch.padding import PadsToMultiple
from adapters._torch.semantic import SemanticAdapter
from adapters._torch.weight_files import read_weight_file, without_wrappers
from adapters.smp.framework import smp, timm
from adapters.smp.options import SmpOptions
from bench.errors import BenchError, did_you_mean, in_one_line
from bench.records import ModelSpec, TaskSpec
from bench.records.damage import json_of

INSTEAD = {
    "classes": "their number is the task's",
    "in_channels": "their number is the data set's",
    "activation": "the harness applies it: set head: sigmoid or head: softmax",
    "aux_params": "a classifier of whole images is not measured; leave it out, its tensors in a file are passed over",
    "encoder_name": "set the option 'encoder'",
    "encoder_weights": "set the option 'encoder_weights'",
}
"""Arguments of the library's constructors that are set elsewhere -> where."""

DOWNLOADED = ("imagenet",)
"""Names of encoder weights that are not paths."""

CLASSIFIERS = ("fc", "_fc", "classifier", "head", "last_linear")
"""First parts of the names of what classifies whole images, in torchvision's and timm's files."""

DECODERS = {
    "unet": smp.Unet,
    "unetplusplus": smp.UnetPlusPlus,
    "manet": smp.MAnet,
    "linknet": smp.Linknet,
    "fpn": smp.FPN,
    "pspnet": smp.PSPNet,
    "pan": smp.PAN,
    "deeplabv3": smp.DeepLabV3,
    "deeplabv3plus": smp.DeepLabV3Plus,
    "upernet": smp.UPerNet,
    "segformer": smp.Segformer,
    "dpt": smp.DPT,
}


class Adapter(SemanticAdapter):
    """All of the contract is shared with the other torch adapters; only the network is the library's."""

    takes_bands = True

    def __init__(self) -> None:
        super().__init__(make_network, packages=["segmentation-models-pytorch", "timm"])


def make_network(model: ModelSpec, task: TaskSpec) -> SemanticNetwork:
    """Return the network of a model config for a task, with fresh weights or its encoder's pretrained ones.

    Raises:
        BenchError: If an option is wrong or the encoder's weights cannot be had.
        Unsupported: If the head cannot tell the task's classes apart.
    """
    options = read_options(SmpOptions, model)
    head = options.for_task(task)
    # A path in `weights` replaces all of them: nothing needs to be downloaded first.
    encoder_weights = None if model.weights is not None else options.encoder_weights
    downloaded = encoder_weights if encoder_weights in DOWNLOADED else None
    module = _build(options, model.label, task=task, classes=head.channels, encoder_weights=downloaded)
    if encoder_weights is not None and downloaded is None:
        _load_encoder(module, Path(encoder_weights), model.label)
    _refuse_other_sizes(module, options, model.label)
    _refuse_other_arguments(module, model)
    # PAN pools the coarsest grid twice more.
    return SemanticNetwork(
        module=PadsToMultiple(module, 4 * COARSEST_GRID if options.decoder == "pan" else COARSEST_GRID),
        head=head,
        architecture={
            "network": "smp",
            **bands_of(task),
            **options.model_dump(exclude={"encoder_weights", *OUTSIDE_THE_NETWORK}),
        },
        class_names=tuple(spec.name for spec in task.classes),
        input=encoder_input(options.encoder),
        left_out=("classification_head.",),
        backbone=("module.encoder.",),
        translate=lambda tensors: _translated(module, tensors),
    )


def _build(options: SmpOptions, label: str, *, task: TaskSpec, classes: int, encoder_weights: str | None) -> nn.Module:
    known = smp.encoders.get_encoder_names()
    if not options.encoder.startswith("tu-") and options.encoder not in known:
        raise BenchError(
            f"{label}: option 'encoder': no encoder named {options.encoder!r}.{did_you_mean(options.encoder, known)} "
            "Those of timm begin with tu-, for example tu-convnext_tiny"
        )
    arguments: dict[str, Any] = dict(options.arguments)
    for name in arguments.keys() & INSTEAD.keys():
        raise BenchError(f"{label}: option 'arguments': {name!r} is not set here; {INSTEAD[name]}")
    signature = inspect.signature(DECODERS[options.decoder]).parameters
    taken = sorted(set(signature) - {"kwargs"} - INSTEAD.keys())
    # The library hands what it does not know on to timm, and passes over it for encoders of its own.
    handed_on = "kwargs" in signature and options.encoder.startswith("tu-")
    for name in arguments:
        if name not in taken and not handed_on:
            raise BenchError(
                f"{label}: option 'arguments': {options.decoder} has no {name!r}.{did_you_mean(name, taken)}"
            )
    try:
        module: nn.Module = DECODERS[options.decoder](
            options.encoder, encoder_weights=encoder_weights, in_channels=task.channels, classes=classes, **arguments
        )
    except OSError as error:  # what the hub's client raises without a network
        raise BenchError(
            f"{label}: the weights {encoder_weights!r} of encoder {options.encoder} could not be downloaded "
            f"({in_one_line(error, 120)}); connect to the network once, or set encoder_weights: null"
        ) from None
    except (RuntimeError, TypeError, ValueError, KeyError, AttributeError, AssertionError) as error:
        raise BenchError(f"{label}: {options.decoder} with encoder {options.encoder}: {in_one_line(error)}") from None
    return module


def _refuse_other_sizes(module: Any, options: SmpOptions, label: str) -> None:
    """Make an encoder that takes one size alone say so of any other, instead of failing within timm."""
    embedding = getattr(getattr(module.encoder, "model", None), "patch_embed", None)
    size = getattr(embedding, "img_size", None)
    if size is None or not getattr(embedding, "strict_img_size", False):
        return

    def check(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        given = tuple(inputs[0].shape[-2:])
        if given != tuple(size):
            raise BenchError(
                f"{label}: encoder {options.encoder} takes images of {size[0]} x {size[1]} alone, not {given[0]} x "
                f"{given[1]}; set arguments: {{img_size: [{given[0]}, {given[1]}]}}, or give the target image_size "
                f"[{size[0]}, {size[1]}]"
            )

    module.register_forward_pre_hook(check)


TOLD_BY_TENSORS = ("activation", "aux_params", "classes", "encoder_weights", "in_channels")
"""Arguments in the config.json of the library that are another's matter, or show in the shapes of the tensors."""


def _refuse_other_arguments(module: Any, model: ModelSpec) -> None:
    """Refuse weights whose config.json states other arguments: strides and dilations show in no shape of a tensor."""
    place = None if model.weights is None else Path(model.weights)
    config = None if place is None else (place if place.is_dir() else place.parent) / "config.json"
    try:
        said = {} if config is None else json_of(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if not isinstance(said, dict) or "encoder_name" not in said:
        return
    own = {**json.loads(json.dumps(module.config, default=str)), "_model_class": type(module).__name__}
    unlike = [n for n in sorted(said.keys() & own.keys()) if n not in TOLD_BY_TENSORS and said[n] != own[n]]
    if not unlike:
        return
    arguments = {name: said[name] for name in unlike if name not in ("_model_class", "encoder_name")}
    decoder = next((n for n, one in DECODERS.items() if one.__name__ == said.get("_model_class")), "?")
    first = unlike[0]
    raise BenchError(
        f"{model.label}: {config} states another network: {first} is {said[first]!r} there and {own[first]!r} in the "
        f"model. Set options: {{decoder: {decoder}, encoder: {said['encoder_name']}, arguments: "
        f"{json.dumps(arguments)}}}"
    )


def _translated(module: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Return tensors under the library's names of today: its own `load_state_dict` knows those of older versions."""
    seen: dict[str, Tensor] = {}

    class Spy(type(module)):  # type: ignore[misc]  # the class is that of the network at hand
        """Takes the names that the library's loader hands to torch's."""

        def _load_from_state_dict(self, state_dict: dict[str, Tensor], *_: object, **__: object) -> None:
            seen.update(state_dict)

    original = type(module)
    try:
        module.__class__ = Spy
        module.load_state_dict(dict(tensors), strict=True)
    except RuntimeError:
        pass  # what does not fit is told by names later
    finally:
        module.__class__ = original
    return seen or None


def encoder_input(encoder: str) -> InputContract:
    """Return the preprocessing that the published weights of an encoder were trained with, without asking the network.

    >>> encoder_input("resnet34").mean, encoder_input("tu-vit_base_patch16_224.augreg_in21k").mean
    ((0.485, 0.456, 0.406), (0.5, 0.5, 0.5))
    """
    name = encoder.removeprefix("tu-") if encoder.startswith("tu-") else IN_TIMM.get(encoder)
    config = None if name is None else timm.get_pretrained_cfg(name, allow_unregistered=True)
    if config is None or len(config.mean) != 3:
        return replace(IMAGENET, said_by="ImageNet's, as most encoders")
    return InputContract(tuple(config.mean), tuple(config.std), said_by=f"timm, for {name}")


IN_TIMM = {
    "inceptionv4": "inception_v4",
    "inceptionresnetv2": "inception_resnet_v2",
    "xception": "legacy_xception",
    **{f"dpn{size}": f"dpn{size}" for size in ("68", "68b", "92", "98", "107", "131")},
}
"""The library's encoders that were not trained with ImageNet's mean -> timm's name of the same weights."""


def _load_encoder(module: nn.Module, path: Path, label: str) -> None:
    """Take the weights of an encoder from a file; what classifies behind it is left out."""
    if not path.is_file():
        raise BenchError(
            f"{label}: option 'encoder_weights': there is no file at {path}; give one, 'imagenet' to download, or null"
        )
    tensors = read_weight_file(path, label).tensors
    given = {short: tensors[name] for short, name in without_wrappers(tensors).items()}
    inside = {name.removeprefix("encoder."): tensor for name, tensor in given.items() if name.startswith("encoder.")}
    given = {name: t for name, t in (inside or given).items() if name.partition(".")[0] not in CLASSIFIERS}
    encoder: Any = module.encoder
    own = {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in given.items()}
    wrong = sorted(name for name in own.keys() | found.keys() if own.get(name) != found.get(name))
    if wrong:
        raise BenchError(
            f"{label}: option 'encoder_weights': {path} is not of this encoder: {wrong[0]} is "
            f"{found.get(wrong[0], 'missing')} in the file and {own.get(wrong[0], 'missing')} in the encoder, and "
            f"{len(wrong) - 1} more differ; set 'encoder' to the one the file belongs to"
        )
    nn.Module.load_state_dict(encoder, given)


COARSEST_GRID = 32
"""Pixels of a cell of the encoders' coarsest grid."""
