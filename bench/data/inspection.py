"""Inspects one image for a check: whether it can be read and its ground truth fits, and how to recognise it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.displaced import ENOUGH_PIXELS, frame, packed
from bench.data.duplicates import key_of_file, key_of_pixels, thumbnail
from bench.data.formats.bands import DARK, LOW, as_bytes, highest_value, is_of_16_bits
from bench.data.formats.contents import classes_in, drawn_twice, dropped_alpha, unseen_objects, values_in
from bench.data.formats.image_files import MASK_SUFFIXES, glance
from bench.data.formats.image_headers import header_of, read_bytes
from bench.data.formats.label_tables import runs_of
from bench.data.formats.on_disk import Entry, OnDisk
from bench.data.formats.orientation import pose_contrasts
from bench.data.labels.dataset import on_disk
from bench.data.scan import Row
from bench.dataset import Dataset, GroundTruth
from bench.errors import DatasetError
from bench.records import Size, background_class, void_of

INSPECTION_VERSION = 9
"""Raised when `inspect` gives other rows for the same files."""

JPEG_SUFFIXES = (".jpg", ".jpeg")
FILLED = 0.93
"""Share of the turned box around it that the mask of such a box covers; a disk of 14 pixels covers 0.85."""
SIZEABLE = 8
"""Pixels that an object has across and down, at least, of which its outline can tell whether it is a mere box."""


def inspect(dataset: Dataset, image_id: str) -> Row:
    """Look at one image and its ground truth.

    Returns:
        `found`: list of [kind of finding, message]; `content` and `thumbnail`: see `duplicates`, `frame`: see
        `displaced`, all missing if the image cannot be read or is a slice of one value; `classes`: ids of the
        classes in it, `objects` and `unseen`: numbers of objects and of those without a pixel, all missing if its
        ground truth cannot be read; `stored`: how each mask file is stored; `contrasts`: along the outlines of the
        labels of an image that EXIF turns, by what they may fit; `poses`, `reach`, `shares`, `sizeable` and
        `rectangles`: what only many images together can tell, see `label_doubts`; `sixteen`: the highest value of an
        image of 16 bits, or at least one that needs them.
    """
    files = on_disk(dataset)
    entry = None if files is None else files.entry(image_id)
    own_file = None if files is None or files.pictures is not None else entry
    row: Row = {"found": []}
    size: Size | None = None
    looked: _Image | None = None
    try:
        looked = _looked_at_image(dataset, image_id, own_file, files)
        size = looked.size
        if own_file is not None and files is not None and files.bands is None and is_of_16_bits(own_file.image):
            row["sixteen"] = highest_value(own_file.image) if looked.grey.max(initial=0) <= DARK else LOW
        if looked.content:
            row["content"], row["thumbnail"], row["frame"] = looked.content, looked.thumbnail, looked.frame
    except DatasetError as error:
        row["found"].append(["image", str(error)])
    try:
        ground_truth = dataset.target(image_id)
        row["found"] += _of_ground_truth(dataset, ground_truth, size)
        row["classes"] = classes_in(dataset, ground_truth)
        row["objects"], row["unseen"] = _objects(ground_truth), unseen_objects(ground_truth)
        doubts = () if files is None else files.doubts(image_id)
        row["found"] += [[doubt.kind, doubt.describe()] for doubt in doubts]
        row.update(_of_labels(dataset, ground_truth, None if looked is None else looked.grey))
    except DatasetError as error:
        # The size of a ground truth is compared with that of its image; where that cannot be read, it was told above.
        if error.kind != "image" or not row["found"]:
            row["found"].append([error.kind or "truth", str(error)])
    if files is not None and own_file is not None and "classes" in row and files.exif_orientation(image_id) != 1:
        told = f"{own_file.image}: EXIF orientation {files.exif_orientation(image_id)}"
        row["contrasts"] = files.contrasts(image_id, files.readings(image_id)) if "content" in row else {}
        row["found"].append(["turned", f"{told}, labels fit it as {files.orientation or 'shown'}"])
    if own_file is not None and "content" in row and getattr(dataset, "bands", None) is None:
        row["found"] += [["alpha", told] for told in dropped_alpha(own_file.image)]
    row["stored"] = [] if own_file is None else [_stored(path) for path in mask_files(own_file)]
    return row


class _Image(NamedTuple):
    """Size, content key, thumbnail (in hex), frame (as text) and grey values of an image that can be read."""

    size: Size
    content: str
    thumbnail: str
    frame: str
    grey: NDArray[np.uint8]

    @classmethod
    def of(cls, size: Size, content: str, grey: NDArray[np.uint8]) -> _Image:
        """Make it of the grey values."""
        return cls(size, content, thumbnail(grey).tobytes().hex(), packed(frame(grey)), grey)


def _looked_at_image(dataset: Dataset, image_id: str, entry: Entry | None, files: OnDisk | None) -> _Image:
    bands = getattr(dataset, "bands", None)
    encoded = None if entry is None else read_bytes(entry.image)
    if entry is not None and encoded is not None and bands is None:
        seen = glance(encoded, entry.image, least=ENOUGH_PIXELS)
        return _Image.of(seen.size, key_of_file(encoded), seen.grey)
    image = dataset.image(image_id)
    shown = as_bytes(image) if bands is None else bands.shown(image)
    # Slices beside the body are all alike, and no copies of one another.
    blank = entry is None and files is not None and bool((image == image[0, 0]).all())
    content = key_of_file(encoded) if encoded is not None else "" if blank else key_of_pixels(image)
    grey = np.asarray(cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    return _Image.of(Size(*image.shape[:2]), content, grey)


def _of_ground_truth(dataset: Dataset, ground_truth: GroundTruth, size: Size | None) -> list[list[str]]:
    """Findings about a ground truth that could be read."""
    found = []
    if size is not None and ground_truth.semantic.size != size:
        sizes = f"{tuple(ground_truth.semantic.size)}, the image {tuple(size)} (height, width)"
        found.append(["size", f"the ground truth is {sizes}"])
    present = values_in(ground_truth.semantic.labels)
    outside = present[(present >= len(dataset.classes)) & (present != void_of(ground_truth.semantic.labels))]
    if len(outside):
        found.append(["labels", f"class ids {', '.join(map(str, outside.tolist()))} of {len(dataset.classes)} classes"])
    if unseen := unseen_objects(ground_truth):
        found.append(["unseen", f"{unseen} of {_objects(ground_truth)} objects cover no pixel"])
    if twice := drawn_twice(ground_truth):
        told = "objects cover the pixels of another of their class, or nearly so"
        found.append(["twice", f"{twice} of {_objects(ground_truth)} {told}"])
    empty = _emptiness(dataset, ground_truth, present)
    return [*found, *([["empty", empty]] if empty else [])]


def _of_labels(dataset: Dataset, ground_truth: GroundTruth, grey: NDArray[np.uint8] | None) -> Row:
    """Return properties of an image's labels for `label_doubts`: where they end, their shares, their fit to edges."""
    labels, row = ground_truth.semantic.labels, Row()
    background = background_class(dataset.classes)
    if "semantic" in dataset.tasks:
        runs = runs_of(labels)
        counts = np.bincount(runs.values, weights=runs.lengths)
        row["shares"] = {str(i): round(counts[i] / labels.size, 4) for i in np.flatnonzero(counts).tolist()}
    if "semantic" not in dataset.tasks or background is not None:
        seen = (labels != void_of(labels)) & (labels != (-1 if background is None else background))
        left, top, width, height = cv2.boundingRect(seen.view(np.uint8))
        row["reach"] = [(left + width) / labels.shape[1], (top + height) / labels.shape[0]] if width else []
    if grey is not None:
        row["poses"] = pose_contrasts(grey, labels)
    if ground_truth.instances is not None:
        boxes = [cv2.boundingRect(mask.view(np.uint8)) for mask in ground_truth.instances.masks]
        kept = [n for n, box in enumerate(boxes) if min(box[2:]) >= SIZEABLE]
        pixels = ground_truth.instances.masks.view(np.uint8)
        row["sizeable"] = len(kept)
        row["rectangles"] = sum(_is_rectangle(pixels[n], boxes[n]) for n in kept)
    return row


def _is_rectangle(pixels: NDArray[np.uint8], box: Sequence[int]) -> bool:
    """Return whether a mask fills the box around it, or one that is turned, as those of detectors of turned boxes."""
    left, top, width, height = box
    count = cv2.countNonZero(pixels)
    if count == width * height:
        return True
    part = np.ascontiguousarray(pixels[top : top + height, left : left + width])
    outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if len(outlines) != 1 or len(outlines[0]) < 3:
        return False
    _, (across, down), _ = cv2.minAreaRect(outlines[0])
    # Outlines run through the centres of pixels, of which some lie on the very edge of a turned box.
    return min(across, down) >= SIZEABLE and count >= FILLED * (across + 0.5) * (down + 0.5)


def _objects(ground_truth: GroundTruth) -> int:
    return 0 if ground_truth.instances is None else len(ground_truth.instances.masks)


def _emptiness(dataset: Dataset, ground_truth: GroundTruth, present: NDArray[np.intp]) -> str:
    """Return in what way a ground truth is empty; '' if it is not."""
    if "semantic" not in dataset.tasks:
        return "no object" if ground_truth.instances is None or not len(ground_truth.instances.masks) else ""
    void = void_of(ground_truth.semantic.labels)
    if set(present.tolist()) <= {void}:
        return "all void"
    return "only background" if set(present.tolist()) <= {background_class(dataset.classes), void} else ""


def mask_files(entry: Entry) -> list[Path]:
    """Those of its ground truth that are pictures."""
    pictures = {*MASK_SUFFIXES, *JPEG_SUFFIXES} - {".npy"}
    return [path for path in entry.ground_truths if path.suffix.lower() in pictures]


def _stored(path: Path) -> list[str]:
    """Mode of a mask, and the first colours of its palette in hex; an empty mode if it cannot be read."""
    try:
        header = header_of(path)
    except DatasetError:
        return ["", ""]
    return [header.mode, header.palette.hex()]
