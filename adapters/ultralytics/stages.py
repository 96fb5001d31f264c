"""Cuts a pass into stages, with the framework's public pieces.

* `preprocess`: `LetterBox` (resize with the aspect ratio kept, pad with grey 114, centred), bytes to
  the device, channels first, / 255. RGB throughout: training reads BGR files and turns them into RGB,
  prediction takes BGR arrays and does the same; here images are RGB from the start.
* `infer`: the network with batch normalisation folded into its convolutions, as the framework's
  predictor runs it; boxes are decoded within it, and the NMS-free head picks its best within it.
* `postprocess`: suppression, masks from prototypes, boxes and masks at the original size, to the host;
  for label maps, logits are resized to the input, cropped out of the padding, resized to the
  original size, and then the highest wins.

Windows and scaled copies of a letterbox, which semantic-segmentation networks can be run on, are
padded to multiples of 32 with the same grey; `infer` then ends with logits at the letterbox's size.

The letterbox is the target's `image_size`, or the image scaled to the size that a checkpoint of the
framework's was trained at, or the image's own size, each rounded up to a multiple of
32. The framework's `auto` letterbox, which pads less where all images of a batch have one shape, is
not used: the answer to an image would depend on its neighbours. Images of different letterbox sizes
in one batch are padded further at the bottom and on the right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from adapters._torch.images import DeviceBatch, resize_logits, stack_images, to_host
from adapters._torch.runtimes.runtime import Pass, fixed_size
from adapters._torch.tta import by_content, padded_to, target_forward
from adapters.ultralytics.framework import LetterBox, nms, ops
from adapters.ultralytics.network import STRIDE, YoloNetwork
from adapters.ultralytics.options import InstanceOptions
from bench.records import IGNORE_LABEL, Size, Target
from bench.records.predictions import Instances, Prediction, RgbImage, SemanticMap

PROTOTYPE_STRIDE = 4
"""This says how many times smaller than the input mask prototypes are."""

GREY = 114 / 255
NO_TIME_LIMIT_S = 1e9
"""The framework gives suppression up where it takes long, so that a slow machine would see fewer objects."""


@dataclass(frozen=True)
class DeviceOutput:
    """The raw output that `infer` hands to `postprocess`.

    Attributes:
        output: Outputs on the device: logits (B, K, H/8, W/8), or (B, K, H, W) of several passes; or boxes, scores and
            mask coefficients (B, 4 + K + 32, anchors) with prototypes (B, 32, H/4, W/4).
        input_size: Size of the batch.
        content: Content as in `DeviceBatch`.
    """

    output: Any
    input_size: Size
    content: tuple[Size, ...]


def letterbox_size(size: Size, image_size: Size | None, trained_size: int | None = None) -> Size:
    """Return the network input of an image: `image_size` or its own size, rounded up to multiples of 32.

    Without an `image_size` its own size is first scaled until the longer side has `trained_size`, as the
    framework's predictor does with the size of the training.
    """
    height, width = image_size or size
    if image_size is None and trained_size is not None:
        scale = trained_size / max(size)
        height, width = (max(1, round(side * scale)) for side in size)
    return Size(math.ceil(height / STRIDE) * STRIDE, math.ceil(width / STRIDE) * STRIDE)


def letterboxed(
    images: Sequence[RgbImage],
    image_size: Size | None,
    device: torch.device,
    *,
    channels_last: bool,
    trained_size: int | None = None,
) -> DeviceBatch:
    """Letterbox images, each uint8 (H, W, 3), and put them on the device."""
    content = tuple(letterbox_size(Size(*image.shape[:2]), image_size, trained_size) for image in images)
    boxed = [
        np.asarray(LetterBox((size.height, size.width), stride=STRIDE)(image=image), dtype=np.uint8)
        for size, image in zip(content, images, strict=True)
    ]
    on_gpu = device.type == "cuda"
    pixels = stack_images(boxed, (GREY,) * 3, pin=on_gpu).to(device, non_blocking=on_gpu)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    floats = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=layout).div_(255)
    return DeviceBatch(floats, content)


class DetectionsAndPrototypes(nn.Module):
    """A network that finds instances, without what only its training reads."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return boxes with scores and mask coefficients, and prototypes; shapes as in `DeviceOutput`."""
        (detections, prototypes), _ = self.module(pixels)
        return detections, prototypes


def whole_pass(network: YoloNetwork, module: nn.Module, target: Target, calibration: Sequence[Tensor]) -> Pass:
    """Return a network as a runtime takes it: it ends before suppression and masks, which are ours everywhere."""
    size, options = fixed_size(target), network.options
    finds_instances = isinstance(options, InstanceOptions)
    if finds_instances and target.runtime != "eager":
        _forget_anchors(module)
    architecture = network.architecture
    if isinstance(options, InstanceOptions) and not options.nms:
        architecture["max_det"] = options.max_det  # this head picks its best within the network
    return Pass(
        module=DetectionsAndPrototypes(module) if finds_instances else module,
        architecture=architecture,
        size=None if size is None else letterbox_size(size, None),
        multiple=STRIDE,
        outputs=("detections", "prototypes") if finds_instances else ("logits",),
        calibration=tuple(calibration),
    )


def _forget_anchors(module: Any) -> None:
    """Make the head work out its anchors in each pass.

    It keeps those of the last shape otherwise, which an export would take for constants and a
    recording for its own. Strides as numbers need no look into a tensor.
    """
    head = module.model[-1]
    head.dynamic = True
    head.stride = head.stride.tolist()


class InstanceStages:
    """Reads the output of a network that finds instances.

    Args:
        network: Its options and classes are used.
        end2end: True if the head needs no suppression.
    """

    def __init__(self, network: YoloNetwork, *, end2end: bool) -> None:
        assert isinstance(network.options, InstanceOptions)
        self._options, self._end2end = network.options, end2end
        self._classes = len(network.class_names)
        self._class_ids = np.array(network.class_ids, dtype=np.int64)

    def forward(self, run: Callable[[Tensor], Any], batch: DeviceBatch) -> tuple[Tensor, Tensor]:
        """Return (boxes with scores and mask coefficients, prototypes)."""
        detections, prototypes = run(batch.pixels)
        return detections, prototypes

    def predictions(self, raw: DeviceOutput, sizes: Sequence[Size]) -> list[Prediction]:
        """Return the instances of each image at its original size, by falling confidence."""
        detections, prototypes = raw.output
        kept = nms.non_max_suppression(
            detections.float(),
            self._options.conf,
            self._options.iou,
            max_det=self._options.max_det,
            nc=self._classes,
            end2end=self._end2end,
            max_time_img=NO_TIME_LIMIT_S,
        )
        rows = []
        for found, prototype, content, size in zip(kept, prototypes, raw.content, sizes, strict=True):
            masks = self._masks(found, _cropped(prototype, content, PROTOTYPE_STRIDE), content, size)
            rows.append((masks, masks.flatten(1).any(1), found[:, 5].long(), found[:, 4].double()))
        return [self._instances(*row) for row in to_host(rows)]

    def _instances(
        self,
        masks: NDArray[np.bool_],
        has_pixels: NDArray[np.bool_],
        numbers: NDArray[np.int64],
        scores: NDArray[np.float64],
    ) -> Instances:
        class_ids = self._class_ids[numbers]
        # As the framework's predictor, without instances that have no pixel; and without classes the task lacks.
        seen = has_pixels & (class_ids != IGNORE_LABEL)
        return Instances.found(masks[seen], class_ids[seen], scores[seen])

    def _masks(self, found: Tensor, prototypes: Tensor, content: Size, size: Size) -> Tensor:
        """Return bool masks (N, H, W) at the original size of `found`, whose rows are x1, y1, x2, y2 in the letterbox,
        confidence, class, mask coefficients.
        """
        boxes, coefficients = found[:, :4].clone(), found[:, 6:]
        input_shape, shape = (content.height, content.width), (size.height, size.width)
        masks: Tensor
        if self._options.retina_masks:
            scaled = ops.scale_boxes(input_shape, boxes, shape)
            masks = ops.process_mask_native(prototypes, coefficients, scaled, shape)
            return masks.bool()
        masks = ops.process_mask(prototypes, coefficients, boxes, input_shape, upsample=True)
        if not len(masks):
            return masks.new_zeros((0, *size), dtype=torch.bool)
        at_image: Tensor = ops.scale_masks(masks[None].float(), shape)[0]
        return at_image > 0.5


class SemanticStages:
    """Reads the output of a network that labels pixels."""

    def __init__(self, network: YoloNetwork, target: Target, classes: int) -> None:
        """Take a network, the target that it is run on, and the number of the task's classes."""
        self._class_ids = np.array(network.class_ids, dtype=np.uint8)
        self._target, self._classes = target, classes

    def forward(self, run: Callable[[Tensor], Tensor], batch: DeviceBatch) -> Tensor:
        """Return logits (B, K, H/8, W/8), or (B, K, H, W) of the several passes that the target asks for."""

        def unpadded(pixels: Tensor) -> Tensor:
            size = Size(*pixels.shape[-2:])
            grown = padded_to(pixels, letterbox_size(size, None), GREY)
            logits = resize_logits(run(grown), Size(*grown.shape[-2:]))
            return logits[..., : size.height, : size.width]

        several_passes = target_forward(unpadded, self._target, fill=GREY)
        if several_passes is not None:
            return by_content(several_passes, batch.pixels, batch.content)
        return run(batch.pixels)

    def predictions(self, raw: DeviceOutput, sizes: Sequence[Size]) -> list[Prediction]:
        """Return the label map of each image at its original size."""
        highest = [
            (self._highest(logits, raw.input_size, content, size),)
            for logits, content, size in zip(raw.output, raw.content, sizes, strict=True)
        ]
        return [SemanticMap(self._class_ids[numbers]) for (numbers,) in to_host(highest)]

    def probabilities(self, raw: DeviceOutput, sizes: Sequence[Size]) -> list[NDArray[np.float32]]:
        """Return the softmax of each image's logits at its original size, (K, H, W), in the order of the task.

        What the network gives to classes that the task does not have is given to none.
        """
        return [
            self._of_classes(self._at_image(logits, raw.input_size, content, size).softmax(0))
            for logits, content, size in zip(raw.output, raw.content, sizes, strict=True)
        ]

    def _of_classes(self, of_network: Tensor) -> NDArray[np.float32]:
        found = np.zeros((self._classes, *of_network.shape[1:]), dtype=np.float32)
        for class_id, probability in zip(self._class_ids.tolist(), of_network.cpu().numpy(), strict=True):
            if class_id != IGNORE_LABEL:
                found[class_id] += probability
        return found

    def _at_image(self, logits: Tensor, input_size: Size, content: Size, size: Size) -> Tensor:
        at_input = F.interpolate(logits[None].float(), tuple(input_size), mode="bilinear", align_corners=False)
        return ops.scale_masks(_cropped(at_input, content, 1), (size.height, size.width))[0]

    def _highest(self, logits: Tensor, input_size: Size, content: Size, size: Size) -> Tensor:
        """Return the number of the class with the highest logit, uint8 (H, W) at the original size."""
        at_image = self._at_image(logits, input_size, content, size)
        # On a CPU the framework's predictor takes max(0), which streams over planes where argmax strides.
        highest = at_image.max(0).indices if at_image.device.type == "cpu" else at_image.argmax(0)
        return highest.to(torch.uint8)


def _cropped(planes: Tensor, content: Size, stride: int) -> Tensor:
    return planes[..., : content.height // stride, : content.width // stride].contiguous()
