"""Decoding of image and mask files: one rule for every data set that lies on disk.

Images become uint8 RGB. OpenCV decodes them, except what it gets wrong: GIF and CMYK go through
Pillow. EXIF orientation is applied, of every format and by every reader, so an image is what a viewer
shows; what its labels fit is another question, see `orientation.py`. Alpha is dropped, not
blended; 16 bits are scaled by 255 / 65535; grey is repeated. Floating-point images are refused.

Masks come back as stored: palette indices stay indices (an ordinary decoder would turn them into
colours), 16 bits stay 16 bits. A mask that has an EXIF orientation of its own is turned by it, as its
image is by the image's. JPEG masks are refused, because JPEG invents labels along every edge.

Both refuse truncated files, which OpenCV would fill with grey, and more than 2^30 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.formats.arrays import read_array
from bench.data.formats.image_headers import (
    BITS,
    Header,
    blaming,
    examined,
    further_bands,
    read_bytes,
    tiff_layout,
    undeclared_bands,
    unreadable,
)
from bench.errors import DatasetError
from bench.records import Size
from bench.records.damage import IMAGE_DAMAGE
from bench.records.predictions import RgbImage

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif"),
    *(".jfif", ".jpe", ".jp2", ".j2k", ".avif", ".heic", ".heif"),
)
BY_PILLOW = ("GIF", "JPEG2000", "AVIF", "HEIF")
"""Formats that OpenCV reads wrongly, or in some builds only."""
MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".npy")
LOSSY_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".jpe")

REDUCED = {8: cv2.IMREAD_REDUCED_GRAYSCALE_8, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 2: cv2.IMREAD_REDUCED_GRAYSCALE_2}
"""Divisor of both sides -> how OpenCV is told."""
NO_MEMORY = -4
"""OpenCV's code of an error for memory that cannot be had."""

Colours = Literal["indices", "grey", "rgb"]


@dataclass(frozen=True)
class StoredMask:
    """A mask as its file holds it.

    Attributes:
        pixels: uint8 or uint16, (H, W), for `indices` and `grey`; uint8, (H, W, 3), for `rgb`.
        colours: Meaning of a pixel: an index into a palette, a grey value or a colour.
        palette: RGB colours of the indices, or None.
        alpha: (H, W), where the file has transparency that is not the same everywhere.
        bits: Bits of a pixel, where it has 1; else 0.
    """

    pixels: NDArray[Any]
    colours: Colours
    palette: tuple[tuple[int, int, int], ...] | None = None
    alpha: NDArray[Any] | None = None
    bits: int = 0

    def values(self, file: Path, instead: str) -> NDArray[Any]:
        """Return the pixels of a mask of one value each, (H, W); raises `DatasetError` for colours.

        Args:
            instead: End of the sentence `FILE holds colours`: what was expected, and what to do.
        """
        if self.pixels.ndim == 3:
            raise DatasetError(f"{file} holds colours{instead}", kind="colours")
        return self.pixels


@blaming("image")
def read_image(path: Path) -> RgbImage:
    """Decode an image as RGB, uint8, (H, W, 3), by the rules above.

    Raises:
        Unreadable: If the file is missing, truncated or no image, or memory is too small for it.
        DatasetError: If it is too large or floating point.
    """
    return decode_image(read_bytes(path), path)


@blaming("image")
def decode_image(encoded: bytes, path: Path) -> RgbImage:
    """Decode the content of an image file as `read_image` does; `path` says where it is from, for messages."""
    return _decoded(encoded, *examined(encoded, path), path)


@dataclass(frozen=True)
class ImageSummary:
    """Hold what there is to see of an image without its details.

    Attributes:
        size: Size of the image as `read_image` gives it.
        grey: Its grey values, uint8, (h, w), upright, at its size or a half, a quarter or an eighth of it.
    """

    size: Size
    grey: NDArray[np.uint8]


@blaming("image")
def glance(encoded: bytes, path: Path, *, least: int) -> ImageSummary:
    """Decode an image for its grey values; raises `DatasetError` where `read_image` would.

    All coded data of a JPEG are read, but its pixels are made at a fraction of its size, which is faster.

    Args:
        least: Pixels that the smaller side keeps at least, where the image has them.
    """
    image, header = examined(encoded, path)
    divisor = next((one for one in REDUCED if min(header.stored) >= one * least), 1)
    if divisor > 1 and header.form in ("JPEG", "MPO") and header.mode in ("L", "RGB"):
        grey = _by_opencv(encoded, REDUCED[divisor] | cv2.IMREAD_IGNORE_ORIENTATION, path)
        # The last row and column stand for fewer pixels than the others where the size is no multiple.
        grey = grey[: header.stored.height // divisor, : header.stored.width // divisor]
        return ImageSummary(header.size, np.ascontiguousarray(upright(grey, header), dtype=np.uint8))
    rgb = _decoded(encoded, image, header, path)
    return ImageSummary(header.size, np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8))


@blaming("mask")
def read_mask(path: Path, *, lossy: bool = False, alpha: Literal["refuse", "keep"] = "refuse") -> StoredMask:
    """Read a mask as stored, see `StoredMask`.

    Args:
        lossy: Take a JPEG too, whose values are not labels.
        alpha: Treatment of transparency that varies: refused, because a class may hide in it, or kept.

    Raises:
        Unreadable: If the file is missing, truncated or no image, or memory is too small for it.
        DatasetError: If it is too large, JPEG, not of 8 or 16 bits, or has transparency that varies.
    """
    if path.suffix.lower() == ".npy":
        return StoredMask(read_array(path), "grey")
    encoded = read_bytes(path)
    try:
        return decode_mask(encoded, path, lossy=lossy, alpha=alpha)
    except DatasetError:
        if (wide := _labels_of_64_bits(path)) is None:
            raise
        return StoredMask(wide, "grey")


@blaming("mask")
def decode_mask(
    encoded: bytes, path: Path, *, lossy: bool = False, alpha: Literal["refuse", "keep"] = "refuse"
) -> StoredMask:
    """Decode the content of a mask file as `read_mask` does; `path` says where it is from, for messages."""
    image, header = examined(encoded, path)
    if header.form in ("JPEG", "MPO") and not lossy:
        raise DatasetError(
            f"{path} is a JPEG; a mask must be stored without loss, because JPEG invents labels along every edge. "
            "Write the masks as PNG, from their source rather than from the JPEG."
        )
    # A GIF of mode L has a grey ramp as palette, so that its values are indices.
    indexed = header.mode in ("P", "PA", "1") or header.form == "GIF"
    stored = _indexed(image, path) if indexed else _valued(encoded, header, path)
    if stored.alpha is not None and alpha == "refuse":
        shown = np.unique(stored.alpha)
        raise DatasetError(
            f"{path} has an alpha channel that varies ({len(shown)} values from {shown[0]} to {shown[-1]}), and a mask "
            "is read by value or colour alone, so that a class hidden in the alpha channel would be lost. Write the "
            "masks without alpha; in a data set 'folder' the option binary: {threshold: 128, channel: alpha} reads "
            "two classes from it, and binary: {threshold: 128} ignores it."
        )
    turned = None if stored.alpha is None else np.ascontiguousarray(upright(stored.alpha, header))
    return replace(stored, pixels=np.ascontiguousarray(upright(stored.pixels, header)), alpha=turned)


def alpha_varies(path: Path) -> bool:
    """Return whether an image has transparency that is not the same everywhere, which `read_image` drops.

    Looks at the pixels of files that have transparency alone; raises `Unreadable` if these cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            if not ({"A", "a"} & set(image.getbands()) or "transparency" in image.info):
                return False
            lowest, highest = image.convert("RGBA").getchannel("A").getextrema()
    except IMAGE_DAMAGE as error:
        raise unreadable(path, error) from None
    return lowest != highest


def _valued(encoded: bytes, header: Header, path: Path) -> StoredMask:
    stored = _narrowed(_by_opencv(encoded, cv2.IMREAD_UNCHANGED, path))
    if stored.dtype not in (np.uint8, np.uint16):
        raise DatasetError(
            f"{path} holds {stored.dtype} values; a mask holds whole labels from 0 to 65535. Write it as PNG."
        )
    last = stored[..., -1] if stored.ndim == 3 and stored.shape[2] == 4 else None
    alpha = None if last is None or (last == last.flat[0]).all() else np.ascontiguousarray(last)
    if stored.ndim == 3 and header.mode in ("L", "LA", "I;16", "I"):
        stored = np.ascontiguousarray(stored[..., 0])
    if stored.ndim == 2:
        return StoredMask(stored, "grey", alpha=alpha)
    return StoredMask(np.ascontiguousarray(_eight_bits(stored, path)[..., 2::-1]), "rgb", alpha=alpha)


def _labels_of_64_bits(path: Path) -> NDArray[Any] | None:
    """Return labels of a TIFF of 64 bits, as scikit-image writes them, as 16 bits; None where it is none of that."""
    layout = tiff_layout(path) if path.suffix.lower() in (".tif", ".tiff") else None
    if layout is None or layout.bands != 1 or layout.dtype not in ("int64", "uint64", "float64"):
        return None
    import tifffile

    try:
        stored = np.asarray(tifffile.imread(path))
    except Exception:  # whatever a damaged file makes tifffile raise; decoding it has told
        return None
    labels = _narrowed(stored)
    return labels if labels.ndim == 2 and labels.dtype == np.uint16 else None


def _narrowed(stored: NDArray[Any]) -> NDArray[Any]:
    """Return labels of 32 bits or floats as 16 bits where nothing is lost, as programs for microscopy write them."""
    if stored.dtype in (np.uint8, np.uint16) or not stored.size:
        return stored
    with np.errstate(invalid="ignore"):
        narrow = stored.astype(np.uint16)
    return narrow if np.array_equal(narrow, stored) else stored


def _decoded(encoded: bytes, image: Image.Image, header: Header, path: Path) -> RgbImage:
    """Return pixels as RGB, upright, uint8, (H, W, 3)."""
    bands = further_bands(image)
    if bands:
        layout = tiff_layout(path)
        raise undeclared_bands(path, bands, "uint8" if layout is None else layout.dtype)
    if header.mode == "F" or (header.mode == "I" and header.form == "TIFF"):
        raise _of_unknown_range({"F": "float32", "I": "int32"}[header.mode], path)
    try:
        return np.ascontiguousarray(upright(_rgb(encoded, image, header, path), header), dtype=np.uint8)
    except MemoryError as error:
        raise unreadable(path, error) from None


def _rgb(encoded: bytes, image: Image.Image, header: Header, path: Path) -> NDArray[Any]:
    """Return pixels as RGB, as stored."""
    if header.form in BY_PILLOW or header.mode == "CMYK":
        return _pillow_pixels(image.convert, "RGB", path)
    if header.form == "TIFF" and header.mode == "RGBA" and 16 not in getattr(image, "tag_v2", {}).get(BITS, ()):
        # libtiff, as OpenCV uses it, multiplies the colours by their alpha.
        return np.ascontiguousarray(_pillow_pixels(np.asarray, image, path)[..., :3])
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    bgr = _eight_bits(_by_opencv(encoded, flags, path), path)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, bgr)  # in place, without memory for a second image


def _by_opencv(encoded: bytes, flags: int, path: Path) -> NDArray[Any]:
    try:
        pixels = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), flags)
    except cv2.error as error:
        raise unreadable(path, MemoryError() if error.code == NO_MEMORY else error.err) from None
    if pixels is None:
        raise unreadable(path, "its pixels cannot be decoded")
    return pixels


def _indexed(image: Image.Image, path: Path) -> StoredMask:
    mode = image.mode
    alpha = None
    pixels = _pillow_pixels(image.getchannel, 0, path) if mode == "PA" else _pillow_pixels(np.asarray, image, path)
    if mode == "PA":
        last = _pillow_pixels(image.getchannel, 1, path)
        alpha = None if (last == last.flat[0]).all() else last
    flat = image.getpalette("RGB") if mode in ("P", "PA") else None
    palette = None if flat is None else tuple(zip(flat[0::3], flat[1::3], flat[2::3], strict=True))
    return StoredMask(np.array(pixels, dtype=np.uint8), "indices", palette, alpha, bits=1 if mode == "1" else 0)


def _pillow_pixels(decode: Any, argument: Any, path: Path) -> NDArray[Any]:
    """Decode by a method of Pillow's, which reads the pixels only now and may find them damaged."""
    try:
        return np.asarray(decode(argument))
    except IMAGE_DAMAGE as error:
        raise unreadable(path, error) from None


def _eight_bits(pixels: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        # Rounded to the nearest; no value lies in the middle between two, because 257 is odd.
        return np.asarray(cv2.convertScaleAbs(pixels, alpha=1 / 257), dtype=np.uint8)
    raise _of_unknown_range(str(pixels.dtype), path)


def _of_unknown_range(dtype: str, path: Path) -> DatasetError:
    return DatasetError(
        f"{path} holds {dtype} values, whose range is unknown; images of 8 or 16 bits are expected. "
        "Scale it and write it as 16-bit PNG or TIFF."
    )


def upright(pixels: NDArray[Any], header: Header) -> NDArray[Any]:
    """Decoded pixels, (H, W, …), as shown."""
    return pixels if header.decoded_upright else turned(pixels, header.orientation)


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo an EXIF orientation (Exif 2.3, tag 0112) of what is as stored, (H, W, …): mirror and turn by quarters."""
    mirrored = orientation in (2, 4, 5, 7)
    quarters = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}[orientation]
    return np.rot90(pixels[:, ::-1] if mirrored else pixels, quarters)


def write_indexed(path: Path, indices: NDArray[np.uint8], palette: Sequence[tuple[int, int, int]]) -> None:
    """Write indices, uint8, (H, W), with a palette of RGB colours, as the PNG or GIF that the name asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.ascontiguousarray(indices)).convert("P")
    image.putpalette([channel for colour in palette for channel in colour])
    image.save(path, optimize=False)
