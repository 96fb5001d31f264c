"""One doubt about a measurement, in the words a report prints."""

from __future__ import annotations

from bench.records import Record


class Reason(Record):
    """Why a number is doubtful.

    Attributes:
        name: Short and fixed, for filters: `stop_rule`, `not_stationary` …
        seen: What was seen.
        recommendation: What to do about it; empty where there is nothing to do.
    """

    name: str
    seen: str
    recommendation: str = ""

    @classmethod
    def parse(cls, text: str) -> Reason:
        """Read a worker's flag, `name: what was seen; what to do`.

        >>> Reason.parse("not_steady: medians differ by 3 %; close other programs")
        Reason(name='not_steady', seen='medians differ by 3 %', recommendation='close other programs')
        """
        name, colon, rest = text.partition(": ")
        if not colon:
            return cls(name="note", seen=text)
        seen, separator, recommendation = rest.rpartition("; ")
        return cls(name=name, seen=seen, recommendation=recommendation) if separator else cls(name=name, seen=rest)

    def __str__(self) -> str:
        """One line: `name: what was seen; what to do`."""
        return f"{self.name}: {self.seen}" + (f"; {self.recommendation}" if self.recommendation else "")
