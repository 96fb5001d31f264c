"""Every adapter, its network replaced by one that repeats its input mask: nothing is shifted or squeezed around it.

`test_alignment` and `test_object_alignment` have the shared paths; here each family has its own padding and squares,
and each runtime of files has a file that repeats its input.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from adapters._torch.input import sized
from adapters._torch.padding import PadsToMultiple, PadsToSquare
from adapters._torch.tta import target_forward
from bench.adapter import PromptedImage, Prompts, load_adapter, predict
from bench.records import IGNORE_LABEL, ModelSpec, Size, Target
from bench.suite.model_configs import resolve_model
from tests.adapters.rectangles import INSTANCES, TWO_CLASSES
from tests.adapters.test_alignment import FITS, SIZES, Repeats, mean_iou, stripes
from tests.adapters.test_object_alignment import iou, picture

SIGNED = {"mean": 0.5, "std": 0.5}
"""Black is -1, white 1, and padding, 0, is neither."""

NETWORK = Size(256, 192)

FAMILIES = {
    "unet/transposed": ({"base_width": 4, "depth": 2}, 1),
    "deeplab/small": ({}, 4),
    "smp/unet_resnet18": ({}, 1),
    "torchvision/lraspp_mobilenet_v3_large": ({}, 1),
    "monai/attention_unet": ({}, 1),
    "monai/segresnet": ({}, 1),
    "monai/swin_unetr": ({}, 1),
    "monai/dynunet": ({}, 1),
    "transformers/segformer_b0": ({}, 4),
    "transformers/upernet_small": ({}, 4),
    "transformers/beit_small": ({}, 4),
    "transformers/data2vec_small": ({"arguments": {"image_size": 384}}, 4),
    "transformers/dpt_small": ({}, 2),
    "transformers/mobilevit_xx_small": ({}, 4),
    "transformers/clipseg_small": ({}, 2),
}
"""Model config -> options, and how many times coarser than its input its logits are."""

PACKAGES = {"smp": "segmentation_models_pytorch", "unet": "torch", "deeplab": "torch"}


def needs(adapter):
    package = PACKAGES.get(adapter, adapter)
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed; make install")


def bands(size, axis):
    """Few wide bands: a line of pixels is lost at each edge where an image shrinks."""
    return cv2.resize(stripes(60, 60, axis), (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)


def repeating(name):
    """The adapter of a model config, with a network inside its own padding that repeats its input."""
    needs(name.partition("/")[0])
    options, coarser = FAMILIES[name]
    own = resolve_model(name).options
    if "arguments" in options:
        options = {**options, "arguments": {**own["arguments"], **options["arguments"]}}
    adapter = load_adapter(name.partition("/")[0])
    adapter.build(resolve_model(name, options={**options, "input": SIGNED}), TWO_CLASSES, Target(threads=1), None)
    chosen = getattr(adapter, "_chosen", adapter)
    replaced(chosen, coarser)
    return adapter, chosen


def replaced(chosen, coarser):
    """Put a network that repeats its input into the padding of a family."""
    outer, repeats = chosen._network.module, Repeats(coarser).eval()
    if isinstance(outer, PadsToMultiple | PadsToSquare):
        outer.module = repeats
    else:
        chosen._runtime = replace(chosen._runtime, forward=repeats)


def fed(chosen, **contract):
    """Change the preprocessing, as `build` would have made it of the option input."""
    chosen._contract = replace(chosen._contract, **contract)
    chosen._target = sized(Target(threads=1), chosen._contract, "x")
    chosen._several_passes = target_forward(chosen._runtime, chosen._target, head=chosen._network.head)


@pytest.mark.parametrize("name", FAMILIES)
def test_labels_of_each_family_lie_where_the_mask_does(name):
    adapter, chosen = repeating(name)
    for size in SIZES:
        for axis in (0, 1):
            mask = bands(size, axis)
            (found,) = predict(adapter, [picture(mask)])
            assert mean_iou(found.labels, mask) >= 0.99, (size, axis)
    # The edges of a fitted image lie between the cells of a coarser grid, which cannot hold them: not the fit's fault.
    replaced(chosen, 1)
    for fit in FITS:
        fed(chosen, size=NETWORK, fit=fit, interpolation="linear")
        for size in SIZES:
            mask = bands(size, 0)
            (found,) = predict(adapter, [picture(mask)])
            answered = found.labels != IGNORE_LABEL
            assert mean_iou(found.labels[answered], mask[answered]) >= 0.99, (fit, size)


# --------------------------------------------------------------------------- files


def torchscript_file(folder):
    torch.jit.script(Repeats(1)).save(str(folder / "m.pt"))
    return folder / "m.pt"


def onnx_file(folder):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed; make install")
    kinds, helper = onnx.TensorProto, onnx.helper
    weights = helper.make_tensor("w", kinds.FLOAT, (2, 3, 1, 1), [-1.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w"], ["answer"])],
        "repeats",
        [helper.make_tensor_value_info("image", kinds.FLOAT, ("b", 3, "h", "w"))],
        [helper.make_tensor_value_info("answer", kinds.FLOAT, None)],
        [weights],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "m.onnx")
    return folder / "m.onnx"


def openvino_file(folder):
    openvino = pytest.importorskip("openvino", reason="openvino is not installed; make install")
    openvino.save_model(openvino.convert_model(onnx_file(folder)), folder / "m.xml", compress_to_fp16=False)
    return folder / "m.xml"


def litert_file(folder):
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed; make install")
    from tests.adapters.litert.made import colour_picker

    return colour_picker(folder / "m.tflite", [[-1, 0, 0], [1, 0, 0]], height=8, width=8, free=True)


FILES = {
    "torchscript": torchscript_file,
    "onnxruntime": onnx_file,
    "openvino": openvino_file,
    "litert": litert_file,
}


def of_file(kind, file, **options):
    adapter = load_adapter(kind)
    model = ModelSpec(
        name=f"{kind}/file", label="mine", adapter=kind, task="semantic", description="", options={**SIGNED, **options}
    )
    adapter.build(model, TWO_CLASSES, Target(threads=1), file)
    return adapter


@pytest.mark.parametrize("kind", [pytest.param(k, marks=[pytest.mark.openvino] * (k == "openvino")) for k in FILES])
def test_labels_of_each_kind_of_file_lie_where_the_mask_does(kind, tmp_path):
    file = FILES[kind](tmp_path)
    for size in SIZES:
        mask = bands(size, 1)
        (found,) = predict(of_file(kind, file), [picture(mask)])
        assert mean_iou(found.labels, mask) >= 0.99, size
    for fit in ("stretch", "letterbox", "pad", "crop"):
        adapter = of_file(kind, file, fit=fit, interpolation="linear", input={"size": list(NETWORK)})
        for size in SIZES:
            mask = bands(size, 0)
            (found,) = predict(adapter, [picture(mask)])
            answered = found.labels != IGNORE_LABEL
            assert mean_iou(found.labels[answered], mask[answered]) >= 0.99, (fit, size)


# --------------------------------------------------------------------------- objects


def lower_half(size):
    mask = np.zeros(size, bool)
    mask[size[0] // 2 :] = True
    return mask


@pytest.mark.parametrize("fit", [None, "letterbox", "pad", "crop"])
def test_masks_of_rf_detr_lie_where_the_mask_does(fit):
    needs("transformers")
    said = {} if fit is None else {"fit": fit, "size": [96, 96]}
    adapter = load_adapter("transformers")
    model = resolve_model("transformers/rf_detr_instance", options={"queries": 3, "input": {**SIGNED, **said}})
    adapter.build(model, INSTANCES, Target(threads=1), None)

    def repeats(pixels):
        masks = F.avg_pool2d(pixels[:, :1], 4).expand(-1, 3, -1, -1) * 8
        return torch.tensor([[[9.0, -9.0], [-9.0, -9.0], [-9.0, -9.0]]]).expand(len(pixels), -1, -1), masks

    adapter._chosen._runtime = repeats
    for size in SIZES:
        mask = lower_half(size)
        (found,) = predict(adapter, [picture(mask)])
        shown = np.ones(size, bool)
        if fit == "crop":  # the middle square is all that it sees
            cut = [(side - min(size)) // 2 + 1 for side in size]
            shown[:] = False
            shown[cut[0] : size[0] - cut[0], cut[1] : size[1] - cut[1]] = True
        assert iou(found.masks[0] & shown, mask & shown) >= 0.98, size


class Points:
    """Stands for the decoder of SAM: one mask for each prompt, what is white, at a quarter of the input."""

    def get_image_embeddings(self, pixels):
        return F.avg_pool2d(pixels[:, :1], 4)

    def __call__(self, *, image_embeddings, input_boxes, **_):
        count = input_boxes.shape[1]
        masks = image_embeddings[:, None].expand(-1, count, -1, -1, -1) * 8
        return type("Found", (), {"pred_masks": masks, "iou_scores": torch.ones(1, count, 1)})


@pytest.mark.parametrize("name", ["sam/sam_vit_b", "sam/sam2_hiera_tiny"])
def test_masks_of_sam_lie_where_the_mask_does(name):
    needs("transformers")
    from tests.adapters.sam.tiny import built

    adapter = built(name, input=SIGNED, input_size=256)
    adapter._network = replace(adapter._network, module=Points())
    for size in SIZES:
        mask = lower_half(size)
        box = np.array([[0.0, size[0] // 2, size[1], size[0]]], dtype=np.float32)
        (found,) = predict(adapter, [PromptedImage(picture(mask), Prompts("box", box))])
        assert iou(found.masks[0], mask) >= 0.985, size
