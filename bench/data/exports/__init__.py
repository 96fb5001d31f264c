"""Writing a data set in another format: one file per format, named as the data set that reads it.

A module `bench/data/exports/<name>.py` has

* a module docstring: what is written, and how the format's conventions are met;
* `LOSS`: what the format cannot hold, one sentence each;
* `export`, which writes all splits: an `exporter` of `_writing.py`, where it says what one is given and returns.

What is written reads back as the source's ground truth up to `LOSS`. Formats with classes of their own
take `names`: source class -> class of the format; by default classes of equal name, and for
`shapes` the table in `_writing.py`. `export.json` beside the data says what was lost and how to open it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue


@dataclass(frozen=True)
class Exported:
    """Hold what an export has written.

    Attributes:
        dataset: Name of the data set that reads it.
        ids: Id in the source -> id in the export.
        loss: Sentences on what the format could not hold.
    """

    dataset: str
    options: Mapping[str, JsonValue]
    folder: Path
    ids: Mapping[str, str]
    loss: tuple[str, ...]
