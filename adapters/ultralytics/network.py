"""Turns a model config into a YOLO network: options, fresh weights, weight files."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from adapters._torch.class_names import matched_things
from adapters._torch.input import InputContract
from adapters._torch.matching import LoadedWeights
from adapters._torch.options import read_options
from adapters._torch.weights import load_weights
from adapters.ultralytics import environment
from adapters.ultralytics.options import InstanceOptions, NetworkOptions, SemanticOptions, known_networks, usage_errors
from bench.errors import BenchError, Unsupported
from bench.records import IGNORE_LABEL, ModelSpec, TaskSpec

STRIDE = 32
"""Input sides are multiples of it: the coarsest feature map has one cell for so many pixels."""

DOWNLOADS = "https://github.com/ultralytics/assets/releases"


@dataclass(frozen=True)
class YoloNetwork:
    """A network, and what its outputs mean.

    Attributes:
        module: The framework's model, on the CPU, not fused.
        options: Options of its model config.
        class_names: Class names of the network, by its own ids.
        class_ids: Id in the task of each class of the network; `IGNORE_LABEL` where the task has none.
        trained_size: Longer side that images are scaled to where the target has no `image_size`: that of
            the checkpoint's training; None keeps their own size.
        loaded: Account of what was made of a weight file.
    """

    module: nn.Module
    options: NetworkOptions
    class_names: tuple[str, ...]
    class_ids: tuple[int, ...]
    trained_size: int | None = None
    loaded: LoadedWeights | None = None

    @property
    def architecture(self) -> dict[str, JsonValue]:
        """Return what decides the shapes of the weights."""
        return {"network": self.options.network}


def options_of(model: ModelSpec) -> NetworkOptions:
    """Return a model config's options.

    Raises:
        BenchError: If one is wrong, or the framework has no such network for the model config's task.
    """
    if found := usage_errors(model):
        raise BenchError("\n".join(found))
    return read_options(InstanceOptions if model.task == "instance" else SemanticOptions, model)


def trained_classes(task: TaskSpec, label: str) -> tuple[int, ...]:
    """Return ids in the task of the classes that a network is trained on: things for instances, else all.

    Raises:
        Unsupported: If there are none, or too few to tell apart.
    """
    if task.kind == "instance":
        things = tuple(i for i, spec in enumerate(task.classes) if spec.is_thing)
        if not things:
            raise Unsupported(f"{label} finds things, and no class of the task is one")
        return things
    if not 2 <= len(task.classes) <= IGNORE_LABEL:
        raise Unsupported(f"{label} tells 2 to {IGNORE_LABEL} classes apart; the task has {len(task.classes)}")
    return tuple(range(len(task.classes)))


def make_network(model: ModelSpec, task: TaskSpec, *, seed: int) -> YoloNetwork:
    """Return a model config's network for a task with weights drawn from a seed; torch's generators are left alone."""
    options, ids = options_of(model), trained_classes(task, model.label)
    if options.network not in known_networks():
        raise BenchError(
            f"{model.label}: option 'network': {options.network} is no network of the framework's; one from a YAML "
            "file of your own is run from a checkpoint that Ultralytics' trainer left, and is not trained here"
        )
    environment.import_framework()
    from ultralytics.nn.tasks import SegmentationModel, SemanticSegmentationModel

    kind: Callable[..., Any] = SegmentationModel if task.kind == "instance" else SemanticSegmentationModel
    names = tuple(task.classes[i].name for i in ids)
    with environment.contained():
        torch.manual_seed(seed)
        module = kind(f"{options.network}.yaml", nc=len(ids), verbose=False)
    module.names = dict(enumerate(names))
    _check_nms(options, module, model.label)
    return YoloNetwork(module, options, names, ids)


def _check_nms(options: NetworkOptions, module: Any, label: str) -> None:
    has_free_head = getattr(module.model[-1], "one2one_cv2", None) is not None
    if isinstance(options, InstanceOptions) and not options.nms and not has_free_head:
        raise BenchError(f"{label}: option 'nms': {options.network} has no head without suppression; use true")


def contract_of(network: YoloNetwork) -> InputContract:
    """Return the preprocessing of a network: the framework's, with what a model config says in its place."""
    trained = network.trained_size
    said = "the framework's own" if trained is None else f"the checkpoint, trained at {trained} pixels"
    own = InputContract(
        (0.0,) * 3, (1.0,) * 3, fit="letterbox", interpolation="linear", fill=(114.0,) * 3, said_by=said, says_fit=True
    )
    return own.changed(network.options.input)


def normalised(pixels: Tensor, contract: InputContract) -> Tensor:
    """Return pixels of 0 to 1, RGB, (B, 3, H, W), as the network sees them."""
    if {*contract.mean} != {0.0} or {*contract.std} != {1.0}:
        mean, std = (pixels.new_tensor(values).view(1, -1, 1, 1) for values in (contract.mean, contract.std))
        pixels = (pixels - mean) / std
    return pixels.flip(1) if contract.channels == "bgr" else pixels


def load_for_training(network: YoloNetwork, weights: Path, model: ModelSpec) -> None:
    """Start a fresh network from a weight file: our own as it is, the framework's wherever shapes and names agree."""
    official = _official(weights, network.options, model)
    if official is None:
        load_weights(network, weights, label=model.label, weights_key=network.options.weights_key)
        return
    module: Any = network.module
    with environment.contained():
        module.load(official.module, verbose=False)


def load_for_prediction(model: ModelSpec, task: TaskSpec, weights: Path, *, seed: int) -> YoloNetwork:
    """Return the network of a weight file: ours, or one of the framework's with its classes matched by name.

    One of the framework's brings its network with it, also where that came from a YAML file of the user's own.
    """
    options, wanted = options_of(model), trained_classes(task, model.label)
    environment.import_framework()
    official = _official(weights, options, model)
    if official is None:
        network = make_network(model, task, seed=seed)
        loaded = load_weights(network, weights, label=model.label, weights_key=options.weights_key)
        return replace(network, loaded=loaded)
    module = official.module
    _check_nms(options, module, model.label)
    names = tuple(str(module.names[i]) for i in range(len(module.names)))
    ids, remarks = matched_things(names, wanted, task, model.label)
    loaded = LoadedWeights(
        len(module.state_dict()),
        taken=official.taken,
        beside=official.beside,
        remarks=remarks,
        classes=tuple((n, task.classes[i].name) for n, i in zip(names, ids, strict=True) if i != IGNORE_LABEL),
    )
    return YoloNetwork(module, options, names, ids, trained_size=official.trained_size, loaded=loaded)


@dataclass(frozen=True)
class _Checkpoint:
    """A checkpoint of the framework's.

    Attributes:
        module: The network, float32.
        trained_size: Side of the square its training images were scaled to; None where it does not say.
        taken, beside: `ema` or `model`, and the other where it is there too.
    """

    module: Any
    trained_size: int | None
    taken: str
    beside: tuple[str, ...]


def _official(weights: Path, options: NetworkOptions, model: ModelSpec) -> _Checkpoint | None:
    """Return the model in a checkpoint of the framework's; None for a file of plain tensors.

    Only the framework's own and torch's classes are unpickled. A network from a YAML file of the user's own
    is taken as it is.
    """
    if not weights.is_file():
        raise BenchError(
            f"{model.label}: there is no weight file at {weights}. Download it yourself, for example "
            f"{weights.name} from {DOWNLOADS}, and set 'weights' to where it lies; nothing is fetched here."
        )
    if _is_plain(weights):
        return None
    from ultralytics.nn.tasks import SegmentationModel, SemanticSegmentationModel, torch_safe_load

    with environment.contained(), _raised_as_bench_error(weights, model.label):
        checkpoint, _ = torch_safe_load(str(weights), safe_only=True)
        held = [key for key in ("ema", "model") if checkpoint.get(key)]
        taken = options.weights_key or next(iter(held), "model")
        if taken not in held and held:
            raise BenchError(
                f"{model.label}: {weights} has no network under weights_key {taken!r}; it has: {', '.join(held)}"
            )
        module = checkpoint[taken]
        given = Path(str(module.yaml.get("yaml_file", options.network))).stem
        wanted = SegmentationModel if model.task == "instance" else SemanticSegmentationModel
        fits = isinstance(module, wanted)
    if given != options.network and given in known_networks():
        raise BenchError(
            f"{model.label}: {weights} holds a {given}; set option 'network' to that, or give other weights"
        )
    if not fits:
        raise BenchError(
            f"{model.label}: {weights} holds a {type(module).__name__}, which makes no {model.task} predictions; "
            "choose a model config of its task"
        )
    both = tuple(key for key in held if key != taken)
    return _Checkpoint(module.float(), _side(checkpoint.get("train_args"), getattr(module, "args", None)), taken, both)


def _side(*arguments: Any) -> int | None:
    """`imgsz` of the first arguments of a training that have one."""
    for one in arguments:
        said = one.get("imgsz") if isinstance(one, dict) else getattr(one, "imgsz", None)
        if isinstance(said, list | tuple) and said:
            said = max(said)
        if isinstance(said, int) and said > 0:
            return said
    return None


@contextmanager
def _raised_as_bench_error(weights: Path, label: str) -> Iterator[None]:
    try:
        yield
    except (
        TypeError,
        KeyError,
        AttributeError,
        RuntimeError,
        EOFError,
        ModuleNotFoundError,
        pickle.PickleError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchError(
            f"{label}: {weights} is neither a file of plain tensors nor a checkpoint of Ultralytics ({reason}); "
            "give what a training left, or a .pt file as the framework publishes them"
        ) from None


def _is_plain(weights: Path) -> bool:
    """Return whether the file holds no module; a damaged file is for its reader to refuse."""
    try:
        content = torch.load(weights, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        return False
    except (RuntimeError, EOFError, ValueError):
        return True
    # A checkpoint that was read before has its classes allowed for the rest of the process.
    return not (isinstance(content, dict) and any(isinstance(value, nn.Module) for value in content.values()))
