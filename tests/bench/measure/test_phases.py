"""Each second of a process is of one phase."""

from __future__ import annotations

import pytest

from bench.measure.phases import Phases


class Clock:
    """Says what it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_phase_within_another_is_taken_out_of_it():
    clock = Clock()
    phases = Phases(clock)
    with phases.during("sample"):
        clock.now = 1.0
        with phases.during("audit"):
            clock.now = 3.0
        clock.now = 7.0
    clock.now = 100.0  # nothing is open
    with phases.during("audit"):
        clock.now = 100.5
    assert phases.seconds == {"sample": 1.0 + 4.0, "audit": 2.0 + 0.5}


def test_a_phase_that_fails_is_counted_and_over():
    clock = Clock()
    phases = Phases(clock)

    @phases.during("build")
    def fails() -> None:
        clock.now = 2.0
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        fails()
    clock.now = 5.0
    with phases.during("store"):
        clock.now = 6.0
    assert phases.seconds == {"build": 2.0, "store": 1.0}


@pytest.mark.parametrize(("said_s", "moved_s"), [(3.0, 3.0), (9.0, 4.0), (-1.0, None)])
def test_what_a_loop_says_that_it_spent_is_moved_but_never_more_than_there_was(said_s, moved_s):
    clock = Clock()
    phases = Phases(clock)
    with phases.during("other"):
        clock.now = 4.0
        phases.move(said_s, "other", "train")
        clock.now = 5.0
    assert phases.seconds.get("train") == moved_s
    assert sum(phases.seconds.values()) == 5.0
