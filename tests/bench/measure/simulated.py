"""A model under load on a simulated clock: time passes where the script says so, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.measure.under_load import UnderLoad
from bench.records.predictions import RgbImage
from tests.bench.builders import make_job
from tests.bench.measure.scripted import ScriptedAdapter, ScriptedClock, blank

MS = 1_000_000


class PerBatch(ScriptedAdapter):
    """A batch of n images takes `cost_ns(n)`, all of it in `infer`; sizes that were asked for are kept."""

    def __init__(self, clock: ScriptedClock, cost_ns: Callable[[int], int]) -> None:
        super().__init__(clock)
        self.cost_ns = cost_ns
        self.sizes: list[int] = []

    def infer(self, batch: Sequence[RgbImage]) -> Sequence[RgbImage]:
        self.sizes.append(len(batch))
        self.clock.now_ns += self.cost_ns(len(batch))
        return batch


def loaded(cost_ns: Callable[[int], int], adapter: type[PerBatch] = PerBatch) -> UnderLoad:
    """A model that takes so long for a batch, with four images, on a clock that waiting moves."""
    clock = ScriptedClock()

    def wait(nanoseconds: int) -> None:
        clock.now_ns += nanoseconds

    images = [blank() for _ in range(4)]
    ids = [f"image-{number}" for number in range(4)]
    return UnderLoad(adapter(clock, cost_ns), images, ids, make_job(kind="throughput"), clock, wait)
