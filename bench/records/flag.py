"""One doubt about a measurement, as a worker records it and a report prints it."""

from __future__ import annotations

from pydantic import model_validator

from bench.records.base import Record

_WITHOUT_ADVICE = ("blocks_rejected", "implausible_device_time", "slow_exit")
"""Flags of 0.1 whose text could hold a semicolon, but never ended in advice."""


class Flag(Record):
    """Reason why a number is doubtful.

    Attributes:
        name: Short and fixed, for filters: `stop_rule`, `not_stationary` …
        seen: The observation, as a sentence or a clause.
        advice: The step that helps; empty where there is nothing to do.
    """

    name: str
    seen: str
    advice: str = ""

    @property
    def text(self) -> str:
        """Return what was seen, and what to do."""
        return f"{self.seen}; {self.advice}" if self.advice else self.seen

    def __str__(self) -> str:
        """Return one line: `name: what was seen; what to do`."""
        return f"{self.name}: {self.text}"

    @model_validator(mode="before")
    @classmethod
    def _was_a_text(cls, found: object) -> object:
        """Read records of 0.1, where a flag was a text, and `advice` was called `recommendation` in summaries."""
        if isinstance(found, dict) and "recommendation" in found:
            return {("advice" if key == "recommendation" else key): value for key, value in found.items()}
        if not isinstance(found, str):
            return found
        name, colon, rest = found.partition(": ")
        if not colon:
            return {"name": "note", "seen": found}
        seen, separator, advice = rest.rpartition("; ")
        if not separator or name in _WITHOUT_ADVICE:
            return {"name": name, "seen": rest}
        return {"name": name, "seen": seen, "advice": advice}
