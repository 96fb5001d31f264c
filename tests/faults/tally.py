"""Counts trials and failures of a campaign, by kind of fault."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

SHOWN = 5
"""Up to so many failures of a kind are shown."""


@dataclass
class Tally:
    """Trials and failures by kind of fault, in the order in which they came."""

    trials: dict[str, int] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, failure: str | None) -> None:
        """Count a trial; None = it went well."""
        self.trials[kind] = self.trials.get(kind, 0) + 1
        if failure is not None:
            self.failures.setdefault(kind, []).append(" ".join(failure.split())[:400])

    def table(self) -> str:
        """One row a kind, the sum, and the first failures of each."""
        width = max(map(len, [*self.trials, "fault"]), default=5)
        lines = [f"{'fault':<{width}}  {'trials':>8}  {'failures':>8}", f"{'-' * width}  {'-' * 8}  {'-' * 8}"]
        for kind, trials in self.trials.items():
            lines.append(f"{kind:<{width}}  {trials:>8}  {len(self.failures.get(kind, ())):>8}")
        failed = sum(map(len, self.failures.values()))
        lines.append(f"{'all':<{width}}  {sum(self.trials.values()):>8}  {failed:>8}")
        lines += [f"left out: {kind}: {why}" for kind, why in self.left_out.items()]
        lines += [f"{kind}: {one}" for kind, found in self.failures.items() for one in found[:SHOWN]]
        return "\n".join(lines)


def until(seconds: float) -> Callable[[], bool]:
    """Whether time is left, from now."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end
