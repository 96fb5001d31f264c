"""One thing that a check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        kind: Key of `WRONG` or `NOTES` of `check.py`.
        split: Where.
        image_id: Which image; '' for a split as a whole.
        message: What was found, naming the file where there is one.
    """

    kind: str
    split: str
    image_id: str
    message: str
