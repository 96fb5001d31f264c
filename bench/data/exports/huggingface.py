"""Write a data set as parquet files of Hugging Face `datasets`, a file for each split, with features that its library
reads: image and mask as PNG, and objects with a ClassLabel and a mask each where there are any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.exports._classes import has_objects, objects_of, renamed
from bench.data.exports._writing import Names, Written, encoded_png, exporter, write_text
from bench.data.formats.hf_tables import pyarrow_parquet
from bench.dataset import Dataset
from bench.records import IGNORE_LABEL

LOSS = (
    "panoptic segments: objects and the class of each pixel are kept, in columns of their own",
    "crowds are objects like others",
    "ids: rows are counted",
)
ROWS = 100
"""Rows of a row group, as `datasets` has for images."""


@exporter(LOSS)
def export(source: Dataset, folder: Path, names: Names) -> Written:
    """Write all splits; `names` renames classes."""
    pyarrow_parquet()
    import pyarrow

    folder.mkdir(parents=True, exist_ok=True)
    labels = renamed(source, names)
    features: dict[str, Any] = {"image_id": {"dtype": "string", "_type": "Value"}}
    features |= {"image": {"_type": "Image"}, "mask": {"_type": "Image"}}
    picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    columns = [("image_id", pyarrow.string()), ("image", picture), ("mask", picture)]
    if has_objects(source):
        label = {"names": labels, "_type": "ClassLabel"}
        features["objects"] = {"feature": {"category": label, "mask": {"_type": "Image"}}, "_type": "List"}
        columns.append(("objects", pyarrow.list_(pyarrow.struct([("category", pyarrow.int64()), ("mask", picture)]))))
    schema = pyarrow.schema(columns, metadata={"huggingface": json.dumps({"info": {"features": features}})})
    ids: dict[str, str] = {}
    for split in source.splits():
        listed = source.ids(split)
        ids |= {image_id: f"{split}__{number:06d}" for number, image_id in enumerate(listed)}
        with pyarrow_parquet().ParquetWriter(folder / f"{split}-00000-of-00001.parquet", schema) as writer:
            for start in range(0, len(listed), ROWS):
                rows = [_row(source, image_id) for image_id in listed[start : start + ROWS]]
                writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema), row_group_size=ROWS)
    write_text(folder / "id2label.json", json.dumps(dict(enumerate(labels)), ensure_ascii=False))
    return ids, {"void": IGNORE_LABEL}


def _row(source: Dataset, image_id: str) -> dict[str, Any]:
    ground_truth = source.target(image_id)
    row: dict[str, Any] = {"image_id": image_id, "image": _png(source.image(image_id))}
    row["mask"] = _png(ground_truth.semantic.labels)
    if has_objects(source):
        found = objects_of(ground_truth, source.classes, form="huggingface")
        pairs = zip(found.class_ids.tolist(), found.masks, strict=True)
        row["objects"] = [{"category": c, "mask": _png(m.astype(np.uint8) * np.uint8(255))} for c, m in pairs]
    return row


def _png(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    return {"bytes": encoded_png(pixels), "path": None}
