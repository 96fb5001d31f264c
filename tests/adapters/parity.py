"""A framework's own inference beside the harness's, on one checkpoint: the same pictures in, answers out of both.

Each family saves a network with drawn weights, made lively enough to name several classes, and reads it back twice: by
the framework alone, with its own pre- and postprocessing, and by the adapter. Run as a script it prints the table of
the documentation: `python -m tests.adapters.parity`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from bench.adapter import load_adapter, predict
from bench.records import ClassSpec, Size, Target, TaskSpec
from bench.suite.model_configs import resolve_model

NAMES = ("ground", "red", "green", "blue")
TASK = TaskSpec(
    kind="semantic", classes=tuple(ClassSpec(name=n, colour=(i, 0, 0), is_thing=i > 0) for i, n in enumerate(NAMES))
)
THINGS = TASK.model_copy(update={"kind": "instance"})
ANY = (Size(75, 100), Size(128, 96), Size(61, 47))
ON_GRID = (Size(64, 64), Size(96, 128), Size(160, 32))
"""Sizes of pictures; a network that takes multiples of 32 alone has these without the harness."""


def picture(size, seed=0):
    """Smooth colours, so that no rounding of a resized pixel decides."""
    coarse = torch.rand((1, 3, 6, 6), generator=torch.Generator().manual_seed(seed))
    smooth = F.interpolate(coarse, size=tuple(size), mode="bicubic").clamp(0, 1)
    return (smooth[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


@torch.no_grad()
def lively(module, classifier):
    """Draw a classifier anew whose answers differ from place to place, and statistics unlike those of the start."""
    generator = torch.Generator().manual_seed(1)
    layer = module.get_submodule(classifier)
    layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
    if layer.bias is not None:
        layer.bias.zero_()
    module.train()
    batch = torch.stack([torch.from_numpy(picture(Size(64, 64), seed)).permute(2, 0, 1) for seed in range(4)]) / 128 - 1
    for norm in (m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)):
        norm.momentum = 0.5
    for _ in range(3):
        module(batch)
    answer = module.eval()(batch)
    logits = answer["out"] if isinstance(answer, dict) else answer
    if layer.bias is not None:
        layer.bias.sub_(logits.mean(dim=(0, 2, 3)))  # no class is ahead of the others everywhere
    return module


def ours(name, image, *, task=TASK, weights=None, **options):
    """The adapter's answer to a picture."""
    adapter = load_adapter(name.partition("/")[0])
    adapter.build(resolve_model(name, options=options), task, Target(threads=1), weights)
    return predict(adapter, [image])[0]


def normalised(image, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)):
    """A picture as torchvision's and smp's documentation feeds it."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    return (pixels - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)


# --------------------------------------------------------------------------- families: labels of both


def of_smp(name):
    """segmentation-models-pytorch, as its documentation predicts."""

    def both(folder, image):
        import segmentation_models_pytorch as smp

        options = resolve_model(name).options
        torch.manual_seed(0)
        model = smp.create_model(options["decoder"], options["encoder"], encoder_weights=None, classes=len(NAMES))
        lively(model, "segmentation_head.0")
        torch.save(model.state_dict(), folder / "best.pth")
        theirs = smp.create_model(options["decoder"], options["encoder"], encoder_weights=None, classes=len(NAMES))
        theirs.load_state_dict(torch.load(folder / "best.pth", weights_only=True))
        with torch.inference_mode():
            logits = theirs.eval()(normalised(image))
        return ours(name, image, weights=folder / "best.pth").labels, logits[0].argmax(0).numpy()

    return both


def of_torchvision(name, classifier):
    """torchvision's semantic networks, as its reference evaluates them at the size of the image."""

    def both(folder, image):
        from torchvision.models import segmentation

        torch.manual_seed(0)
        made = getattr(segmentation, name.partition("/")[2])
        model = made(weights=None, weights_backbone=None, num_classes=len(NAMES))
        lively(model, classifier)
        torch.save({"model": model.state_dict()}, folder / "model.pth")  # as its reference training writes it
        with torch.inference_mode():
            logits = model(normalised(image))["out"]
        return ours(name, image, weights=folder / "model.pth").labels, logits[0].argmax(0).numpy()

    return both


def of_transformers(architecture, config, classifier, processor, **processing):
    """A folder of transformers: its own processor and postprocessing, against the option `pretrained`."""

    def both(folder, image):
        import transformers
        from transformers import SegformerForSemanticSegmentation

        from adapters.transformers.pixels import FAMILIES

        cls = SegformerForSemanticSegmentation if architecture == "segformer" else FAMILIES[architecture].network
        made = cls.config_class(**resolve_model(config).options.get("arguments", {}))
        made.id2label = dict(enumerate(NAMES))
        made.label2id = {name: i for i, name in enumerate(NAMES)}
        torch.manual_seed(0)
        model = cls(made)
        square = made.image_size if architecture in ("data2vec", "dpt") else 64
        lively_of(model, classifier, square)
        model.save_pretrained(folder)
        getattr(transformers, processor)(**processing).save_pretrained(folder)
        own = transformers.AutoModelForSemanticSegmentation.from_pretrained(folder).eval()
        reader = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
        with torch.inference_mode():
            given = reader(images=image, return_tensors="pt")
            more = {"interpolate_pos_encoding": True} if architecture == "beit" else {}
            found = own(given["pixel_values"], **more)
        (theirs,) = reader.post_process_semantic_segmentation(found, target_sizes=[image.shape[:2]])
        options = {"architecture": architecture} if architecture != "segformer" else {"variant": "b0"}
        return ours(config, image, **options, pretrained=str(folder)).labels, theirs.numpy()

    return both


def lively_of(model, classifier, side):
    """`lively` for a network of transformers, which answers by name."""

    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, pixels):
            return self.model(pixel_values=F.interpolate(pixels, size=(side, side))).logits

    lively(Logits(), f"model.{classifier}")


def of_monai(name):
    """MONAI's networks as they are, on intensities scaled to the range that the model config states."""

    def both(folder, image):
        from monai.networks import nets

        cls = {"attention_unet": nets.AttentionUnet, "segresnet": nets.SegResNet, "dynunet": nets.DynUNet}
        cls["swin_unetr"] = nets.SwinUNETR
        options = resolve_model(name).options
        torch.manual_seed(0)
        model = cls[options["network"]](spatial_dims=2, in_channels=3, out_channels=len(NAMES), **options["arguments"])
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.5)
        torch.save(model.state_dict(), folder / "model.pt")
        with torch.inference_mode():
            logits = model.eval()(normalised(image, (0.5,) * 3, (0.25,) * 3))
        return ours(name, image, weights=folder / "model.pt").labels, logits[0].argmax(0).numpy()

    return both


MONAI = ("attention_unet", "segresnet", "dynunet", "swin_unetr")


def square(side):
    return {"size": {"height": side, "width": side}}


FAMILIES: dict[str, tuple[tuple[Size, ...], Callable]] = {
    **{f"smp/{n}": (ON_GRID, of_smp(f"smp/{n}")) for n in ("unet_resnet18", "fpn_resnet34", "segformer_mit_b0")},
    "smp/deeplabv3plus_mobilenet_v2": (ON_GRID, of_smp("smp/deeplabv3plus_mobilenet_v2")),
    "torchvision/lraspp_mobilenet_v3_large": (
        ANY,
        of_torchvision("torchvision/lraspp_mobilenet_v3_large", "classifier.high_classifier"),
    ),
    "torchvision/deeplabv3_mobilenet_v3_large": (
        ANY,
        of_torchvision("torchvision/deeplabv3_mobilenet_v3_large", "classifier.4"),
    ),
    "transformers/segformer_b0": (
        ANY,
        of_transformers(
            "segformer", "transformers/segformer_b0", "decode_head.classifier", "SegformerImageProcessor", **square(64)
        ),
    ),
    "transformers/upernet_small": (
        ANY,
        of_transformers(
            "upernet", "transformers/upernet_small", "decode_head.classifier", "SegformerImageProcessor", **square(64)
        ),
    ),
    "transformers/beit_small": (
        ANY,
        of_transformers(
            "beit", "transformers/beit_small", "decode_head.classifier", "BeitImageProcessor", **square(64)
        ),
    ),
    "transformers/data2vec_small": (
        ANY,
        of_transformers(
            "data2vec", "transformers/data2vec_small", "decode_head.classifier", "BeitImageProcessor", **square(96)
        ),
    ),
    "transformers/dpt_small": (
        ANY,
        of_transformers("dpt", "transformers/dpt_small", "head.head.4", "DPTImageProcessor", **square(96)),
    ),
    "transformers/mobilevit_xx_small": (
        ON_GRID,
        of_transformers(
            "mobilevit",
            "transformers/mobilevit_xx_small",
            "segmentation_head.classifier.convolution",
            "MobileViTImageProcessor",
            do_resize=False,
            do_center_crop=False,
        ),
    ),
    **{
        f"monai/{n}": (ON_GRID, of_monai(f"monai/{n}"))
        for n in ("attention_unet", "segresnet", "dynunet", "swin_unetr")
    },
}
"""Model config -> sizes of pictures, and what returns the labels of both."""


def share_that_differs(name, folder, size):
    """Share of pixels that differ, and classes that are named."""
    own, theirs = FAMILIES[name][1](folder, picture(size))
    return float((own != theirs).mean()), len(np.unique(theirs))


def main():
    """Print a row for each family."""
    torch.set_num_threads(1)
    print("| family | " + " | ".join(("first size", "second", "third")) + " | classes named |\n|:--|--:|--:|--:|--:|")
    for name, (sizes, _) in FAMILIES.items():
        cells, classes = [], set()
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder:
                share, named = share_that_differs(name, Path(folder), size)
            cells.append(f"{share:.1e} ({size.height} x {size.width})")
            classes.add(named)
        print(f"| `{name}` | {' | '.join(cells)} | {min(classes)} to {max(classes)} |", flush=True)


if __name__ == "__main__":
    main()
