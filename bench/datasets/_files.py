"""Decoding of image and mask files: one rule for every data set that lies on disk.

Images become uint8 RGB. OpenCV decodes them, except what it gets wrong: GIF and CMYK go through
Pillow. EXIF orientation is applied, so an image is what a viewer shows; alpha is dropped, not
blended; 16 bits are scaled by 255 / 65535; grey is repeated. Floating-point images are refused.

Masks come back as stored: palette indices stay indices (an ordinary decoder would turn them into
colours), 16 bits stay 16 bits, EXIF orientation is not looked at. JPEG masks are refused, because
JPEG invents labels along every edge.

Both refuse truncated files, which OpenCV would fill with grey, and more than 2^30 pixels.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bench.errors import DatasetError
from bench.predictions import RgbImage
from bench.records import Size

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif")
MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif", ".webp")
MAX_PIXELS = 2**30
"""OpenCV's own limit; 32,768 pixels square."""
ORIENTATION_TAG = 0x0112
TURNED_ORIENTATIONS = (5, 6, 7, 8)

# Pillow's own limit, 9e7 pixels, is a guard against decompression bombs; ours stands in `_header_of`.
Image.MAX_IMAGE_PIXELS = None

Colours = Literal["indices", "grey", "rgb"]


@dataclass(frozen=True)
class Header:
    """What a file says about itself without being decoded.

    Attributes:
        form: Pillow's name of the format, for example `JPEG`.
        mode: Pillow's mode, for example `P` (palette) or `CMYK`.
        stored: Size as stored.
        orientation: EXIF orientation, 1-8; 1 = upright.
    """

    form: str
    mode: str
    stored: Size
    orientation: int

    @property
    def size(self) -> Size:
        """Size as shown: height and width change places where EXIF turns the image by 90 degrees."""
        return Size(self.stored.width, self.stored.height) if self.orientation in TURNED_ORIENTATIONS else self.stored


@dataclass(frozen=True)
class StoredMask:
    """A mask as its file holds it.

    Attributes:
        pixels: uint8 or uint16, (H, W), for `indices` and `grey`; uint8, (H, W, 3), for `rgb`.
        colours: What a pixel is: an index into a palette, a grey value or a colour.
        palette: RGB colours of the indices, or None.
    """

    pixels: NDArray[Any]
    colours: Colours
    palette: tuple[tuple[int, int, int], ...] | None = None


def read_header(path: Path) -> Header:
    """Read format and size of an image, without decoding it; raises `DatasetError` naming the file."""
    try:
        with Image.open(path) as image:
            return _header_of(image, path)
    except (OSError, ValueError, SyntaxError) as error:
        raise _unreadable(path, error) from None


@lru_cache(maxsize=65536)
def image_size(path: Path) -> Size:
    """Size of an image as `read_image` gives it, without decoding it; kept for the life of the process."""
    return read_header(path).size


def read_image(path: Path) -> RgbImage:
    """Decode an image as RGB, uint8, (H, W, 3), by the rules above.

    Raises:
        DatasetError: If the file is missing, truncated, no image, too large, or floating point.
    """
    encoded = _read_bytes(path)
    header = _checked_header(encoded, path)
    if header.mode == "F":
        raise _of_unknown_range("float32", path)
    if header.form == "GIF" or header.mode == "CMYK":
        with Image.open(io.BytesIO(encoded)) as image:
            pixels: NDArray[Any] = _pillow_pixels(image.convert, "RGB", path)
    else:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
        bgr = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), flags)
        if bgr is None:
            raise _unreadable(path, "its pixels cannot be decoded")
        pixels = cv2.cvtColor(_eight_bits(bgr, path), cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(_upright(pixels, header), dtype=np.uint8)


def read_mask(path: Path) -> StoredMask:
    """Read a mask as stored, see `StoredMask`.

    Raises:
        DatasetError: If the file is missing, truncated, no image, JPEG, or not of 8 or 16 bits.
    """
    encoded = _read_bytes(path)
    header = _checked_header(encoded, path)
    if header.form in ("JPEG", "MPO"):
        raise DatasetError(
            f"{path} is a JPEG; a mask must be stored without loss, because JPEG invents labels along every edge. "
            "Write the masks as PNG, from their source rather than from the JPEG."
        )
    # A GIF of mode L has a grey ramp as palette, so that its values are indices.
    if header.mode in ("P", "PA", "1") or header.form == "GIF":
        return _indexed(encoded, path)
    stored = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None:
        raise _unreadable(path, "its pixels cannot be decoded")
    if stored.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f"{path} holds {stored.dtype} values; a mask holds labels of 8 or 16 bits. Write it as PNG.")
    if stored.ndim == 3 and header.mode in ("L", "LA", "I;16", "I"):
        stored = np.ascontiguousarray(stored[..., 0])
    if stored.ndim == 2:
        return StoredMask(stored, "grey")
    return StoredMask(np.ascontiguousarray(_eight_bits(stored, path)[..., 2::-1]), "rgb")


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error.strerror or error) from None


def _checked_header(encoded: bytes, path: Path) -> Header:
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            header = _header_of(image, path)
    except (OSError, ValueError, SyntaxError) as error:
        raise _unreadable(path, error) from None
    # Within the coded data of a JPEG FF is always followed by 00, so both markers are what they seem.
    cut_jpeg = header.form in ("JPEG", "MPO") and encoded.rfind(b"\xff\xd9") < encoded.rfind(b"\xff\xda")
    if cut_jpeg or (header.form == "PNG" and encoded.rfind(b"IEND") < 0):
        raise _unreadable(path, f"it is truncated after {len(encoded)} bytes")
    return header


def _header_of(image: Image.Image, path: Path) -> Header:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DatasetError(
            f"{path} has {height} × {width} pixels, more than the {MAX_PIXELS} that can be decoded; cut it into tiles."
        )
    # Asking a PNG without `exif` for it would decode the whole image in search of a late chunk. Of a TIFF both
    # Pillow and OpenCV give size and pixels as shown.
    has_exif = image.format in ("JPEG", "MPO", "WEBP") or (image.format == "PNG" and "exif" in image.info)
    orientation = int(image.getexif().get(ORIENTATION_TAG, 1)) if has_exif else 1
    return Header(
        form=image.format or "",
        mode=image.mode,
        stored=Size(height, width),
        orientation=orientation if 1 <= orientation <= 8 else 1,
    )


def _indexed(encoded: bytes, path: Path) -> StoredMask:
    with Image.open(io.BytesIO(encoded)) as image:
        mode = image.mode
        pixels = _pillow_pixels(image.getchannel, 0, path) if mode == "PA" else _pillow_pixels(np.asarray, image, path)
        flat = image.getpalette("RGB") if mode in ("P", "PA") else None
    palette = None if flat is None else tuple(zip(flat[0::3], flat[1::3], flat[2::3], strict=True))
    return StoredMask(np.array(pixels, dtype=np.uint8), "indices", palette)


def _pillow_pixels(decode: Any, argument: Any, path: Path) -> NDArray[Any]:
    """Decode by a method of Pillow's, which reads the pixels only now and may find them damaged."""
    try:
        return np.asarray(decode(argument))
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise _unreadable(path, error) from None


def _eight_bits(pixels: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return np.asarray((pixels.astype(np.uint32) + 128) // 257, dtype=np.uint8)
    raise _of_unknown_range(str(pixels.dtype), path)


def _of_unknown_range(dtype: str, path: Path) -> DatasetError:
    return DatasetError(
        f"{path} holds {dtype} values, whose range is unknown; images of 8 or 16 bits are expected. "
        "Scale it and write it as 16-bit PNG or TIFF."
    )


def _upright(pixels: NDArray[Any], header: Header) -> NDArray[Any]:
    """Undo the EXIF orientation (Exif 2.3, tag 0112): mirror and turn by quarters."""
    mirrored = header.orientation in (2, 4, 5, 7)
    quarters = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}[header.orientation]
    return np.rot90(pixels[:, ::-1] if mirrored else pixels, quarters)


def _unreadable(path: Path, reason: object) -> DatasetError:
    if isinstance(reason, UnidentifiedImageError):
        reason = "it is no image of a known format"
    return DatasetError(
        f"{path} cannot be read: {reason}. Restore the file from its source, or remove it together with its mask."
    )
