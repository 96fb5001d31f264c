"""Gives the writers the predictions of a case in the data set's classes, with the ids that files use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.labels.mapping import ClassTable, map_prediction
from bench.data.predictions.requested import Requested
from bench.dataset import Dataset
from bench.errors import BenchError
from bench.records import TaskKind
from bench.records.predictions import Prediction
from bench.records.store.prediction_index import load_verified, read_index
from bench.score.reduce import reduced


@dataclass(frozen=True)
class Predicted:
    """Stored predictions of a case.

    Attributes:
        dataset: Data set with the classes of the predictions, once they are mapped.
        asked: The images, their names, and the annotation file whose ids are used, if there is one.
        stored: Folder of the predictions, with their index.
        native: Form in which they are stored.
        kind: Form in which they are written.
        table: Table from the model's classes to the data set's; None where they are the same.
    """

    label: str
    dataset: Dataset
    asked: Requested
    stored: Path
    native: TaskKind
    kind: TaskKind
    table: ClassTable | None

    def __iter__(self) -> Iterator[tuple[str, Prediction]]:
        """(image id, prediction) in the order of the split; raises `BenchError` for altered ones."""
        index = read_index(self.stored)
        for image_id in self.asked.ids:
            found = load_verified(self.native, self.stored, image_id, index)
            found = found if self.table is None else map_prediction(found, self.table)
            yield image_id, found if self.kind == self.native else reduced(found, self.kind, self.dataset.classes)

    def ground_truth(self, image_id: str) -> Prediction:
        """Return the ground truth of an image in the form that is written."""
        found = self.dataset.target(image_id).of(self.kind)
        if found is None:
            raise BenchError(f"image {image_id!r} has no {self.kind} ground truth")
        return found

    def image_rows(self) -> list[dict[str, Any]]:
        """Return COCO's row for each image, with the ids of the data set's own annotation file if it has one."""
        index = self.asked.annotations
        keys = {} if index is None else {Path(index.names[i].decode()).stem: i for i in range(len(index))}
        rows = []
        for number, image_id in enumerate(self.asked.ids, start=1):
            size = self.dataset.size(image_id)
            names = (name for name, owner in self.asked.names.items() if owner == image_id)
            at = next((keys[name] for name in names if name in keys), None)
            key, name = (number, f"{image_id}.png")
            if index is not None and at is not None:
                text = index.key(at)
                key, name = (int(text) if text.isdecimal() else text), index.names[at].decode()  # type: ignore[assignment]
            rows.append({"id": key, "file_name": name, "height": size.height, "width": size.width})
        return rows

    def category_rows(self) -> list[dict[str, Any]]:
        """Return COCO's row for each class, with the ids of the data set's own annotation file if it has one."""
        index = self.asked.annotations
        ids = {} if index is None else {name: key for key, name in index.names_of_categories.items()}
        known = all(spec.name in ids and ids[spec.name].isdecimal() for spec in self.dataset.classes if spec.is_thing)
        highest = max((int(key) for key in ids.values() if key.isdecimal()), default=0)
        rows = []
        for number, spec in enumerate(self.dataset.classes, start=1):
            own = int(ids[spec.name]) if known and spec.name in ids else highest + number if known and ids else number
            rows.append(
                {"id": own, "name": spec.name, "isthing": int(spec.is_thing), "color": list(spec.colour),
                 "supercategory": "thing" if spec.is_thing else "stuff"}
            )  # fmt: skip
        return rows
