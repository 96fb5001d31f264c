"""Reports the progress of `bench run --json-progress` to programs: a JSON object a line on standard error.

Every line has `event` and `at` (UTC): `planned` (jobs, seconds, jobs of unknown length), `started` and `ended` (kind,
case, replicate, number, of; status, reason, seconds, seconds left), `progress` of what is not timed (share, detail),
`note`, and `finished`. While a timing job runs nothing is written: the machine belongs to the measurement.
"""

from __future__ import annotations

import json
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from bench.records import Job, Outcome
from bench.run.console import RunConsole, Running, followed
from bench.run.expected import Expectation

INTERVAL_S = 2.0
"""This says how often progress is told, at most."""


class JsonConsole(RunConsole):
    """Tells one run as JSON lines."""

    def __init__(self, stream: TextIO, total: int) -> None:
        """Take a stream; `total` jobs will be told of."""
        super().__init__(Console(file=stream), total)
        self._stream, self._lock = stream, threading.Lock()
        self._told: dict[str, str] = {}
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def expect(self, expectation: Expectation) -> None:
        """Say how long the run is expected to take."""
        self._expectation = expectation
        left = expectation.left()
        self._say("planned", jobs=left.jobs, seconds=round(left.seconds, 1), of_unknown_length=left.unknown)

    def started(self, job: Job, folder: Path, place: str = "") -> None:
        """Say that a job starts, and from now on how far it is."""
        super().started(job, folder, place)
        self._say("started", **self._which(job), **({"place": place} if place else {}))

    def _show(self) -> None:
        """Follow what runs now, unless something is timed: then nothing is written."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        self._done, self._thread = threading.Event(), None
        running = tuple(self._running.values())
        if running and not any(one.job.kind == "time" for one in running):
            self._thread = threading.Thread(target=self._follow, args=(running, self._done), daemon=True)
            self._thread.start()

    def _follow(self, running: tuple[Running, ...], done: threading.Event) -> None:
        for one, share, detail in followed(running, done, INTERVAL_S):
            if self._told.get(one.job.key) != detail:
                self._told[one.job.key] = detail
                self._say("progress", **self._which(one.job), share=round(share, 4), detail=detail)

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Say how a job ended and what is left."""
        self.stopped(job)
        left: dict[str, Any] = {}
        if self._expectation is not None:
            self._expectation.ended(job, outcome)
            rest = self._expectation.left()
            left = {"jobs_left": rest.jobs, "seconds_left": round(rest.seconds, 1), "of_unknown_length": rest.unknown}
        told = {"status": outcome.status.value, "reason": outcome.reason, "seconds": round(outcome.wall_s, 2)}
        self._say("ended", **self._which(job), **told, **left)

    def note(self, line: str) -> None:
        """Say something that is not a job."""
        self._say("note", text=line)

    def finished(self, **facts: Any) -> None:
        """Say what the run came to."""
        self._say("finished", **facts)

    def _which(self, job: Job) -> dict[str, Any]:
        place = {"number": self._numbers.get(job.key, self._count), "of": self._total}
        return {"kind": job.kind, "case": job.case_id, "replicate": job.replicate, **place}

    def _say(self, event: str, **facts: Any) -> None:
        at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        with self._lock:
            self._stream.write(json.dumps({"event": event, "at": at, **facts}) + "\n")
            self._stream.flush()
