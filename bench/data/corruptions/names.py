"""The corruptions by name and family, and what one does to an image."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from bench.data.corruptions import blur, digital, elastic, noise, weather
from bench.data.corruptions.size import FACTORS, scaled_image
from bench.data.corruptions.types import Corrupt
from bench.errors import did_you_mean
from bench.records import Corruption, Size
from bench.records.predictions import RgbImage

MADE_BY: dict[str, dict[str, Corrupt]] = {
    "noise": noise.CORRUPTIONS,
    "blur": blur.CORRUPTIONS,
    "weather": weather.CORRUPTIONS,
    "digital": digital.CORRUPTIONS,
}
FAMILIES: dict[str, tuple[str, ...]] = {
    **{family: tuple(made) for family, made in MADE_BY.items()},
    "size": tuple(FACTORS),
    "shape": (elastic.NAME,),
}
"""Family -> its corruptions."""

FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names}

ALL = "all"
"""Stands for every corruption of every family."""


def named(wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the corruptions that names, families and `all` stand for, each once, in the order of the families."""
    asked = {name for one in wanted for name in (FAMILY_OF if one == ALL else FAMILIES.get(one, (one,)))}
    return tuple(name for name in FAMILY_OF if name in asked)


def name_error(name: str) -> str | None:
    """Say what is wrong with a name, in a sentence; None if it is a corruption, a family or `all`."""
    known = [ALL, *FAMILIES, *FAMILY_OF]
    if name in known:
        return None
    told = "; ".join(f"{family}: {', '.join(names)}" for family, names in FAMILIES.items())
    return f"no corruption named {name!r}.{did_you_mean(name, known)} There are {ALL}, and {told}"


def what_it_does(name: str) -> str:
    """Return a sentence on a corruption."""
    if name in FACTORS:
        return f"Show objects {name}, by a factor of {', '.join(f'{one:.2g}' for one in FACTORS[name])}."
    if name == elastic.NAME:
        return "Shear and warp an image smoothly, and its ground truth alike."
    return (MADE_BY[FAMILY_OF[name]][name].__doc__ or "").strip()


def corrupted(image: RgbImage, corruption: Corruption, image_id: str) -> RgbImage:
    """Return an image as a corruption makes it: the same for the same seed, name, severity and image.

    Args:
        image: RGB, (H, W, 3), uint8, or float32 from 0 to 255, which stays so.
        corruption: The corruption, with its severity and its seed.
        image_id: Id of the image; each is corrupted by random numbers of its own.
    """
    if corruption.name in FACTORS:
        return scaled_image(image, FACTORS[corruption.name][corruption.severity - 1])
    rng = random_of(corruption, image_id)
    if corruption.name == elastic.NAME:
        return elastic.warped_image(image, elastic.warp(Size(*image.shape[:2]), corruption.severity, rng))
    make = MADE_BY[FAMILY_OF[corruption.name]][corruption.name]
    found = make(image.astype(np.float64) / 255, corruption.severity, rng)
    found = np.clip(found, 0, 1) * 255
    return np.rint(found).astype(np.uint8) if image.dtype == np.uint8 else np.asarray(found, dtype=image.dtype)


def random_of(corruption: Corruption, image_id: str) -> np.random.Generator:
    """Return the random numbers of an image under a corruption."""
    seed = f"{corruption.seed}/{corruption.name}/{corruption.severity}/{image_id}"
    digest = hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
