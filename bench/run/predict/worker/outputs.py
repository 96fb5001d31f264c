"""The files of a prediction: masks, JSON, overlays. Each appears whole or not at all.

| task | files |
|---|---|
| semantic | `x.png` class ids (255 = none), `x_palette.png` the same with the classes' colours |
| instance | `x.json` COCO results: compressed run lengths, `category_id` = class id + 1 |
| panoptic | `x.png` segment ids as R + 256 G + 65536 B, `x.json` COCO `segments_info` |
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.formats.rasters import text_of_run_lengths
from bench.data.formats.tint import mixed, palette_of, rims
from bench.errors import BenchError
from bench.records import ClassSpec, background_class
from bench.records.colours import object_colours
from bench.records.mask_runs import run_lengths
from bench.records.png import encode_png, rgb_of_ids
from bench.records.predictions import Instances, LabelMap, Panoptic, Prediction, RgbImage, SemanticMap
from bench.records.store.files import write_atomically
from bench.run.predict.worker.request import SHOW_FROM, OverlayForm

BAND = 512
"""Rows that are painted at a time, so that a picture costs little more than itself."""

JPEG_LONGEST = 65500
RIM = (255, 255, 255)


def write_prediction(
    prediction: Prediction, picture: RgbImage, out: Path, name: str, classes: tuple[ClassSpec, ...], form: OverlayForm
) -> dict[str, str]:
    """Write all files of a prediction, of which `picture` is the overlay; returns what each is -> its path in `out`."""
    files = {}
    for what, suffix, content in (*_masks(prediction, name, classes), _overlay(picture, form)):
        write_atomically(out / f"{name}{suffix}", content)
        files[what] = f"{name}{suffix}"
    return files


def _masks(prediction: Prediction, name: str, classes: tuple[ClassSpec, ...]) -> list[tuple[str, str, bytes]]:
    if isinstance(prediction, SemanticMap):
        ids = prediction.labels
        return [("mask", ".png", encode_png(ids)), ("palette", "_palette.png", _palette_png(ids, classes))]
    if isinstance(prediction, Panoptic):
        return [
            ("mask", ".png", encode_png(rgb_of_ids(prediction.segment_ids))),
            ("segments", ".json", _json({"image": name, "segments_info": _segments(prediction, classes)})),
        ]
    if isinstance(prediction, Instances):
        return [("instances", ".json", _json(_coco_rows(prediction, name, classes)))]
    raise BenchError("masks that answer prompts have no files of their own; choose a model of another task")


def _overlay(picture: RgbImage, form: OverlayForm) -> tuple[str, str, bytes]:
    kind = "png" if max(picture.shape[:2]) > JPEG_LONGEST else form
    return "overlay", f"_overlay.{kind}", _encoded(picture, kind)


def _json(document: object) -> bytes:
    return (json.dumps(document, ensure_ascii=False) + "\n").encode()


def _encoded(pixels: NDArray[np.uint8], form: OverlayForm) -> bytes:
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    settings = [cv2.IMWRITE_PNG_COMPRESSION, 1] if form == "png" else [cv2.IMWRITE_JPEG_QUALITY, 92]
    done, encoded = cv2.imencode(f".{form}", bgr, settings)
    if not done:
        raise BenchError(f"a picture of {pixels.shape[0]} × {pixels.shape[1]} pixels cannot be encoded as {form}")
    return encoded.tobytes()


def _palette_png(labels: LabelMap, classes: tuple[ClassSpec, ...]) -> bytes:
    if labels.dtype != np.uint8:  # a palette has 256 places
        return encode_png(labels)
    picture = Image.fromarray(labels, mode="P")
    colours = [spec.colour for spec in classes]
    grey = [(128, 128, 128)] * (256 - len(colours))
    picture.putpalette(np.array([*colours, *grey], dtype=np.uint8).tobytes())
    file = io.BytesIO()
    picture.save(file, format="PNG", compress_level=1)
    return file.getvalue()


def _segments(panoptic: Panoptic, classes: tuple[ClassSpec, ...]) -> list[dict[str, Any]]:
    rows = []
    for segment in panoptic.segments:
        mask = (panoptic.segment_ids == segment.id).view(np.uint8)
        rows.append(
            {
                "id": segment.id,
                "category_id": segment.class_id + 1,
                "category": classes[segment.class_id].name,
                "isthing": int(classes[segment.class_id].is_thing),
                "area": int(cv2.countNonZero(mask)),
                "bbox": list(cv2.boundingRect(mask)),
                "score": segment.score,
            }
        )
    return rows


def _coco_rows(instances: Instances, name: str, classes: tuple[ClassSpec, ...]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": name,
            "category_id": int(class_id) + 1,
            "category": classes[int(class_id)].name,
            "score": float(score),
            "bbox": list(cv2.boundingRect(mask.view(np.uint8))),
            "area": int(cv2.countNonZero(mask.view(np.uint8))),
            "segmentation": {"size": list(mask.shape), "counts": text_of_run_lengths(run_lengths(mask))},
        }
        for mask, class_id, score in zip(instances.masks, instances.class_ids, instances.scores, strict=True)
    ]


def overlay(
    image: RgbImage, prediction: Prediction, classes: tuple[ClassSpec, ...], show_from: float = SHOW_FROM
) -> RgbImage:
    """Return the image tinted with its classes' colours, uint8, (H, W, 3).

    Pixels of no class and of a class called `background` keep their own colour. Each object and each
    segment has a shade of its class's colour and a white rim, so that neighbours of one class can be
    told apart; instances with a score below `show_from` are left out, and the surest lie on top.
    """
    shown = _shown(prediction, classes, show_from)
    painted = np.empty_like(image)
    for top in range(0, len(image), BAND):
        rows = slice(top, top + BAND)
        ids = shown.ids[rows]
        painted[rows] = mixed(image[rows], shown.palette[ids], shown.tinted[ids])
    if shown.rims is not None:
        painted[shown.rims] = RIM
    return painted


class _Shown(NamedTuple):
    """Hold ids per pixel, (H, W), the colour of each id, (N, 3), whether it is tinted, (N,), and rims."""

    ids: NDArray[np.generic]
    palette: NDArray[np.uint8]
    tinted: NDArray[np.bool_]
    rims: NDArray[np.bool_] | None


def _shown(prediction: Prediction, classes: tuple[ClassSpec, ...], show_from: float) -> _Shown:
    palette = palette_of(classes)
    tinted = np.zeros(len(palette), dtype=np.bool_)
    tinted[: len(classes)] = [index != background_class(classes) for index in range(len(classes))]
    if isinstance(prediction, SemanticMap):
        return _Shown(prediction.labels, palette, tinted, None)
    objects, class_of = _objects(prediction, show_from)
    colours = object_colours(objects, class_of, palette)
    return _Shown(objects, colours, np.concatenate([[False], tinted[class_of]]), rims(objects, thin=True))


def _objects(prediction: Prediction, show_from: float) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return each pixel's object, from 1, the surest on top, and the class of each; nothing of a label map."""
    objects = np.zeros(prediction.size, dtype=np.int32)
    if isinstance(prediction, Panoptic):
        for number, segment in enumerate(prediction.segments, start=1):
            objects[prediction.segment_ids == segment.id] = number
        return objects, np.array([segment.class_id for segment in prediction.segments], dtype=np.int64)
    if isinstance(prediction, Instances):
        for index in np.argsort(prediction.scores, kind="stable"):
            if prediction.scores[index] >= show_from:
                objects[prediction.masks[index]] = index + 1
        return objects, prediction.class_ids
    return objects, np.zeros(0, dtype=np.int64)
