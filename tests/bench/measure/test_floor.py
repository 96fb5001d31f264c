"""The harness' own floor: by a clock that is scripted."""

from __future__ import annotations

from itertools import accumulate, cycle

from bench.measure.floor import stage_floor_ns


def test_the_floor_is_the_median_of_the_slowest_stage():
    # Nine readings a batch: of what is done outside of stages, and before and after preprocess, infer and postprocess.
    # Stages of 3, 8 and 5 ns.
    steps = cycle([100, 100, 3, 100, 100, 8, 100, 5, 100])
    clock = accumulate(steps)
    assert stage_floor_ns(clock=lambda: next(clock), rounds=7) == 8.0
