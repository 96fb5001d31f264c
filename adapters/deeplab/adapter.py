"""DeepLabV3+ behind the common contract: its options, and how a model config becomes a network."""

from __future__ import annotations

from adapters._torch.input import IMAGENET
from adapters._torch.network import SemanticNetwork, bands_of
from adapters._torch.options import OUTSIDE_THE_NETWORK, read_options
from adapters._torch.padding import PadsToMultiple
from adapters._torch.semantic import SemanticAdapter
from adapters.deeplab.model import DeepLabV3Plus
from adapters.deeplab.options import DeepLabOptions
from bench.records import ModelSpec, TaskSpec


class Adapter(SemanticAdapter):
    """All of the contract is shared with the other torch adapters; only the network is ours."""

    takes_bands = True

    def __init__(self) -> None:
        super().__init__(make_deeplab)


def make_deeplab(model: ModelSpec, task: TaskSpec) -> SemanticNetwork:
    """Return the DeepLabV3+ of a model config for a task, with fresh weights.

    Raises:
        BenchError: If an option is wrong.
        Unsupported: If the head cannot tell the task's classes apart.
    """
    options = read_options(DeepLabOptions, model)
    head = options.for_task(task)
    shape = options.model_dump(exclude={"pretrained", "head", *OUTSIDE_THE_NETWORK})
    return SemanticNetwork(
        # The last of its ⌈H/4⌉ cells may reach beyond the image: resized to that, the logits would be squeezed.
        module=PadsToMultiple(
            DeepLabV3Plus(in_channels=task.channels, out_channels=head.channels, **shape), options.output_stride
        ),
        head=head,
        # Dropout is at work in training only; weights trained with one share serve any other.
        architecture={
            "network": "deeplabv3plus",
            **bands_of(task),
            **options.model_dump(exclude={"dropout", "pretrained", *OUTSIDE_THE_NETWORK}),
        },
        class_names=tuple(c.name for c in task.classes),
        input=IMAGENET,
        backbone=("module.backbone.",),
    )
