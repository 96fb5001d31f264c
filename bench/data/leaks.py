"""Images that different splits share: the same, nearly the same, or frames of one film."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.data.displaced import Displaced, displaced_pairs, unpacked
from bench.data.duplicates import BITS, GRID, NearDuplicate, nearest_pairs
from bench.data.labels.dataset import on_disk
from bench.data.scan import Finding, Listed, Row
from bench.dataset import Dataset

EVIDENCE = 3
"""Images of a split that are frames of a film in another one, from which it is said of the splits as a whole."""

Names: TypeAlias = Callable[[Listed], str]
Pictures: TypeAlias = Sequence[NDArray[np.uint8]]
Pair = TypeVar("Pair", NearDuplicate, Displaced)


def leaks(dataset: Dataset, images: Sequence[Listed], rows: dict[str, Row]) -> list[Finding]:
    """Find images that are in two splits, and copies within a split.

    Args:
        rows: Rows of `inspect`, by image id.
    """
    files = on_disk(dataset)

    def named(image: Listed) -> str:
        of_file = files is not None and files.pictures is None
        return f"{files.entry(image.image_id).image if files and of_file else image.image_id} ({image.split})"

    readable = [image for image in images if "content" in rows[image.image_id]]
    found = [*_same(readable, rows, named), *_near(readable, rows, named)]
    told = {finding.image_id for finding in found if finding.kind != "repeated"}
    films = list(_films(readable, rows, named, told))
    return [*found, *films, *_shared([*found, *films], images)]


def _same(images: Sequence[Listed], rows: dict[str, Row], named: Names) -> Iterator[Finding]:
    """Yield images of equal content, a finding for each group."""
    groups: dict[str, list[Listed]] = defaultdict(list)
    for image in images:
        groups[rows[image.image_id]["content"]].append(image)
    for group in groups.values():
        if len(group) > 1:
            kind = "leak" if len({image.split for image in group}) > 1 else "repeated"
            yield Finding(kind, group[-1].split, group[-1].image_id, " = ".join(map(named, group)))


def _near(images: Sequence[Listed], rows: dict[str, Row], named: Names) -> Iterator[Finding]:
    texts = [bytes.fromhex(rows[image.image_id]["thumbnail"]) for image in images]
    thumbnails = [np.frombuffer(text, dtype=np.uint8).reshape(GRID, GRID) for text in texts]
    for one, other, pair in _across_splits(images, thumbnails, nearest_pairs):
        if rows[one.image_id]["content"] != rows[other.image_id]["content"]:
            text = f"{named(other)} ~ {named(one)}: {pair.bits} of {BITS} bits of their hashes differ"
            yield Finding("near", one.split, one.image_id, text)


def _films(images: Sequence[Listed], rows: dict[str, Row], named: Names, told: set[str]) -> Iterator[Finding]:
    """Yield images that are one of an earlier split moved by a little, but for those of which more was told."""
    frames = [unpacked(rows[image.image_id]["frame"]) for image in images]
    for one, other, pair in _across_splits(images, frames, displaced_pairs):
        if one.image_id not in told:
            text = (
                f"{named(other)} ~ {named(one)}: moved by {pair.down:+.1%} of the height and {pair.right:+.1%} of "
                f"the width they correlate by {pair.alike:.3f}"
            )
            yield Finding("film", one.split, one.image_id, text)


def _across_splits(
    images: Sequence[Listed], pictures: Pictures, pairs: Callable[[Pictures, Pictures], list[Pair]]
) -> Iterator[tuple[Listed, Listed, Pair]]:
    """Yield an image, one of an earlier split, and what makes them a pair."""
    starts: list[int] = [at for at in range(1, len(images)) if images[at].split != images[at - 1].split]
    for start, end in pairwise([*starts, len(images)]):
        for pair in pairs(pictures[start:end], pictures[:start]):
            yield images[start + pair.one], images[pair.other], pair


def _shared(found: Sequence[Finding], images: Sequence[Listed]) -> Iterator[Finding]:
    """Yield what a few such images say of a split as a whole."""
    total = Counter(image.split for image in images)
    kinds = ("leak", "near", "film")
    for split in total:
        shared = {finding.image_id for finding in found if finding.split == split and finding.kind in kinds}
        if len(shared) >= EVIDENCE:
            text = (
                f"{split}: {len(shared)} of its {total[split]} images are also, or nearly, in another split. "
                f"{EVIDENCE} are evidence enough that frames of one film, or pictures of one scene, were dealt to "
                "both; not every pair of them need be found. What belongs together stays together by the option "
                "group: REGEX with split_by: fraction, or by lists."
            )
            yield Finding("film", split, "", text)
