"""Images that different splits share: the same, nearly the same, or frames of one film."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from bench.data.displaced import displaced_pairs, unpacked
from bench.data.duplicates import BITS, GRID, nearest_pairs
from bench.data.finding import Finding
from bench.data.labels.dataset import on_disk
from bench.data.scan import Listed, Row
from bench.dataset import Dataset

EVIDENCE = 3
"""Images of a split that are frames of a film in another one, from which it is said of the splits as a whole."""


def leaks(dataset: Dataset, images: Sequence[Listed], rows: dict[str, Row]) -> list[Finding]:
    """Find images that are in two splits, and copies within a split.

    Args:
        images: Images in the order of the splits.
        rows: Rows of `inspect`, by image id.
    """
    names = _Names(dataset)
    found = [*_same(images, rows, names), *_near(images, rows, names)]
    told = {finding.image_id for finding in found if finding.kind != "repeated"}
    films = list(_films(images, rows, names, told))
    return [*found, *films, *_shared([*found, *films], images)]


class _Names:
    """The names of images in messages: their files, or their ids where there are none."""

    def __init__(self, dataset: Dataset) -> None:
        self._files = on_disk(dataset)

    def __getitem__(self, image: Listed) -> str:
        of_file = self._files is not None and self._files.pictures is None
        name = self._files.entry(image.image_id).image if self._files and of_file else image.image_id
        return f"{name} ({image.split})"


def _same(images: Sequence[Listed], rows: dict[str, Row], names: _Names) -> Iterator[Finding]:
    """Yield images of equal content, a finding for each group."""
    groups: dict[str, list[Listed]] = defaultdict(list)
    for image in images:
        if "content" in rows[image.image_id]:
            groups[rows[image.image_id]["content"]].append(image)
    for group in groups.values():
        if len(group) > 1:
            kind = "leak" if len({image.split for image in group}) > 1 else "repeated"
            yield Finding(kind, group[-1].split, group[-1].image_id, " = ".join(names[image] for image in group))


def _near(images: Sequence[Listed], rows: dict[str, Row], names: _Names) -> Iterator[Finding]:
    readable = [image for image in images if "content" in rows[image.image_id]]
    thumbnails = [
        np.frombuffer(bytes.fromhex(rows[image.image_id]["thumbnail"]), dtype=np.uint8).reshape(GRID, GRID)
        for image in readable
    ]
    for start, end in _parts(readable):
        for pair in nearest_pairs(thumbnails[start:end], thumbnails[:start]):
            one, other = readable[start + pair.one], readable[pair.other]
            if rows[one.image_id]["content"] != rows[other.image_id]["content"]:
                text = f"{names[other]} ~ {names[one]}: {pair.bits} of {BITS} bits of their hashes differ"
                yield Finding("near", one.split, one.image_id, text)


def _films(images: Sequence[Listed], rows: dict[str, Row], names: _Names, told: set[str]) -> Iterator[Finding]:
    """Yield images that are one of an earlier split moved by a little, but for those of which more was told."""
    readable = [image for image in images if "content" in rows[image.image_id]]
    frames = [unpacked(rows[image.image_id]["frame"]) for image in readable]
    for start, end in _parts(readable):
        for pair in displaced_pairs(frames[start:end], frames[:start]):
            one, other = readable[start + pair.one], readable[pair.other]
            if one.image_id not in told:
                yield Finding(
                    "film",
                    one.split,
                    one.image_id,
                    f"{names[other]} ~ {names[one]}: moved by {pair.down:+.1%} of the height and {pair.right:+.1%} of "
                    f"the width they correlate by {pair.alike:.3f}",
                )


def _parts(images: Sequence[Listed]) -> Iterator[tuple[int, int]]:
    """Return the first and last + 1 of each split but the first."""
    starts = [at for at in range(1, len(images)) if images[at].split != images[at - 1].split]
    return pairwise([*starts, len(images)])


def _shared(found: Sequence[Finding], images: Sequence[Listed]) -> Iterator[Finding]:
    """Yield what a few such images say of a split as a whole."""
    total = Counter(image.split for image in images)
    kinds = ("leak", "near", "film")
    for split in total:
        shared = {finding.image_id for finding in found if finding.split == split and finding.kind in kinds}
        if len(shared) >= EVIDENCE:
            yield Finding(
                "film",
                split,
                "",
                f"{split}: {len(shared)} of its {total[split]} images are also, or nearly, in another split. "
                f"{EVIDENCE} are evidence enough that frames of one film, or pictures of one scene, were dealt to "
                "both; not every pair of them need be found. What belongs together stays together by the option "
                "group: REGEX with split_by: fraction, or by lists.",
            )
