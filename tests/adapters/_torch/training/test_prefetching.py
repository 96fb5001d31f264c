"""Tests that batches made ahead come in order, not too far ahead, and with their errors in their places."""

from __future__ import annotations

import threading
import time
from itertools import count

import pytest
import torch

from adapters._torch.training.prefetching import BATCHES, Prefetched, loading_threads


def test_a_processor_that_trains_has_no_threads_taken_away_and_a_gpu_shares_the_cores():
    assert loading_threads(torch.device("cpu"), processes=1) == 0
    assert loading_threads(torch.device("cuda", 0), processes=1) >= 1
    assert loading_threads(torch.device("cuda", 0), processes=10_000) == 1


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_items_come_in_their_order_however_long_each_takes(threads):
    def make(item):
        time.sleep(0.003 * (item % 3))
        return item * item

    assert list(Prefetched(make, threads).over(range(20))) == [item * item for item in range(20)]


def test_an_endless_course_is_made_no_further_ahead_than_it_says():
    made, others = [], set(threading.enumerate())
    batches = Prefetched(lambda item: made.append(item) or item, 2).over(count())
    assert [next(batches) for _ in range(3)] == [0, 1, 2]
    time.sleep(0.05)
    assert max(made) <= 2 + BATCHES
    batches.close()
    for thread in set(threading.enumerate()) - others:
        thread.join(60)
        assert not thread.is_alive()
    assert max(made) <= 2 + BATCHES


def test_an_error_comes_in_the_place_of_its_item():
    def make(item):
        if item == 3:
            raise ValueError("the fourth")
        return item

    batches = Prefetched(make, 3).over(range(9))
    assert [next(batches) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the fourth"):
        next(batches)


def test_items_are_made_side_by_side_and_the_waiting_is_counted():
    together = threading.Barrier(2, timeout=60)
    ahead = Prefetched(lambda item: (together.wait() and item) or item, 2)
    assert list(ahead.over(range(4))) == [0, 1, 2, 3]

    slow = Prefetched(lambda item: time.sleep(0.02), 0)
    list(slow.over(range(5)))
    assert slow.waited_s >= 0.1
