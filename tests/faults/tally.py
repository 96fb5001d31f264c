"""Counts trials and failures of a campaign, by kind of fault."""

from __future__ import annotations

import json
import math
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SHOWN = 5
"""Up to so many failures of a kind are shown."""
GROUPS = {
    r"kill": "runs killed, by six signals, at random and chosen moments",
    r"finished": "runs finished after these kills, with the same scores",
    r"damaged file": "files of a run damaged, each followed by a command that reads it",
    r"mutated (record|archive)$": "records and archives, mutated",
    r"mutated (png|jpg|bmp|webp|ppm|jp2|tif|gif|npy|npz)$": "pictures and arrays, mutated",
    r"mutated": "suites, predictions and annotations of every format, mutated",
    r"misbehaving": "workers that misbehave",
    r"": "full disks, clocks set back, foreign locks, two runs at once",
}
"""How kinds of faults begin -> what they are called together; the first that fits counts."""


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


@dataclass(frozen=True)
class Budget:
    """How long a part of the campaign goes on: until its time is over, or its trials are done.

    Attributes:
        seconds: Of time; infinite where the trials decide.
        trials: Of them; infinite where the time decides.
    """

    seconds: float = math.inf
    trials: float = math.inf

    def share(self, part: float) -> Budget:
        """Return a part of it, 0-1."""
        return Budget(self.seconds * part, self.trials * part)

    def left(self, tally: Tally, kind: str = "") -> Callable[[], bool]:
        """Whether some of it is left, from now; of trials those count whose kind begins so."""

        def counted() -> int:
            return sum(count for name, count in tally.trials.items() if name.startswith(kind))

        end, most = time.monotonic() + self.seconds, counted() + self.trials
        return lambda: time.monotonic() < end and counted() < most


def note(file: Path, tally: Tally, *, seed: int, minutes: float) -> None:
    """Append what a part of a campaign came to, and of which commit."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    line = {
        "commit": commit.stdout.strip(),
        "at": time.strftime("%Y-%m-%d %H:%M"),
        "seed": seed,
        "minutes": round(minutes, 1),
        "trials": tally.trials,
        "failures": tally.failures,
        "left_out": tally.left_out,
    }
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def summed(file: Path) -> str:
    """The table of all parts that were noted in a file, then in Markdown by group and commit, and how long it took."""
    tally, lines = Tally(), [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        for kind, count in line["trials"].items():
            tally.trials[kind] = tally.trials.get(kind, 0) + count
        for kind, found in line["failures"].items():
            tally.failures.setdefault(kind, []).extend(found)
        tally.left_out.update(line["left_out"])
    commits = ", ".join(dict.fromkeys(line["commit"] for line in lines))
    minutes = sum(line["minutes"] for line in lines)
    return f"{tally.table()}\n\n{_grouped(lines)}\n\n{len(lines)} parts, {minutes:.0f} minutes, of {commits}"


def _grouped(lines: list[dict[str, Any]]) -> str:
    counts: dict[tuple[str, str], list[int]] = {}
    for line in lines:
        for kind, trials in line["trials"].items():
            group = next(words for beginning, words in GROUPS.items() if re.match(beginning, kind))
            count = counts.setdefault((group, line["commit"]), [0, 0])
            count[0] += trials
            count[1] += len(line["failures"].get(kind, ()))
    ordered = sorted(counts.items(), key=lambda one: [*GROUPS.values()].index(one[0][0]))
    rows = [f"| {group} | {commit} | {trials:,} | {failed} |" for (group, commit), (trials, failed) in ordered]
    return "\n".join(["| fault | commit | trials | failures |", "|:--|:--|--:|--:|", *rows])
