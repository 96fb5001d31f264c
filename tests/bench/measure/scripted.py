"""An adapter and clocks whose every nanosecond is written down: the oracle of the timing tests.

Time passes only where the script says so. Work on the scripted device is queued by a stage and
paid for by whoever waits for it: `synchronize`, or the first stage that needs the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.adapter import BaseAdapter
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


def blank(height: int = 4, width: int = 6) -> RgbImage:
    """A black image."""
    return np.zeros((height, width, 3), dtype=np.uint8)
