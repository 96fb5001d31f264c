"""Size and mode of a plain JPEG from its first markers, in a tenth of Pillow's time.

Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bench.records import Size
from bench.records.damage import head_of

HEAD, START, START_OF_SCAN = 4096, b"\xff\xd8\xff", 0xDA
"""Bytes in which the markers before the coded data are looked for, what a JPEG begins with, and the last of them."""
START_OF_FRAME, MODES = (0xC0, 0xC1, 0xC2), {1: "L", 3: "RGB"}
"""Markers that say the size of frames of 8 bits by Huffman codes, and Pillow's mode by the number of components."""
WITHOUT_MEANING = (0xE0, 0xDB, 0xC4, 0xDD, 0xFE)
"""Markers that change neither size nor mode: JFIF, tables, restart interval, comment."""


class PlainJpeg(NamedTuple):
    """A JPEG of grey or of colour without EXIF: Pillow's mode, and its size."""

    mode: str
    size: Size


def plain_jpeg(path: Path) -> PlainJpeg | None:
    """Return what a JPEG without EXIF says; None for every other file and for anything unusual."""
    try:
        head = head_of(path, HEAD)
    except OSError:
        return None
    at, found = 2, None
    while head.startswith(START) and at + 9 < len(head) and head[at] == 0xFF:
        marker, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        if marker == START_OF_SCAN:
            return found
        if marker in START_OF_FRAME and found is None:
            size = Size(int.from_bytes(head[at + 5 : at + 7], "big"), int.from_bytes(head[at + 7 : at + 9], "big"))
            if head[at + 4] != 8 or head[at + 9] not in MODES or min(size) <= 0:
                return None
            found = PlainJpeg(MODES[head[at + 9]], size)
        elif marker not in WITHOUT_MEANING:
            return None
        at += 2 + length
    return None
