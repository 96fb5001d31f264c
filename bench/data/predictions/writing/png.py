"""Label maps, a PNG for each image whose values are class ids, with their names in nnU-Net's `dataset.json`.

255 (65535 where there are more than 255 classes) names no class.
"""

from __future__ import annotations

import json
from pathlib import Path

from bench.data.predictions.writing.predicted import Predicted
from bench.records import TaskKind
from bench.records.png import write_png
from bench.records.predictions import SemanticMap

KIND: TaskKind = "semantic"


def write(predicted: Predicted, folder: Path) -> list[str]:
    """Write the maps and the names; nothing is lost."""
    for image_id, found in predicted:
        assert isinstance(found, SemanticMap)
        write_png(folder / f"{image_id}.png", found.labels)
    labels = {spec.name: class_id for class_id, spec in enumerate(predicted.dataset.classes)}
    text = json.dumps({"labels": labels, "file_ending": ".png"}, indent=2, ensure_ascii=False)
    (folder / "dataset.json").write_text(f"{text}\n", encoding="utf-8")
    return []
