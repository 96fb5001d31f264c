"""Networks that find objects, and Detectron2's of labels: by their own predictors and by the harness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from bench.suite.model_configs import resolve_model
from tests.adapters.parity_pictures import ANY, NAMES, TASK, THINGS, ours

FEW = 20
"""Objects that are compared in a picture: networks with drawn weights are sure of none, and find any number."""


@dataclass(frozen=True)
class Found:
    """Objects of a picture, by falling score: masks (N, H, W), ids of the task, scores."""

    masks: np.ndarray
    class_ids: np.ndarray
    scores: np.ndarray


def found_by_us(name, image, **given):
    """The harness's answer as `Found`."""
    answer = ours(name, image, task=THINGS, **given)
    return Found(answer.masks, answer.class_ids, answer.scores)


# --------------------------------------------------------------------------- Detectron2

SMALL = {"norm": "BN", "fpn_channels": 16, "head_channels": 16, "box_head_channels": 32, "mask_head_channels": 8}


def of_detectron2(name):
    """Detectron2's DefaultPredictor on a config.yaml and a model_final.pth, which the harness is given alone."""

    def both(folder, image):
        from detectron2.config import get_cfg
        from detectron2.engine import DefaultPredictor

        from adapters.detectron2.panoptic_deeplab import add_panoptic_deeplab_config
        from bench.adapter import Target, load_adapter

        task = TASK if name.endswith("semantic_fpn") else THINGS
        small = {"short_edge": 64, "max_size": 96, "score_threshold": 0.0, "detections": FEW}
        maker = load_adapter("detectron2")
        maker.build(resolve_model(name, options={**SMALL, **small}), task, Target(threads=1), None)
        module, config = maker._network.module, maker._config.clone()
        if task is TASK:
            with torch.no_grad():
                predictor = module.sem_seg_head.predictor
                predictor.weight.normal_(generator=torch.Generator().manual_seed(1))
                logits = module([{"image": torch.from_numpy(image).permute(2, 0, 1)}])[0]["sem_seg"]
                predictor.bias.sub_(logits.mean(dim=(1, 2)))  # no class is ahead of the others everywhere
        config.defrost()
        config.INPUT.MIN_SIZE_TEST, config.INPUT.MAX_SIZE_TEST, config.DATASETS.TEST = 64, 96, ()
        config.MODEL.PIXEL_MEAN, config.MODEL.WEIGHTS = [100.0, 110.0, 120.0], str(folder / "model_final.pth")
        torch.save({"model": module.state_dict(), "iteration": 9}, folder / "model_final.pth")
        (folder / "config.yaml").write_text(config.dump())
        read = get_cfg()
        add_panoptic_deeplab_config(read)
        read.merge_from_file(str(folder / "config.yaml"))
        theirs = DefaultPredictor(read)(np.ascontiguousarray(image[..., ::-1]))
        given = {"weights": folder / "model_final.pth", "score_threshold": 0.0, "detections": FEW}
        if task is TASK:
            return ours(name, image, **given).labels, theirs["sem_seg"].argmax(0).numpy()
        one = theirs["instances"]
        classes = one.pred_classes.numpy() + 1  # the ground is no thing
        return found_by_us(name, image, **given), Found(one.pred_masks.numpy(), classes, one.scores.numpy())

    return both


# --------------------------------------------------------------------------- torchvision, transformers


def of_mask_rcnn(folder, image):
    """torchvision's Mask R-CNN, as its documentation runs it."""
    from torchvision.models import detection

    made = {"weights": None, "weights_backbone": None, "num_classes": len(NAMES), "min_size": 64, "max_size": 96}
    torch.manual_seed(0)
    module = detection.maskrcnn_resnet50_fpn(**made, box_score_thresh=0.0, box_detections_per_img=FEW)
    file = folder / "model.pth"
    torch.save({"model": module.state_dict()}, file)
    theirs = detection.maskrcnn_resnet50_fpn(**made, box_score_thresh=0.0, box_detections_per_img=FEW).eval()
    theirs.load_state_dict(torch.load(file, weights_only=True)["model"])
    with torch.inference_mode():
        (one,) = theirs([torch.from_numpy(image).permute(2, 0, 1).float() / 255])
    expected = Found((one["masks"][:, 0] >= 0.5).numpy(), one["labels"].numpy(), one["scores"].numpy())
    options = {"short_edge": 64, "max_size": 96, "score_threshold": 0.0, "detections": FEW}
    return found_by_us("torchvision/maskrcnn_resnet50_fpn", image, weights=file, **options), expected


def of_rf_detr(folder, image):
    """RF-DETR of transformers, by its own processor."""
    from transformers import RfDetrForInstanceSegmentation, RfDetrImageProcessor

    from bench.adapter import Target, load_adapter

    name, small = (
        "transformers/rf_detr_instance",
        {"queries": 8, "encoder_layers": 2, "decoder_layers": 1, "canvas": 48},
    )
    maker = load_adapter("transformers")
    maker.build(resolve_model(name, options=small), THINGS, Target(threads=1), None)
    module = maker._chosen._network.module.module
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter, values in module.named_parameters():
            if any(part in parameter for part in ("class_embed", "query_feat", "segmentation_bias")):
                values.copy_(torch.randn(values.shape, generator=generator) * ("bias" not in parameter))
    module.config.id2label = dict(enumerate(NAMES[1:]))
    module.config.label2id = {label: i for i, label in enumerate(NAMES[1:])}
    module.save_pretrained(folder)
    own = RfDetrForInstanceSegmentation.from_pretrained(folder).eval()
    reader = RfDetrImageProcessor(size={"height": 48, "width": 48}, do_pad=False)
    reader.save_pretrained(folder)
    with torch.inference_mode():
        outputs = own(reader(images=image, return_tensors="pt")["pixel_values"])
    (theirs,) = reader.post_process_instance_segmentation(
        outputs, threshold=0.3, target_sizes=[image.shape[:2]], return_binary_maps=True, top_k=100
    )
    segments = theirs["segments_info"]
    expected = Found(
        theirs["segmentation"].numpy() > 0,
        np.array([one["label_id"] + 1 for one in segments]),
        np.array([one["score"] for one in segments]),
    )
    return found_by_us(name, image, pretrained=str(folder), score_threshold=0.3, canvas=48), expected


FAMILIES = {
    "detectron2/semantic_fpn": (ANY, of_detectron2("detectron2/semantic_fpn")),
    "detectron2/mask_rcnn": (ANY, of_detectron2("detectron2/mask_rcnn")),
    "torchvision/maskrcnn_resnet50_fpn": (ANY, of_mask_rcnn),
    "transformers/rf_detr_instance": (ANY, of_rf_detr),
}
