"""One thing that a check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        kind: Key of `WRONG` or `NOTES` of `check.py`.
        split: Split in which it was found.
        image_id: Id of the image; '' for a split as a whole.
        message: The finding in a sentence, naming the file where there is one.
    """

    kind: str
    split: str
    image_id: str
    message: str
