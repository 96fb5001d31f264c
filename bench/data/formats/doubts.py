"""Finds what a file states twice about its objects, and differently; the kinds are those of `bench data check`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

REFUSED = ("order", "scale")
"""Kinds that make every score wrong; where most objects of a sample are so, nothing is trained on them."""


@dataclass(frozen=True)
class Doubt:
    """Objects of one image of which one kind of thing is to be doubted.

    Attributes:
        count: Objects of which it is so.
        objects: Objects of the image.
        what: The doubt, as it reads after the number of objects.
        example: The first such object, as an example.
    """

    kind: str
    count: int
    objects: int
    what: str
    example: str

    def describe(self) -> str:
        """Return one sentence, without its full stop."""
        return f"{self.count} of {self.objects} objects {self.what}, for example {self.example}"


def together(doubts: Iterable[Doubt], objects: int) -> list[Doubt]:
    """Doubts of many images, of `objects` together, as one for each thing that is so."""
    counted: dict[tuple[str, str], Doubt] = {}
    for doubt in doubts:
        key = doubt.kind, doubt.what
        before = counted[key].count if key in counted else 0
        example = counted[key].example if key in counted else doubt.example
        counted[key] = Doubt(doubt.kind, before + doubt.count, objects, doubt.what, example)
    return list(counted.values())
