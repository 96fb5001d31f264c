"""A data set that was just fetched: opened, counted, and compared with what its source publishes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from bench.data.info import listed_splits, published_counts
from bench.data.opening import Choice, as_yaml, opened


@dataclass(frozen=True)
class Counted:
    """A data set as it opens, split by split.

    Attributes:
        choice: Name and options with which it was opened.
        found: Split -> images, of those that can be listed.
        published: Split -> images; empty if no counts are published for these options.
        troubles: Split -> why it cannot be listed.
        awaited: Splits whose images were not fetched.
    """

    choice: Choice
    found: Mapping[str, int]
    published: Mapping[str, int]
    troubles: Mapping[str, str]
    awaited: frozenset[str]

    @property
    def wrong(self) -> list[str]:
        """Splits that cannot be listed, or have another number of images than published."""
        splits = dict.fromkeys([*self.published, *self.troubles])
        fetched = [split for split in splits if split not in self.awaited or split not in self.troubles]
        return [
            split
            for split in fetched
            if split in self.troubles or self.found.get(split) != self.published.get(split, self.found.get(split))
        ]


def count(choice: Choice, awaited: frozenset[str]) -> Counted:
    """Open a data set and list its splits; raises `DatasetError` if it cannot be opened."""
    found, troubles = listed_splits(opened(choice))
    return Counted(choice, found, published_counts(choice), troubles, awaited)


def described(results: Sequence[Counted]) -> str:
    """Counts beside those published, and what to write in a suite; the verdict last."""
    lines = []
    for result in results:
        name = result.choice.name
        settings = ", ".join(f"{key}: {as_yaml(value)}" for key, value in result.choice.options.items())
        lines += [_table(result), "", "Write in the suite:", "", "datasets:", f"  - name: {name}"]
        lines += [f"    options: {{{settings}}}", ""]
    return "\n".join([*lines, _verdict(results)])


def _table(result: Counted) -> str:
    """Split, images found, images published; below it why a split that should be there cannot be listed."""
    rows: list[list[object]] = []
    for split in dict.fromkeys([*result.found, *result.published]):
        lacking = "not fetched" if split in result.awaited else "none"
        rows.append([split, result.found.get(split, lacking), result.published.get(split, "")])
    table = tabulate(
        rows, headers=["split", "images found", "published"], tablefmt="simple", colalign=("left", "right", "right")
    )
    return "\n\n".join(
        [table, *(f"{split}: {why}" for split, why in result.troubles.items() if split not in result.awaited)]
    )


def _verdict(results: Sequence[Counted]) -> str:
    name = results[0].choice.name
    wrong = list(dict.fromkeys(split for result in results for split in result.wrong))
    if wrong:
        return f"{name}: not as published: {', '.join(wrong)}"
    if any(result.published for result in results):
        return f"{name}: as published"
    return f"{name}: opened; no counts are published for these options"
