"""Images are loaded ahead, in order, side by side, and never more than a few of them."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from bench.run.worker.prefetch import MOST_BYTES, loaded_ahead, loaded_batches, loading_threads


def bytes_of(_):
    return 1


class Counting:
    """Images that say how many were loaded; each a grey value, 1 × 1."""

    def __init__(self, count):
        self.ids = tuple(str(number) for number in range(count))
        self.loaded = 0
        self._lock = threading.Lock()

    def image(self, image_id):
        with self._lock:
            self.loaded += 1
        return np.full((1, 1, 3), int(image_id), dtype=np.uint8)


@pytest.mark.parametrize(("count", "size"), [(7, 1), (7, 3), (6, 3), (2, 5)])
def test_batches_hold_every_image_once_and_in_order(count, size):
    images = Counting(count)
    batches = list(loaded_batches(images, size))
    assert [ids for ids, _ in batches] == [images.ids[i : i + size] for i in range(0, count, size)]
    assert [[int(image[0, 0, 0]) for image in batch] for _, batch in batches] == [
        [int(image_id) for image_id in ids] for ids, _ in batches
    ]
    assert images.loaded == count


def test_no_images_are_no_batches():
    assert list(loaded_batches(Counting(0), 4)) == []


def test_the_order_is_kept_where_later_images_load_faster():
    def slow_first(number):
        time.sleep(0.03 if number == 1 else 0)
        return number

    assert list(loaded_ahead(slow_first, range(8), ahead=4, weight=bytes_of)) == list(range(8))


@pytest.mark.parametrize("size", [1, 6])
def test_no_more_is_loaded_than_the_batch_in_use_and_those_ahead(size):
    images = Counting(200)
    ahead = max(size, loading_threads())
    for number, _ in enumerate(loaded_batches(images, size), start=1):
        time.sleep(0.002)
        assert images.loaded <= number * size + ahead


@pytest.mark.skipif(loading_threads() < 2, reason="this process may use one core only, and loads with one thread")
def test_images_load_side_by_side():
    meeting = threading.Barrier(2, timeout=20)

    def meet(number):
        if number:  # the first is loaded alone, to see how large images are
            meeting.wait()  # passed only by two loads at a time
        return number

    assert list(loaded_ahead(meet, range(5), ahead=2, weight=bytes_of)) == [0, 1, 2, 3, 4]


def test_of_large_images_only_one_is_loaded_ahead():
    begun = []
    loaded = loaded_ahead(lambda n: begun.append(n) or n, range(50), ahead=4, weight=lambda _: MOST_BYTES)
    for number in loaded:
        time.sleep(0.002)
        assert len(begun) <= number + 2


def test_the_next_images_load_while_a_batch_is_used():
    images = Counting(3)
    batches = loaded_batches(images, 1)
    next(batches)
    deadline = time.monotonic() + 20
    while images.loaded < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert images.loaded >= 2
    batches.close()


def test_an_image_that_cannot_be_loaded_is_an_error_in_its_place():
    def broken(number):
        if number == 2:
            raise ValueError("no image")
        return number

    loaded = loaded_ahead(broken, range(5), ahead=3, weight=bytes_of)
    assert [next(loaded), next(loaded)] == [0, 1]
    with pytest.raises(ValueError, match="no image"):
        next(loaded)


def test_whoever_stops_early_waits_for_no_image_that_is_not_begun():
    images = Counting(1000)
    batches = loaded_batches(images, 1)
    next(batches)
    batches.close()
    assert images.loaded <= 1 + loading_threads()
