"""A Detectron2 network for a task, with what is needed to feed it and to read it."""

from __future__ import annotations

from dataclasses import dataclass

from detectron2.config import CfgNode
from detectron2.modeling import build_model
from pydantic import JsonValue
from torch import nn

from adapters._torch.network import Head, head_of
from adapters._torch.options import read_options
from adapters.detectron2.config import make_config
from adapters.detectron2.labels import LabelSpace
from adapters.detectron2.options import AFTER_TRAINING, DetectronOptions
from bench.errors import BenchError
from bench.records import ModelSpec, TaskKind, TaskSpec


@dataclass(frozen=True)
class DetectronNetwork:
    """A network and how to use it.

    Attributes:
        module: A meta-architecture of Detectron2.
        cfg: Its configuration.
        options: Of the card.
        kind: Of the predictions.
        labels: Classes of the task by kind.
        head: Reads semantic logits.
        architecture: Everything that decides the shapes and the meaning of the weights; stands in
            weight files, and a file with another architecture is refused.
        class_names: Of the task, by id.
    """

    module: nn.Module
    cfg: CfgNode
    options: DetectronOptions
    kind: TaskKind
    labels: LabelSpace
    head: Head
    architecture: dict[str, JsonValue]
    class_names: tuple[str, ...]


def make_network(model: ModelSpec, task: TaskSpec) -> DetectronNetwork:
    """Return the network of a card on the CPU, its weights drawn from torch's global generator.

    Raises:
        BenchError: If an option is wrong or Detectron2 refuses the configuration.
        Unsupported: If the network cannot do the task, or not without compiled operators.
    """
    options = read_options(DetectronOptions, model)
    cfg = make_config(options, task, label=model.label)
    try:
        module = build_model(cfg)
    except (AssertionError, ValueError, KeyError) as error:
        raise BenchError(
            f"{model.label}: Detectron2 refuses this configuration ({type(error).__name__}: {error}). "
            "Correct the card's options; its keys are explained in detectron2/config/defaults.py"
        ) from error
    return DetectronNetwork(
        module=module,
        cfg=cfg,
        options=options,
        kind=task.kind,
        labels=LabelSpace.of(task),
        head=head_of("softmax", None, task),
        architecture={
            "network": f"detectron2 {cfg.MODEL.META_ARCHITECTURE}",
            **options.model_dump(exclude=AFTER_TRAINING, exclude_none=True),
        },
        class_names=tuple(c.name for c in task.classes),
    )
