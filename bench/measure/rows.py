"""Samples of a timing job as they come in, and what their blocks say of the machine."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.measure.counters import BlockCounters
from bench.records import Flag
from bench.records.store.samples import END_TO_END


@dataclass
class Rows:
    """Samples as they come in."""

    clock: list[int] = field(default_factory=list)
    total_ns: list[int] = field(default_factory=list)
    outside_ns: list[int] = field(default_factory=list)
    collected_ns: list[int] = field(default_factory=list)
    stage_ns: list[tuple[int, int, int]] = field(default_factory=list)
    decode_ns: list[int] = field(default_factory=list)
    device_ns: list[int] = field(default_factory=list)
    image_index: list[int] = field(default_factory=list)
    block: list[int] = field(default_factory=list)
    switches: list[int] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)
    counters: list[BlockCounters] = field(default_factory=list)
    accepted: list[bool] = field(default_factory=list)
    slowed: list[str | None] = field(default_factory=list)

    def counting_blocks(self) -> list[int]:
        """Blocks whose samples count: the accepted ones, or all if none is; as `Samples.usable` has it."""
        accepted = [block for block, ok in enumerate(self.accepted) if ok]
        return accepted or list(range(len(self.accepted)))

    def end_to_end_ns(self) -> list[int]:
        """End-to-end samples that count."""
        counting = set(self.counting_blocks())
        return [
            total
            for clock, total, block in zip(self.clock, self.total_ns, self.block, strict=True)
            if clock == END_TO_END and block in counting
        ]

    def by_clock(self) -> tuple[list[int], list[int]]:
        """Samples of the end-to-end and of the staged clock, those of disturbed blocks too."""
        timed = list(zip(self.clock, self.total_ns, strict=True))
        whole = [total for clock, total in timed if clock == END_TO_END]
        return whole, [total for clock, total in timed if clock != END_TO_END]

    def timed_again(self, warmed: Set[int]) -> list[int]:
        """Return positions of end-to-end samples whose batch the model had seen before.

        Args:
            warmed: Positions of the first images of batches that it saw while it warmed up.
        """
        seen, found = set(warmed), []
        for position, (clock, first) in enumerate(zip(self.clock, self.image_index, strict=True)):
            if clock == END_TO_END and first in seen:
                found.append(position)
            seen.add(first)
        return found

    def elapsed_s(self) -> float:
        """Seconds of the blocks that count."""
        return sum(self.counters[block].wall_s for block in self.counting_blocks())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all samples and blocks, as fields of `Samples`."""
        counters = self.counters
        return {
            "clock": np.array(self.clock, dtype=np.int8),
            "total_ns": np.array(self.total_ns, dtype=np.int64),
            "stage_ns": np.array(self.stage_ns, dtype=np.int64).reshape(-1, 3),
            "device_ns": np.array(self.device_ns, dtype=np.int64),
            "image_index": np.array(self.image_index, dtype=np.int32),
            "block": np.array(self.block, dtype=np.int32),
            "involuntary_switches": np.array(self.switches, dtype=np.int32),
            "major_faults": np.array(self.faults, dtype=np.int32),
            "block_accepted": np.array(self.accepted, dtype=np.bool_),
            "block_wall_s": np.array([c.wall_s for c in counters], dtype=np.float64),
            "block_user_s": np.array([c.user_s for c in counters], dtype=np.float64),
            "block_system_s": np.array([c.system_s for c in counters], dtype=np.float64),
            "block_foreign_share": np.array([c.foreign_share for c in counters], dtype=np.float64),
            "block_steal_share": np.array([c.steal_share for c in counters], dtype=np.float64),
            "block_involuntary_switches": np.array([c.involuntary_switches for c in counters], dtype=np.int64),
        }


def block_flags(rows: Rows, retries: int) -> list[Flag]:
    """Return a flag if the GPU slowed down in blocks, and one if other processes disturbed some."""
    count, flags = len(rows.accepted), []
    slowed = [reason for reason in rows.slowed if reason is not None]
    if slowed:
        seen = f"the GPU slowed down in {len(slowed)} of {count} blocks ({slowed[0]}), each measured again up to "
        flags.append(
            Flag(name="gpu_slowed", seen=f"{seen}{retries} times", advice="let it cool down, or lock its clocks")
        )
    disturbed = [counters for counters in rows.counters if counters.disturbed]
    if not disturbed:
        return flags
    worst = max(disturbed, key=lambda c: np.nan_to_num(c.foreign_share) + np.nan_to_num(c.steal_share))
    seen = f"{100 * worst.foreign_share:.0f} % by other processes, {100 * worst.steal_share:.1f} % stolen at worst"
    if any(rows.accepted):
        rejected = f"{len(disturbed)} of {count} blocks were disturbed ({seen}) and left out; the rest is used"
        return [*flags, Flag(name="blocks_rejected", seen=rejected)]
    which = "every block was" if len(disturbed) == count else f"{len(disturbed)} of {count} blocks were"
    told = f"{which} disturbed ({seen}), so that all are used"
    advice = "the numbers are shown, but run again on an idle machine"
    return [*flags, Flag(name="busy_machine", seen=told, advice=advice)]
