"""YOLO's text files: one for an image, with a line `class x1 y1 x2 y2 … confidence` for an object, in shares of sides.

Ultralytics writes them with `save_txt=True, save_conf=True`, and none for an image without objects. Its outlines run
through the centres of the outermost pixels, so that masks come back about half a pixel smaller all round, without holes
and further parts; its `save_json=True` writes COCO results, which hold masks exactly.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from bench.data.formats.documents import read_text, read_yaml
from bench.data.formats.polygons import Corners, polygon_masks
from bench.data.formats.typed import VALUES, as_typed
from bench.data.predictions.matching import Reader, match_files, named
from bench.data.predictions.options import Options
from bench.data.predictions.requested import Requested, numbered
from bench.errors import ShapeError
from bench.records import Flag, Size
from bench.records.predictions import Instances

SUFFIXES = (".txt",)
NUMBERED = "It should say a number for each name. Correct it, or say the classes by the option classes."
OUTLINES = Flag(
    name="outlines_for_masks",
    seen="masks are filled from YOLO's outlines, which lose holes and about half a pixel all round where Ultralytics "
    "wrote them",
    advice="score COCO results (save_json=True) where that matters",
)


class YoloTexts(Reader):
    """Reads YOLO's text files."""

    def __init__(self, root: Path, options: Options, asked: Requested) -> None:
        """Match files with images and numbers with classes; reads no file of objects."""
        folder = root / "labels" if (root / "labels").is_dir() and options.pattern is None else root
        self._matched = match_files(folder, options.pattern, SUFFIXES, asked)
        names = _names_beside(root) if options.classes is None else None
        things = {spec.name: number for number, spec in enumerate(spec for spec in asked.classes if spec.is_thing)}
        self._class_of = numbered(
            names or options.classes or things, asked, offset=options.offset, where=f"{root}: classes"
        )
        self._asked = asked
        self._flags = [OUTLINES, *self._matched.flags(missing_are="taken to hold no object")]

    def read(self, image_id: str, size: Size) -> Instances:
        """Return the objects of an image; raises `BenchError` for lines that are no outline with a confidence."""
        file = self._matched.files.get(image_id)
        lines = [] if file is None else read_text(file).splitlines()
        found = [self._object(line, f"{file}:{n}", size) for n, line in enumerate(lines, start=1) if line.strip()]
        return Instances(
            masks=polygon_masks([[corners] for _, corners, _ in found], size),
            class_ids=np.array([class_id for class_id, _, _ in found], dtype=np.int64),
            scores=np.array([score for _, _, score in found], dtype=np.float64),
            crowd=np.zeros(len(found), dtype=np.bool_),
        )

    def _object(self, line: str, where: str, size: Size) -> tuple[int, Corners, float]:
        try:
            numbers = [float(part) for part in line.split()]
        except ValueError:
            raise ShapeError(f"{where} holds something that is no number: {line[:60]!r}") from None
        if not all(map(math.isfinite, numbers)):
            raise ShapeError(f"{where} holds a number that is not finite")
        if len(numbers) in (5, 6):
            raise ShapeError(f"{where} is a box of a detector; masks are scored here. Predict with a -seg model")
        if len(numbers) % 2 or len(numbers) < 8:
            raise ShapeError(
                f"{where} has {len(numbers)} numbers; expected a class, three or more pairs x y, and a confidence, by "
                "which detections are ranked. Predict again with save_conf=True"
            )
        class_id, score = self._class_of.get(int(numbers[0])), numbers[-1]
        if class_id is None or numbers[0] % 1:
            raise ShapeError(
                f"{where} is of class {numbers[0]:g}; known are {named([str(n) for n in sorted(self._class_of)])}. Say "
                "the names in the order of the model's classes by the option classes"
            )
        corners = np.array(numbers[1:-1]).reshape(-1, 2)
        if not 0 <= score <= 1 or (np.abs(corners) > 2).any():
            what = f"the confidence {score:g}" if not 0 <= score <= 1 else "coordinates in pixels"
            raise ShapeError(
                f"{where} has {what}; expected shares of width and height, and a confidence within 0 and 1"
            )
        return class_id, corners * (size.width, size.height), score


def _names_beside(root: Path) -> dict[str, int] | None:
    """Return name -> number of a data.yaml beside the files; None without one."""
    for file in (root / "data.yaml", root / "dataset.yaml"):
        if file.is_file():
            document = read_yaml(file)
            names = document.get("names") if isinstance(document, dict) else None
            if isinstance(names, list):
                return {str(name): number for number, name in enumerate(names)}
            if isinstance(names, dict):
                return as_typed(
                    VALUES, {str(name): number for number, name in names.items()}, f"{file}: names", NUMBERED
                )
    return None
