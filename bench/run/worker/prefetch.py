"""Images loaded ahead of the model, by a few threads and in order, so that the device waits for none of them.

Decoders leave the interpreter to others while they work, so that threads decode side by side. What is
loaded and not yet used is bounded in number and in bytes: memory does not grow with the number of images.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import TypeVar

from bench.measure.devices import allowed_cores
from bench.measure.timed_images import ImageSource
from bench.records.predictions import RgbImage

MOST_THREADS = 4
MOST_BYTES = 2**30
"""Most bytes that are loaded ahead; of larger images, one."""

T = TypeVar("T")
R = TypeVar("R")


def loading_threads() -> int:
    """Return threads that load: one for each core that this process may use, at most `MOST_THREADS`."""
    return min(MOST_THREADS, len(allowed_cores()))


def loaded_batches(images: ImageSource, size: int) -> Iterator[tuple[tuple[str, ...], list[RgbImage]]]:
    """Yield all images in batches, with their ids, while at least the next batch is loading.

    Args:
        images: Source of the images; asked from several threads at once.
        size: Images of a batch; the last may have fewer.
    """
    ahead = max(size, loading_threads())
    with closing(loaded_ahead(images.image, images.ids, ahead=ahead, weight=lambda image: image.nbytes)) as loaded:
        for start in range(0, len(images.ids), size):
            ids = images.ids[start : start + size]
            yield ids, list(islice(loaded, len(ids)))


def loaded_ahead(
    load: Callable[[T], R], items: Iterable[T], *, ahead: int, weight: Callable[[R], int]
) -> Generator[R, None, None]:
    """Yield what `load` makes of each item, in their order; an error comes in the place of its item.

    Args:
        load: Called in `loading_threads()` threads.
        items: Items to load; asked for one at a time, in the caller's thread.
        ahead: Number of items that are loaded, or loading, beyond the one that is yielded; fewer if they
            would come to more than `MOST_BYTES`, judged by the heaviest so far.
        weight: Bytes of what was loaded.
    """
    left = iter(items)
    heaviest = 1
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(loading_threads()) as pool:
        try:
            waiting.extend(pool.submit(load, item) for item in islice(left, 1))
            while waiting:
                first = waiting.popleft().result()
                heaviest = max(heaviest, weight(first))
                room = min(ahead, max(1, MOST_BYTES // heaviest)) - len(waiting)
                waiting.extend(pool.submit(load, item) for item in islice(left, max(0, room)))
                yield first
        finally:
            for future in waiting:
                future.cancel()
