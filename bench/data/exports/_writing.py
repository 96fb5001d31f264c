"""Holds what all exporters share: how one is called and what it returns, the images of a source, and files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TypeAlias

import cv2
from numpy import uint8, uint16
from numpy.typing import NDArray
from pydantic import JsonValue

from bench.data.exports import Exported
from bench.dataset import Dataset
from bench.errors import DatasetError
from bench.records.predictions import RgbImage

JPEG_QUALITY = 95
JPEG_LOSS = f"images are JPEG of quality {JPEG_QUALITY}"

Names: TypeAlias = Mapping[str, str]
"""Source class -> class of the format, of those that get another name."""

Written: TypeAlias = tuple[dict[str, str], dict[str, JsonValue]]
"""Id in the source -> id in the export, and the options beside `root` with which the export is read."""

Write: TypeAlias = Callable[[Dataset, Path, Names], Written]
"""Writes all splits of a source into a folder."""


Export: TypeAlias = Callable[..., Exported]
"""Writes all splits of a source into a folder, with `names` as a keyword, and export.json; raises `DatasetError`."""


def exporter(loss: tuple[str, ...]) -> Callable[[Write], Export]:
    """Make an export of what writes its files: one that refuses a folder which holds anything, and adds export.json."""

    def made(write: Write) -> Export:
        form = write.__module__.rpartition(".")[2]

        @wraps(write)
        def export(source: Dataset, folder: Path, *, names: Names | None = None) -> Exported:
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise DatasetError(
                    f"{folder} is not empty, and an export overwrites nothing. Give a new folder, or empty this one."
                )
            ids, options = write(source, folder, names or {})
            document = {
                "dataset": form,
                "options": {"root": ".", **options},
                "source": source.source,
                "licence": source.licence,
                "loss": list(loss),
                "ids": ids,
            }
            write_text(folder / "export.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n")
            return Exported(form, {"root": str(folder), **options}, folder, ids, loss)

        return export

    return made


@dataclass(frozen=True)
class Item:
    """One image of the source; `number` counts from 1 over all splits."""

    image_id: str
    split: str
    number: int


def items(source: Dataset) -> Iterator[Item]:
    """Yield all images of a source, split by split."""
    pairs = [(image_id, split) for split in source.splits() for image_id in source.ids(split)]
    for number, (image_id, split) in enumerate(pairs, start=1):
        yield Item(image_id, split, number)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_jpeg(path: Path, image: RgbImage) -> None:
    """Write an image, uint8, (H, W, 3), RGB, as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    path.write_bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())


def encoded_png(pixels: NDArray[uint8] | NDArray[uint16]) -> bytes:
    """Return grey of 8 or 16 bits, (H, W), or RGB or RGBA, uint8, (H, W, C), as PNG."""
    stored = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.shape[2:] == (3,) else pixels
    return cv2.imencode(".png", stored)[1].tobytes()


def write_png(path: Path, pixels: NDArray[uint8] | NDArray[uint16]) -> None:
    """Write grey of 8 or 16 bits, (H, W), or RGB, uint8, (H, W, 3), as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded_png(pixels))
