"""Pixel accuracy (aAcc): the share of right pixels.

What it measures:
    How many of the scored pixels have the right class, whatever the class.

Definition:
    Right pixels / pixels that are not void in the target, pooled over all images. A prediction that
    names no class is wrong.

When undefined:
    Where every target pixel is void.

Differs from:
    The same number as mmsegmentation's aAcc, Detectron2's pACC, Hugging Face's `overall_accuracy` and
    torchvision's global correct. `per_image` averages over images, so small images weigh as much
    as large ones. cityscapesScripts' per-image pixel accuracy inverts its mask and is not this.

Source:
    Long, Shelhamer & Darrell, Fully Convolutional Networks, CVPR 2015, §5 (pixel accuracy).
"""

from bench.metrics._semantic import ConfusionMetric, Formula, class_recall, micro, per_image

METRIC = ConfusionMetric(
    name="pixel_accuracy",
    label="aAcc",
    definition="right pixels / pixels that are not void, pooled over all images",
    formula=Formula(
        headline=micro(class_recall),
        undefined_because="every pixel of every target is void",
        dialects={"per_image": per_image(micro(class_recall))},
    ),
)
