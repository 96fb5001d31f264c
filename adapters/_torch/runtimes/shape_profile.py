"""The shapes that an engine of TensorRT is built for.

TensorRT builds an engine for a range of shapes, its profile, and chooses the kernels that are fastest for one of them.
Without a profile ONNX Runtime builds an engine for the first shape alone, and anew whenever another one comes, which
takes minutes; with one it refuses what lies outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

LEAST_SIDE = 32
"""Pixels of the smallest side that a profile allows, where no smaller one was seen: most networks halve it 5 times."""

Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class ShapeProfile:
    """A range of shapes (B, C, H, W).

    Attributes:
        smallest, best, largest: Smallest and largest length of each axis, and the shape that kernels are chosen for.
    """

    smallest: Shape
    best: Shape
    largest: Shape

    @classmethod
    def around(cls, shape: Sequence[int], *, fixed_size: bool, multiple: int = 1) -> ShapeProfile:
        """Return the profile of a network that is first shown a shape: batches up to its size, which is the best.

        Args:
            shape: (B, C, H, W).
            fixed_size: True if height and width never change. Otherwise the sides may shrink to `LEAST_SIDE` and grow
                to the next doubling of the multiple, in each direction alike, as images come upright and lying.
            multiple: Sides are multiples of it.

        >>> ShapeProfile.around((4, 3, 64, 96), fixed_size=True).smallest
        (1, 3, 64, 96)
        >>> ShapeProfile.around((4, 3, 427, 640), fixed_size=False, multiple=1).largest
        (4, 3, 1024, 1024)
        """
        batch, channels, height, width = shape
        best = (batch, channels, height, width)
        if fixed_size:
            return cls((1, channels, height, width), best, best)
        least = min(-(-LEAST_SIDE // multiple) * multiple, height, width)
        most = multiple
        while most < max(height, width):
            most *= 2
        return cls((1, channels, least, least), best, (batch, channels, most, most))

    def holds(self, shape: Sequence[int]) -> bool:
        """Return whether an engine of this profile runs a shape."""
        return all(low <= side <= high for low, side, high in zip(self.smallest, shape, self.largest, strict=True))

    def joined(self, other: ShapeProfile) -> ShapeProfile:
        """Return the profile that holds what either does, with the other's best shape."""
        smallest = _each(min, self.smallest, other.smallest)
        return ShapeProfile(smallest, other.best, _each(max, self.largest, other.largest))

    def options(self, name: str) -> dict[str, str]:
        """Return the options of ONNX Runtime's TensorRT provider for the input of a name."""
        ends = {"min": self.smallest, "opt": self.best, "max": self.largest}
        return {f"trt_profile_{end}_shapes": f"{name}:{_by_x(shape)}" for end, shape in ends.items()}

    def __str__(self) -> str:
        """Return the three shapes as a part of a file's name."""
        return "-".join(map(_by_x, (self.smallest, self.best, self.largest)))


def _each(pick: Callable[[int, int], int], one: Shape, other: Shape) -> Shape:
    batch, channels, height, width = (pick(*pair) for pair in zip(one, other, strict=True))
    return batch, channels, height, width


def _by_x(shape: Shape) -> str:
    return "x".join(map(str, shape))
