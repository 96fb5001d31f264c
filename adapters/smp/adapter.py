"""segmentation-models-pytorch behind the common contract: every decoder with every encoder."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
from torch import nn

from adapters._torch.images import IMAGENET_MEAN, IMAGENET_STD
from adapters._torch.network import SemanticNetwork, bands_of, head_of
from adapters._torch.options import read_options
from adapters._torch.padding import PadsToMultiple
from adapters._torch.semantic import SemanticAdapter
from adapters._torch.weight_files import read_weight_file, without_wrappers
from adapters.smp.options import SmpOptions
from bench.errors import BenchError, did_you_mean
from bench.records import ModelSpec, TaskSpec

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
    head = head_of(options.head, options.threshold, task)
    # A path in `weights` replaces all of them: nothing needs to be downloaded first.
    encoder_weights = None if model.weights is not None else options.encoder_weights
    downloaded = encoder_weights if encoder_weights in DOWNLOADED else None
    module = _build(options, model.label, task=task, classes=head.channels, encoder_weights=downloaded)
    if encoder_weights is not None and downloaded is None:
        _load_encoder(module, Path(encoder_weights), model.label)
    return SemanticNetwork(
        module=PadsToMultiple(module, _multiple(options)),
        head=head,
        architecture={
            "network": "smp",
            **bands_of(task),
            **options.model_dump(exclude={"threshold", "encoder_weights"}),
        },
        class_names=tuple(spec.name for spec in task.classes),
        mean=IMAGENET_MEAN,  # asking the library for an encoder's own numbers is a request over the network
        std=IMAGENET_STD,
    )


def _build(options: SmpOptions, label: str, *, task: TaskSpec, classes: int, encoder_weights: str | None) -> nn.Module:
    known = smp.encoders.get_encoder_names()
    if not options.encoder.startswith("tu-") and options.encoder not in known:
        raise BenchError(
            f"{label}: option 'encoder': no encoder named {options.encoder!r}.{did_you_mean(options.encoder, known)} "
            "Those of timm begin with tu-, for example tu-convnext_tiny"
        )
    arguments: dict[str, Any] = dict(options.arguments)
    taken = [name for name in inspect.signature(DECODERS[options.decoder]).parameters if name != "kwargs"]
    for name in arguments:  # the library passes over names it does not know
        if name not in taken:
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
            f"({' '.join(str(error).split())[:120]}); connect to the network once, or set encoder_weights: null"
        ) from None
    except (RuntimeError, TypeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise BenchError(f"{label}: {options.decoder} with encoder {options.encoder}: {reason}") from None
    return module


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


def _multiple(options: SmpOptions) -> int:
    """Sides its input must be multiples of; PAN pools the coarsest grid twice more."""
    return 4 * COARSEST_GRID if options.decoder == "pan" else COARSEST_GRID
