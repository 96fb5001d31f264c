"""An adapter and clocks whose every nanosecond is written down: the oracle of the timing tests.

Time passes only where the script says so. Work on the scripted device is queued by a stage and
paid for by whoever waits for it: `synchronize`, or the first stage that needs the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bench.adapter import BaseAdapter
from bench.measure.counters import Edge
from bench.records import ModelSpec, Size, Target, TaskSpec
from bench.records.predictions import Prediction, RgbImage, SemanticMap


class ScriptedClock:
    """A nanosecond clock that only moves when told to."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class ScriptedTimer:
    """Device events that read the device's own time."""

    def __init__(self, adapter: ScriptedAdapter) -> None:
        self._adapter = adapter
        self._start_ns = self._stop_ns = 0

    def start(self) -> None:
        self._adapter.calls.append("event")
        self._start_ns = self._adapter.queued_ns

    def stop(self) -> None:
        self._adapter.calls.append("event")
        self._stop_ns = self._adapter.queued_ns

    def elapsed_ms(self) -> float:
        return (self._stop_ns - self._start_ns) / 1e6


class ScriptedAdapter(BaseAdapter):
    """Each stage costs `host_ns` on the host and queues `device_ns` on the device."""

    def __init__(
        self,
        clock: ScriptedClock,
        host_ns: tuple[int, int, int] = (0, 0, 0),
        device_ns: tuple[int, int, int] = (0, 0, 0),
        *,
        events: bool = False,
    ) -> None:
        self.clock, self.host_ns, self.device_ns, self.events = clock, host_ns, device_ns, events
        self.queued_ns = 0
        self.calls: list[str] = []

    def _stage(self, number: int, name: str) -> None:
        self.calls.append(name)
        self.clock.now_ns += self.host_ns[number]
        self.queued_ns += self.device_ns[number]

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        raise AssertionError("a scripted adapter is built by its script")

    def preprocess(self, images: Sequence[RgbImage]) -> Sequence[RgbImage]:
        self._stage(0, "preprocess")
        return images

    def infer(self, batch: Sequence[RgbImage]) -> Sequence[RgbImage]:
        self._stage(1, "infer")
        return batch

    def postprocess(self, raw: Sequence[RgbImage], sizes: Sequence[Size]) -> list[Prediction]:
        self._stage(2, "postprocess")
        return [SemanticMap(np.zeros(size, dtype=np.uint8)) for size in sizes]

    def synchronize(self) -> None:
        self.calls.append("synchronize")
        self.clock.now_ns += self.queued_ns
        self.queued_ns = 0

    def device_timer(self) -> ScriptedTimer | None:
        return ScriptedTimer(self) if self.events else None


class ScriptedMachine:
    """A monotonic clock that moves with each reading, and counters of a machine on which others are at work.

    Its clock goes on by 1/1024 s, which sums up without rounding, whenever the harness looks whether time is up: so a
    block has as many samples as its length, however fast the machine under test is.
    """

    STEP_S = 1 / 1024

    def __init__(self, share: Callable[[int], float] = lambda _: 0.0, *, tick_s: float = 0.0) -> None:
        """Start at 0.

        Args:
            share: Number of a span between two readings of the counters -> share of the cores that others use in it.
            tick_s: What the kernel counts for others at each reading, besides.
        """
        self._share, self._tick_s = share, tick_s
        self.now_s = self._read_s = self._others_s = 0.0
        self._readings = 0

    def wall_s(self) -> float:
        """Return the time, a little later than at the last reading."""
        self.now_s += self.STEP_S
        return self.now_s

    def counters(self, cores: tuple[int, ...]) -> Edge:
        """Return the counters now; this process itself uses nothing."""
        self._others_s += self._share(self._readings - 1) * len(cores) * (self.now_s - self._read_s) + self._tick_s
        self._read_s, self._readings = self.now_s, self._readings + 1
        return Edge(self.now_s, 0.0, 0.0, 0, busy_s=self._others_s, steal_s=0.0)


class Lazy(ScriptedAdapter):
    """`synchronize` waits for nothing; the stage after one that queued work waits for it."""

    def drain(self, ns: int) -> None:
        self.queued_ns = max(0, self.queued_ns - ns)

    def synchronize(self) -> None:
        self.calls.append("synchronize")

    def _wait(self) -> None:
        self.clock.now_ns += self.queued_ns
        self.queued_ns = 0

    def infer(self, batch: Sequence[RgbImage]) -> Sequence[RgbImage]:
        self._wait()
        return super().infer(batch)

    def postprocess(self, raw: Sequence[RgbImage], sizes: Sequence[Size]) -> list[Prediction]:
        self._wait()
        return super().postprocess(raw, sizes)


class IdleGap:
    """Stands in for `time.sleep`: the clock moves, and work in flight drains."""

    def __init__(self, adapter: Lazy) -> None:
        self._adapter = adapter

    def __call__(self, seconds: float) -> None:
        self._adapter.clock.now_ns += round(seconds * 1e9)
        self._adapter.drain(round(seconds * 1e9))


class Contents(ScriptedAdapter):
    """Takes as long as a rule over the image's content says."""

    def __init__(self, cost_ns: Callable[[bytes], int]) -> None:
        super().__init__(ScriptedClock())
        self._cost_ns = cost_ns

    def infer(self, batch: Sequence[RgbImage]) -> Sequence[RgbImage]:
        self.clock.now_ns += sum(self._cost_ns(image.tobytes()) for image in batch)
        return super().infer(batch)


def blank(height: int = 4, width: int = 6) -> RgbImage:
    """A black image."""
    return np.zeros((height, width, 3), dtype=np.uint8)
