"""Images and frames of videos in batches, decoded ahead of the model: images side by side, frames one after another."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.formats.bands import DARK, BandReading, few_bits, full_range, highest_value, stored_bands
from bench.data.formats.image_files import read_image
from bench.data.formats.image_headers import Unreadable
from bench.errors import DatasetError
from bench.records.predictions import RgbImage
from bench.run.predict.worker.request import FilesRequest, Item
from bench.run.worker.prefetch import loaded_ahead, loading_threads


@dataclass(frozen=True)
class Frame:
    """An image, or one frame of a video.

    Attributes:
        item: Image or video that it belongs to.
        image: Pixels as the model takes them: uint8, (H, W, 3), RGB, or the declared bands, (H, W, C), uint8 or
            float32.
        decode_s: Seconds from the file's bytes on disk to it.
        number: Number of a frame, counted from 0 in the video; None for an image.
        fps: Frames a second of the video, 0 where it does not say.
    """

    item: Item
    image: NDArray[Any]
    decode_s: float
    number: int | None = None
    fps: float = 0.0


@dataclass(frozen=True)
class End:
    """An item that is through.

    Attributes:
        item: A video after its last frame, or anything that cannot be read.
        reason: Reason why it cannot be read; None if it was.
        note: Remark on an item that was read; None without one.
    """

    item: Item
    reason: str | None = None
    note: str | None = None


@dataclass
class Batch:
    """Frames for one call of the model, and items that ended before them or among them."""

    frames: list[Frame] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)


def batches(request: FilesRequest, size: int, *, mixed: bool, reading: BandReading | None = None) -> Iterator[Batch]:
    """Yield everything in batches, the next one decoding while the last one is predicted.

    Args:
        request: Request that names the images and videos.
        size: Number of frames in a batch.
        mixed: True if images of different sizes may share a batch; where the model would pad them,
            the labels of one could depend on the others.
        reading: Rule for reading images; None where nothing is declared.
    """
    made = _grouped(request, size, reading, mixed=mixed)
    with ThreadPoolExecutor(1) as loader:
        ahead = loader.submit(next, made, None)
        while (batch := ahead.result()) is not None:
            ahead = loader.submit(next, made, None)
            yield batch


def _grouped(request: FilesRequest, size: int, reading: BandReading | None, *, mixed: bool) -> Iterator[Batch]:
    batch = Batch()
    for event in _events(request, reading, ahead=max(size, loading_threads())):
        if isinstance(event, End):
            batch.ends.append(event)
            # The end of a video is told after its last frames and before those of the next.
            if batch.frames and event.item.kind == "video":
                yield batch
                batch = Batch()
            continue
        other = bool(batch.frames) and not mixed and event.image.shape != batch.frames[0].image.shape
        if len(batch.frames) == size or other:
            yield batch
            batch = Batch()
        batch.frames.append(event)
    if batch.frames or batch.ends:
        yield batch


def _events(request: FilesRequest, reading: BandReading | None, *, ahead: int) -> Iterator[Frame | End]:
    """Yield frames and ends in the order of the items, a few images decoded ahead."""
    for kind, items in groupby(request.items, key=lambda item: item.kind):
        if kind == "video":
            for item in items:
                yield from _video(item, request.every)
        else:
            with closing(loaded_ahead(partial(_image, reading), items, ahead=ahead, weight=_bytes)) as events:
                yield from events


def _image(reading: BandReading | None, item: Item) -> Frame | End:
    started = time.perf_counter()
    path = Path(item.source)
    try:
        image = _read(path) if reading is None else _scaled(path, reading)
    except Unreadable as error:
        return End(item, f"{path} cannot be read: {error.reason}. Restore it from its source, or leave it out.")
    except DatasetError as error:
        return End(item, str(error))
    return Frame(item, image, time.perf_counter() - started)


def _read(path: Path) -> RgbImage:
    """Read an image of which nothing is declared; raises `DatasetError` for 16 bits that hold fewer."""
    image = read_image(path)
    if image.max(initial=0) > DARK:
        return image
    reason = few_bits(path)
    if reason is None:
        return image
    raise DatasetError(
        f"{path} is not predicted: {reason}. Say what becomes 0 and 255: --range 0,{full_range(highest_value(path))}; "
        "--range 0,65535 leaves it as dark as it is."
    )


def _scaled(path: Path, reading: BandReading) -> NDArray[Any]:
    """Read the declared bands; raises `DatasetError` for 8 bits where the range is one of more."""
    highest = max((high for _, high in reading.ranges), default=0.0)
    if highest > 255 and stored_bands(path).dtype == np.uint8:
        raise DatasetError(
            f"{path} is not predicted: it is of 8 bits, and the range up to {highest:g}, in which the others are read, "
            "would make it dark. Predict it by itself with --range 0,255."
        )
    return reading.image(path)


def _bytes(event: Frame | End) -> int:
    return event.image.nbytes if isinstance(event, Frame) else 0


def _video(item: Item, every: int) -> Iterator[Frame | End]:
    video = cv2.VideoCapture(item.source)
    try:
        fps, stated = video.get(cv2.CAP_PROP_FPS), int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        number, found, started = 0, 0, time.perf_counter()
        while video.isOpened() and video.grab():
            if number % every == 0:
                done, bgr = video.retrieve()
                if not done:
                    break
                rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
                yield Frame(item, rgb, time.perf_counter() - started, number, fps)
                found, started = found + 1, time.perf_counter()
            number += 1
    finally:
        video.release()
    if not found:
        yield End(item, reason=f"{item.source} cannot be read: OpenCV finds no frame in it.")
    elif number < stated:
        frames = f"{number} of {stated} frames could be read"
        yield End(item, note=f"{item.source}: {frames}; it is cut off or damaged after them.")
    else:
        yield End(item)


def expected(request: FilesRequest) -> int:
    """Return images and frames to come, as far as videos say; for a progress bar."""
    total = 0
    for item in request.items:
        frames = 1
        if item.kind == "video":
            video = cv2.VideoCapture(item.source)
            frames = -(-max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT))) // request.every)
            video.release()
        total += frames
    return total
