"""YOLO's text files with confidences, in `labels/`, and the names of the classes in `data.yaml`.

Outlines run along the edges of pixels, those of parts and holes in one line, so that filling pixel centres by the
even-odd rule gives the same mask. Programs that also paint the outline make masks half a pixel wider.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from bench.data.formats.polygons import one_line, outlines
from bench.data.predictions.writing.predicted import Predicted
from bench.records import TaskKind
from bench.records.predictions import Instances

KIND: TaskKind = "instance"


def write(predicted: Predicted, folder: Path) -> list[str]:
    """Write the files; objects without a pixel cannot be held."""
    (folder / "labels").mkdir()
    things = [class_id for class_id, spec in enumerate(predicted.dataset.classes) if spec.is_thing]
    number_of = {class_id: number for number, class_id in enumerate(things)}
    empty = 0
    for image_id, found in predicted:
        assert isinstance(found, Instances)
        height, width = found.size
        lines = []
        for mask, class_id, score in zip(found.masks, found.class_ids.tolist(), found.scores.tolist(), strict=True):
            corners = one_line(outlines(mask))
            if not corners or class_id not in number_of:
                empty += 1
                continue
            shares = " ".join(f"{x / width:.9f} {y / height:.9f}" for x, y in corners)
            lines.append(f"{number_of[class_id]} {shares} {score!r}\n")
        (folder / "labels" / f"{image_id}.txt").write_text("".join(lines), encoding="utf-8")
    names = {number: predicted.dataset.classes[class_id].name for class_id, number in number_of.items()}
    text = yaml.safe_dump({"names": names}, sort_keys=False, allow_unicode=True)
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    return [f"{empty} objects without a pixel or of stuff are left out"] if empty else []
