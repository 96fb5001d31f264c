"""Masks of one image as the places where they begin and end, so that they need not be drawn to be compared.

Source of the text: `common/maskApi.c` of the COCO API, functions `rleToString` and `rleFrString` (six bits a character,
from the third run on the difference from the last but one). pycocotools is the oracle in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.records.base import Size
from bench.records.run_kernels import KERNELS

LONGEST_NUMBER = 12
"""Characters of a number in a text; 60 bits, far more than any mask needs."""
DAMAGED = "the run lengths are damaged"


@dataclass(frozen=True)
class MaskRuns:
    """Binary masks of one size.

    Attributes:
        edges: Places in a walk down the columns, column * height + row, at which each mask is entered and left in turn,
            int64, (E,). Those of a mask rise and no place is there twice, so that equal masks have equal edges.
        ends: Position in `edges` at which those of each mask end, int64, (N,).
        size: Size of every mask.
    """

    edges: NDArray[np.int64]
    ends: NDArray[np.int64]
    size: Size

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.ends)

    @classmethod
    def of_masks(cls, masks: NDArray[np.bool_]) -> MaskRuns:
        """Return the runs of masks that are drawn, bool, (N, H, W)."""
        each = [edges_of(mask) for mask in masks]
        ends = np.cumsum([len(one) for one in each], dtype=np.int64)
        return cls(np.concatenate(each) if each else np.zeros(0, np.int64), ends, Size(*masks.shape[1:]))

    @classmethod
    def of_lengths(cls, lengths: NDArray[np.int64], ends: NDArray[np.int64], size: Size) -> MaskRuns:
        """Return the runs of masks in COCO's run lengths, the first of which counts zeros.

        Args:
            lengths: Run lengths of all masks, one after the other, (L,).
            ends: Position in `lengths` at which those of each mask end, (N,).
            size: Size of every mask.

        Raises:
            ValueError: If some do not fill the image.
        """
        pixels = size.height * size.width
        strange = lengths[(lengths < 0) | (lengths > pixels)]
        if len(strange):
            raise ValueError(f"a run length is {int(strange[0])}; the image has {pixels} pixels")
        counts = np.diff(ends, prepend=0)
        total = np.concatenate([[0], np.cumsum(lengths)])
        before = total[ends - counts]
        filled = total[ends] - before
        if not (filled == pixels).all():
            raise ValueError(f"run lengths fill {int(filled[filled != pixels][0])} of {pixels} pixels")
        places = total[1:] - np.repeat(before, counts)
        # The end of the image is the end of a run of ones where the number of runs is even, else no edge.
        kept = np.ones(len(places), dtype=np.bool_)
        kept[ends[counts % 2 == 1] - 1] = False
        owners = np.repeat(np.arange(len(ends)), counts)
        return cls._without_empty_runs(places[kept], owners[kept], len(ends), size)

    @classmethod
    def of_texts(cls, texts: Sequence[str], size: Size) -> MaskRuns:
        """Return the runs of masks in COCO's compressed text; raises `ValueError` for one that is none of the size."""
        found = cls._decoded(texts, size) if "decode" in KERNELS else None
        return cls.of_lengths(*lengths_of_texts(texts), size) if found is None else found

    @classmethod
    def _decoded(cls, texts: Sequence[str], size: Size) -> MaskRuns | None:
        """Read texts by the compiled loop; None if one is none, which the other way tells."""
        try:
            codes = np.frombuffer("".join(texts).encode("latin-1"), dtype=np.uint8)
        except UnicodeEncodeError:
            return None
        text_ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
        edges, ends = np.empty(len(codes) + 1, dtype=np.int64), np.empty(len(texts), dtype=np.int64)
        count = KERNELS["decode"](codes, text_ends, size.height * size.width, edges, ends)
        return None if count < 0 else cls(edges[:count].copy(), ends, size)

    @classmethod
    def joined(cls, parts: Sequence[MaskRuns], size: Size) -> MaskRuns:
        """Return the masks of several stacks of one size as one."""
        edges = [one.edges for one in parts]
        counts = [one.counts for one in parts]
        nothing = [np.zeros(0, np.int64)]
        return cls(np.concatenate(edges or nothing), np.cumsum(np.concatenate(counts or nothing), dtype=np.int64), size)

    @classmethod
    def of_turns(cls, places: NDArray[np.int64], ends: NDArray[np.int64], size: Size) -> MaskRuns:
        """Return the runs of masks from places at which each is entered and left in turn.

        Args:
            places: Places at which masks are entered and left, (P,). Those of a mask rise, and their number is even;
                one that is there twice cancels out.
            ends: Position in `places` at which those of each mask end, (N,).
            size: Size of every mask.
        """
        owners = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
        return cls._without_empty_runs(places, owners, len(ends), size)

    @classmethod
    def of_intervals(
        cls, starts: NDArray[np.int64], stops: NDArray[np.int64], owners: NDArray[np.int64], count: int, size: Size
    ) -> MaskRuns:
        """Return the runs of masks that are unions of intervals of places.

        Args:
            starts, stops: First place of each interval and the first one behind it, (I,).
            owners: Index of the mask that each interval belongs to, (I,).
            count: Number of masks.
            size: Size of every mask.
        """
        cells = size.height * size.width + 1
        keys = np.concatenate([owners * cells + starts, owners * cells + stops])
        if not len(keys):
            return cls(np.zeros(0, np.int64), np.zeros(count, np.int64), size)
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        depth = np.cumsum(np.add.reduceat(np.where(order < len(starts), 1, -1), first))  # behind each place
        inside = depth > 0
        turns = keys[first][inside != np.concatenate([[False], inside[:-1]])]
        owner = turns // cells
        return cls(turns - owner * cells, np.searchsorted(owner, np.arange(count), side="right"), size)

    @classmethod
    def _without_empty_runs(
        cls, places: NDArray[np.int64], owners: NDArray[np.int64], count: int, size: Size
    ) -> MaskRuns:
        """Leave out runs of no pixels: a place that is there twice is entered and left at once."""
        cells = size.height * size.width + 1
        keys = owners * cells + places
        if len(keys) and (keys[1:] == keys[:-1]).any():
            unique, times = np.unique(keys, return_counts=True)
            keys = unique[times % 2 == 1]
            owners = keys // cells
            places = keys - owners * cells
        return cls(places, np.searchsorted(owners, np.arange(count), side="right"), size)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Edges of each mask, int64, (N,)."""
        found = self.ends.copy()
        found[1:] -= self.ends[:-1]
        return found

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """Pixels of each mask, int64, (N,)."""
        upto = np.zeros(len(self.edges) // 2 + 1, dtype=np.int64)
        np.cumsum(self.edges[1::2] - self.edges[0::2], out=upto[1:])
        found: NDArray[np.int64] = upto[self.ends // 2]
        found[1:] -= found[:-1].copy()
        return found

    def chosen(self, which: NDArray[Any]) -> MaskRuns:
        """Return some of the masks, by numbers or by a mask of them, in the order given."""
        numbers = np.arange(len(self))[which]
        parts = [self.edges[self.ends[n] - self.counts[n] : self.ends[n]] for n in numbers.tolist()]
        edges = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        return MaskRuns(edges, np.cumsum(self.counts[numbers], dtype=np.int64), self.size)

    def drawn(self) -> NDArray[np.bool_]:
        """Return the masks, bool, (N, H, W), C order."""
        height, width = self.size
        masks = np.zeros((len(self), height, width), dtype=np.bool_)
        start = 0
        for mask, end in zip(masks, self.ends.tolist(), strict=True):
            if end > start:
                # Only the columns from the first run to the last are made and turned to rows.
                left, right = int(self.edges[start]) // height, -(-int(self.edges[end - 1]) // height)
                columns = np.zeros((right - left, height), dtype=np.uint8)
                flat = columns.ravel()
                places = iter((self.edges[start:end] - left * height).tolist())
                for entered in places:
                    flat[entered : next(places)] = 1
                mask.view(np.uint8)[:, left:right] = cv2.transpose(columns)
            start = end
        return masks

    def lengths(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return COCO's run lengths of all masks and where those of each end; the inverse of `of_lengths`."""
        pixels = self.size.height * self.size.width
        # Zeros are counted to the end of the image, unless the last run of ones goes that far.
        open_end = np.ones(len(self), dtype=np.bool_)
        drawn = self.counts > 0
        open_end[drawn] = self.edges[self.ends[drawn] - 1] < pixels
        places = np.insert(self.edges, self.ends[open_end], pixels)
        counts = self.counts + open_end
        ends = np.cumsum(counts, dtype=np.int64)
        lengths = np.diff(places, prepend=0)
        lengths[ends - counts] = places[ends - counts]
        return lengths, ends

    def texts(self) -> list[str]:
        """Return each mask as COCO's compressed text; the inverse of `of_texts`."""
        if "encode" not in KERNELS:
            return texts_of_lengths(*self.lengths())
        pixels = self.size.height * self.size.width
        longest = (pixels.bit_length() + 5) // 5  # six bits a character, of which five and a sign are used
        codes = np.empty((len(self.edges) + len(self)) * longest, dtype=np.uint8)
        ends = np.empty(len(self), dtype=np.int64)
        text = codes[: KERNELS["encode"](self.edges, self.ends, pixels, codes, ends)].tobytes().decode("ascii")
        return [text[start:end] for start, end in pairwise([0, *ends.tolist()])]


def edges_of(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the places at which a walk down the columns of a mask, bool, (H, W), enters and leaves it, int64, (E,).

    Only the box around the mask is turned to columns.
    """
    height = mask.shape[0]
    pixels = np.ascontiguousarray(mask).view(np.uint8)
    left, top, across, down = cv2.boundingRect(pixels) if mask.size else (0, 0, 0, 0)
    if not across:
        return np.zeros(0, dtype=np.int64)
    # A zero before and after every column: a run of ones has a beginning and an end, and none goes on in the next.
    stride = down + 2
    columns = np.zeros((across, stride), dtype=np.uint8)
    columns[:, 1:-1] = cv2.transpose(pixels[top : top + down, left : left + across])
    flat = columns.ravel()
    steps = np.flatnonzero(flat[1:] != flat[:-1])  # where a run of ones begins and where it ends, in turn
    edges = steps + steps // stride * (height - stride) + left * height + top  # the same in the whole mask
    if down == height:  # a run that ends with its column and one that begins with the next are one run
        joined = np.flatnonzero(edges[1:-1:2] == edges[2::2]) * 2 + 1
        edges = np.delete(edges, np.concatenate([joined, joined + 1]))
    return np.asarray(edges, dtype=np.int64)


def lengths_of_texts(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the run lengths in COCO's compressed texts, one after the other, and where those of each text end.

    Raises:
        ValueError: If a text ends within a number or holds another character.
    """
    if any(text[:2] in ("b'", 'b"') for text in texts):
        raise ValueError("its run lengths were written as Python shows bytes, b'…'; write counts.decode() instead")
    try:
        codes = np.frombuffer("".join(texts).encode("latin-1"), dtype=np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        raise ValueError(DAMAGED) from None
    text_ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    is_last = (codes & 32) == 0
    whole = text_ends[np.diff(text_ends, prepend=0) > 0] - 1  # the last character of each text ends a number
    if len(codes) and (int(codes.min()) < 0 or int(codes.max()) > 63 or not is_last[whole].all()):
        raise ValueError(DAMAGED)
    last = np.flatnonzero(is_last)
    characters = np.diff(last, prepend=-1)
    if len(characters) and int(characters.max()) > LONGEST_NUMBER:
        raise ValueError(DAMAGED)
    first = last - characters + 1
    shifts = 5 * (np.arange(len(codes)) - np.repeat(first, characters))
    values = np.add.reduceat((codes & 31) << shifts, first) if len(first) else np.zeros(0, np.int64)
    values -= ((codes[last] >> 4) & 1) << (5 * characters)
    ends = np.searchsorted(last, text_ends)
    return _summed(values, ends), np.asarray(ends, dtype=np.int64)


def _summed(values: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Undo the differences: from the fourth number of a text on, each is added to the last but one."""
    counts = np.diff(ends, prepend=0)
    starts = np.repeat(ends - counts, counts)
    place = np.arange(len(values)) - starts
    odd = place % 2 == 1
    lengths = values.copy()
    for chain in (odd, ~odd & (place > 0)):
        total = np.concatenate([[0], np.cumsum(np.where(chain, values, 0))])
        lengths[chain] = (total[1:] - total[starts])[chain]
    return lengths


def texts_of_lengths(lengths: NDArray[np.int64], ends: NDArray[np.int64]) -> list[str]:
    """Write run lengths of several masks as COCO's compressed texts; the inverse of `lengths_of_texts`.

    >>> texts_of_lengths(np.array([5, 3, 2000, 3, 1, 20]), np.array([5, 6]))
    ['53`n10aQN', 'd0']
    """
    counts = np.diff(ends, prepend=0)
    place = np.arange(len(lengths)) - np.repeat(ends - counts, counts)
    values = lengths.copy()
    late = np.flatnonzero(place > 2)
    values[late] -= lengths[late - 2]
    characters = np.ones(len(values), dtype=np.int64)
    for shift in range(4, 5 * LONGEST_NUMBER, 5):
        longer = (values < -(1 << shift)) | (values >= 1 << shift)
        if not longer.any():
            break
        characters += longer
    stops = np.cumsum(characters)
    number = np.repeat(np.arange(len(values)), characters)
    digit = np.arange(len(number)) - (stops - characters)[number]
    codes = ((values[number] >> (5 * digit)) & 31) + 48
    codes[digit < characters[number] - 1] += 32
    text = codes.astype(np.uint8).tobytes().decode("ascii")
    text_ends = np.concatenate([[0], stops])[ends].tolist()
    return [text[start:end] for start, end in pairwise([0, *text_ends])]


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Return COCO run lengths of a mask: column-major, the first run counts zeros.

    >>> run_lengths(np.array([[False, True], [True, True]]))
    [1, 3]
    """
    lengths: list[int] = MaskRuns.of_masks(mask[None]).lengths()[0].tolist()
    return lengths


def mask_from_run_lengths(runs: list[int], size: Size) -> NDArray[np.bool_]:
    """Return the mask of COCO run lengths, bool, shape `size`, C order; raises `ValueError` if they do not fill it."""
    lengths = np.array(runs, dtype=np.int64)
    mask: NDArray[np.bool_] = MaskRuns.of_lengths(lengths, np.array([len(runs)]), size).drawn()[0]
    return mask
