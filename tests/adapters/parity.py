"""A framework's own inference beside the harness's, on one checkpoint: the same pictures in, answers out of both.

Each family saves a network with drawn weights, made lively enough to name several classes, and reads it back twice: by
the framework alone, with its own pre- and postprocessing, and by the adapter. `python -m tests.adapters.parity --write`
writes the table of the documentation, docs/parity.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from bench.records import Size
from bench.suite.model_configs import resolve_model
from tests.adapters import parity_files, parity_objects
from tests.adapters.parity_pictures import ANY, NAMES, ON_GRID, lively, normalised, ours, picture

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
    **parity_objects.FAMILIES,
    **parity_files.FAMILIES,
}
"""Model config -> sizes of pictures, and what returns the labels, or the objects, of both."""


def share_that_differs(name, folder, size):
    """How far both are apart, and how many classes or objects are named.

    That is the share of pixels with another label; of objects the greatest difference of a score, or the share of
    pixels of their masks if that is more, and 1 where numbers or classes of objects differ.
    """
    own, theirs = FAMILIES[name][1](folder, picture(size))
    if not isinstance(theirs, parity_objects.Found):
        return float((own != theirs).mean()), len(np.unique(theirs))
    if own.class_ids.tolist() != theirs.class_ids.tolist():
        return 1.0, len(theirs.scores)
    scores = np.abs(own.scores - theirs.scores).max(initial=0)
    return float(max(scores, (own.masks != theirs.masks).mean())), len(theirs.scores)


PAGE = Path(__file__).resolve().parents[2] / "docs" / "parity.md"

HEAD = """# The same answers as the framework's own

On one checkpoint that both read, the answers of the framework's own inference are compared with those of the harness,
on pictures of three sizes: the share of pixels with another label; of objects the greatest difference of a score, or
the share of pixels of their masks with another answer if that is more. Where a framework takes multiples of 32 alone,
so are the sizes. The last column is the number of classes, or of objects, that are named in a picture: a network that
names one class everywhere would agree with anything.

`python -m tests.adapters.parity --write` makes this page; `tests/adapters/test_parity.py` holds each row to 0.0001.
YOLO, SAM, SAM 2 and networks that classify masks are held to their frameworks' own answers in tests beside their
adapters: those of YOLO, on trained weights and pictures of four sizes, bit for bit.

| model config | first size | second | third | named |
|:--|--:|--:|--:|--:|
"""


def row_of(name):
    """A row of the table."""
    cells, named = [], []
    for size in FAMILIES[name][0]:
        with tempfile.TemporaryDirectory() as folder:
            share, count = share_that_differs(name, Path(folder), size)
        cells.append(f"{share:.1e} ({size.height} x {size.width})".replace("0.0e+00", "0"))
        named.append(count)
    counts = f"{min(named)} to {max(named)}" if min(named) < max(named) else f"{named[0]}"
    return f"| `{name}` | {' | '.join(cells)} | {counts} |"


def rows_of_page():
    """Rows that the page has, by family."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    return {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}


def main():
    """Print a row for each family, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}; of other families it keeps the rows")
    parser.add_argument("names", nargs="*", help="these families alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = rows_of_page()
    for name in options.names or FAMILIES:
        rows[name] = row_of(name)
        print(rows[name], flush=True)
        if options.write:
            known = [rows[one] for one in FAMILIES if one in rows]
            PAGE.write_text(HEAD + "\n".join(known) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
