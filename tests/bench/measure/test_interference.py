"""Tests who is said to use the machine, and when waiting for quiet is given up; all on scripted counters."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time

import pytest

from bench.measure.counters import BlockCounters
from bench.measure.interference import ProcessTimes, RepeatBudget, interference, process_times, used_by
from bench.records import Measurement
from bench.score.stats.stop_rule import WarmUp

PROTOCOL = Measurement(min_s=10.0, min_samples=100, percentiles=(50.0, 90.0), block_s=1.0, block_retries=3)


def block(foreign: float, wall_s: float = 1.0) -> BlockCounters:
    return BlockCounters(wall_s, wall_s, 0.0, foreign, 0.0, 0)


def given_up_after(shares, total_ns=(1_000_000,) * 50) -> int | None:
    """Number of blocks after which waiting is given up; None if it never is."""
    patience = RepeatBudget(PROTOCOL)
    for number, share in enumerate(shares, start=1):
        patience.add(block(share))
        if patience.given_up(total_ns):
            return number
    return None


def test_a_machine_that_is_always_busy_is_given_up_after_the_retries():
    assert given_up_after([0.5] * 20) == 4


def test_a_machine_that_is_busy_every_other_block_is_given_up_early():
    # After 4 blocks p = (2 + 3) / (4 + 4) = 5/8: the 8 s that are wanted cost 4.8 s, 2 s are spent; 5 s are allowed.
    assert given_up_after([0.5, 0.0] * 10) == 4


def test_a_machine_that_was_busy_once_is_waited_for():
    # 4 blocks: p = 6/8, 7 s wanted cost 2.3 s, 1 s is spent; 3.3 of 5 s.
    assert given_up_after([0.5] + [0.0] * 20) is None


def test_an_undisturbed_machine_is_never_given_up():
    assert given_up_after([0.0] * 200) is None


def test_a_slow_model_may_wait_longer_since_its_samples_take_longer():
    slow = [1_000_000_000] * 50  # 1 s: 100 samples by two clocks take 200 s, of which half may be spent
    assert given_up_after([0.5, 0.0, 0.0, 0.0] + [0.0] * 100, slow) is None
    assert RepeatBudget(PROTOCOL).idle_s(slow) == pytest.approx(200.0)
    assert not RepeatBudget(PROTOCOL).over(299.0, slow)
    assert RepeatBudget(PROTOCOL).over(300.0, slow)


def test_the_time_of_an_idle_machine_is_told_from_the_fastest_samples():
    mostly_disturbed = [50_000_000] * 20 + [500_000_000] * 80
    assert RepeatBudget(PROTOCOL).idle_s(mostly_disturbed) == pytest.approx(2 * 0.05 * 100)


def test_programs_are_named_by_what_they_used_and_this_process_with_its_children_is_left_out():
    before = {
        1: ProcessTimes("init", 0, 5.0),
        10: ProcessTimes("bench", 1, 1.0),
        11: ProcessTimes("sampler", 10, 1.0),
        20: ProcessTimes("firefox", 1, 100.0),
        21: ProcessTimes("firefox", 20, 7.0),
        30: ProcessTimes("cc1plus", 1, 9.0),
    }
    after = {
        1: ProcessTimes("init", 0, 5.0),
        10: ProcessTimes("bench", 1, 9.0),
        11: ProcessTimes("sampler", 10, 9.0),
        20: ProcessTimes("firefox", 1, 103.0),
        21: ProcessTimes("firefox", 20, 8.0),
        30: ProcessTimes("cc1plus", 1, 1.0),  # another process with the id of one that ended
        40: ProcessTimes("make", 1, 0.1),
    }
    # 10 s on 2 cores: firefox 3 + 1 = 4 s, cc1plus 1 s, make 0.1 s, which is below 1 %
    assert used_by(before, after, own=10, core_seconds=20.0) == {"firefox": 0.2, "cc1plus": 0.05}


def test_a_busy_process_is_seen_by_name_on_this_machine():
    before = process_times()
    if os.getpid() not in before:
        pytest.skip("no /proc")
    spin = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.5)
        after = process_times()
    finally:
        spin.kill()
        spin.wait()
    assert used_by(before, after, own=-1, core_seconds=0.5)
    # As a child of this process it is its own doing.
    own = used_by(
        before, {spin.pid: after[spin.pid], os.getpid(): after[os.getpid()]}, own=os.getpid(), core_seconds=0.5
    )
    assert own == {}


def test_shares_are_weighted_by_the_length_of_the_blocks_and_unknown_ones_are_none():
    seen = interference([block(0.2, 1.0), block(0.0, 3.0)], {"make": 0.05})
    assert seen.foreign_share == pytest.approx(0.05)
    assert (seen.disturbed_blocks, seen.blocks, seen.by) == (1, 2, {"make": 0.05})
    assert interference([block(math.nan)], {}).foreign_share is None
    assert interference([], {}).foreign_share is None


def test_a_warm_up_is_overdue_once_steadiness_alone_takes_half_as_long_again_as_all_else():
    rule = WarmUp(Measurement(warmup_min_iterations=10, warmup_window=5), min_s=0.5, buckets=[(8, 8)])
    growing = [0.1 * 1.05**n for n in range(30)]  # never steady
    overdue = []
    for seconds in growing:
        rule.add(round(seconds * 1e9), [(8, 8)])
        overdue.append(rule.overdue())
        assert rule.unmet()
    # All else holds after 10 iterations, 1.258 s; 1.5 times that, 1.887 s, is passed by the 14th, at 1.960 s.
    assert overdue.index(True) == 13
