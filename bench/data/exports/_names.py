"""Names the classes of a source in a format that has classes of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.datasets.shapes import NAMES
from bench.errors import DatasetError
from bench.records import ClassSpec

SHAPES: dict[str, tuple[str, ...]] = {
    "cityscapes": ("sky", "road", "terrain", "person", "rider", "car", "truck", "bus", "bicycle", "train"),
    "voc": (
        "background", "background", "background",
        "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car",
    ),
    "coco": (
        "sky-other", "dirt", "sea", "sports ball", "book", "kite", "donut", "scissors", "bottle", "stop sign",
    ),
    "ade20k": ("sky", "earth", "water", "ball", "box", "flag", "plate", "lamp", "bottle", "clock"),
    "camvid": (
        "Sky", "Road", "Sidewalk", "Car", "Pedestrian", "SignSymbol", "Bicyclist", "Fence", "Truck_Bus", "Train",
    ),
    "pets": ("background", "background", "background", *("pet",) * 7),
    "carvana": ("background", "background", "background", *("car",) * 7),
}  # fmt: skip
"""Format -> what sky, ground, water, disc, … of `shapes` become in it."""


def class_map(
    source: Sequence[ClassSpec], known: Sequence[str], names: Mapping[str, str] | None, *, form: str
) -> list[int]:
    """Return the position among the format's classes of each source class.

    Args:
        known: Names of the format's classes.
        names: Source class -> class of the format; None takes equal names, or the table above.

    Raises:
        DatasetError: If a class has no counterpart, with both sides.
    """
    own = [c.name for c in source]
    if names is None:
        names = dict(zip(NAMES, SHAPES[form], strict=True)) if tuple(own) == NAMES else {}
    wanted = [names.get(name, name) for name in own]
    lost = [name for name, target in zip(own, wanted, strict=True) if target not in known]
    if lost:
        raise DatasetError(
            f"{form}: no class for {', '.join(lost)}. Give each of the source's classes ({', '.join(own)}) the name "
            f"of one of the format's ({', '.join(known)}); several may share one."
        )
    return [list(known).index(target) for target in wanted]
