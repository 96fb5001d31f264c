"""Samples of a timing job as they come in."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.measure.counters import BlockCounters
from bench.records.store.samples import END_TO_END


@dataclass
class Rows:
    """Samples as they come in."""

    clock: list[int] = field(default_factory=list)
    total_ns: list[int] = field(default_factory=list)
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

    def all_end_to_end_ns(self) -> list[int]:
        """End-to-end samples, those of disturbed blocks too."""
        return [total for clock, total in zip(self.clock, self.total_ns, strict=True) if clock == END_TO_END]

    def elapsed_s(self) -> float:
        """Seconds of the blocks that count."""
        return sum(self.counters[block].wall_s for block in self.counting_blocks())
