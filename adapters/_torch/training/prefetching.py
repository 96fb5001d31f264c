"""Batches made ahead of the step that takes them, in order, so that a GPU does not wait for decoding.

A batch depends on its step alone and changes are pure functions of an image and a seed, so that a training by threads
sees what one without would have seen. Decoders and resizing leave the interpreter to others while they work.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Generic, TypeVar

import torch

from adapters._torch.device import allowed_cores

MOST_THREADS = 8
BATCHES = 4
"""Made, or being made, beyond the one that is taken: few, since each may be large."""

T = TypeVar("T")
R = TypeVar("R")


def loading_threads(device: torch.device, processes: int) -> int:
    """Return threads that make batches in each of some processes: none where the processor's cores train."""
    if device.type == "cpu":
        return 0
    return max(1, min(MOST_THREADS, allowed_cores() // processes - 1))


class Prefetched(Generic[T, R]):
    """Hold what is made of each item, in the order of the items.

    Attributes:
        waited_s: Seconds that were spent waiting for what was not ready, or making it.
    """

    def __init__(self, make: Callable[[T], R], threads: int) -> None:
        """Prepare.

        Args:
            make: Called in the threads; an error comes in the place of its item.
            threads: 0 = made when it is asked for.
        """
        self._make, self._threads = make, threads
        self.waited_s = 0.0

    def over(self, items: Iterable[T]) -> Iterator[R]:
        """Yield what is made of each item; items are taken in the caller's thread and may be endless."""
        made = map(self._make, items) if self._threads == 0 else self._by_threads(iter(items))
        while True:
            start = time.perf_counter()
            try:
                found = next(made)
            except StopIteration:
                return
            self.waited_s += time.perf_counter() - start
            yield found

    def _by_threads(self, items: Iterator[T]) -> Iterator[R]:
        waiting: deque[Future[R]] = deque()
        pool = ThreadPoolExecutor(self._threads)
        try:
            waiting.extend(pool.submit(self._make, item) for item in islice(items, BATCHES))
            while waiting:
                first = waiting.popleft().result()
                waiting.extend(pool.submit(self._make, item) for item in islice(items, 1))
                yield first
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
