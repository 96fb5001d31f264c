"""Decoding of image and mask files: one rule for every data set that lies on disk.

Images become uint8 RGB. OpenCV decodes them, except what it gets wrong: GIF and CMYK go through
Pillow. EXIF orientation is applied, so an image is what a viewer shows; alpha is dropped, not
blended; 16 bits are scaled by 255 / 65535; grey is repeated. Floating-point images are refused.

Masks come back as stored: palette indices stay indices (an ordinary decoder would turn them into
colours), 16 bits stay 16 bits. A mask that has an EXIF orientation of its own is turned by it, as its
image is by the image's. JPEG masks are refused, because JPEG invents labels along every edge.

Both refuse truncated files, which OpenCV would fill with grey, and more than 2^30 pixels.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bench.data.formats.arrays import read_array
from bench.data.formats.png_chunks import overrun
from bench.errors import DatasetError, FaultKind
from bench.records import Size
from bench.records.predictions import RgbImage

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif")
MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".npy")
MAX_PIXELS = 2**30
"""OpenCV's own limit; 32,768 pixels square."""
ORIENTATION_TAG = 0x0112
TURNED_ORIENTATIONS = (5, 6, 7, 8)

REDUCED = {8: cv2.IMREAD_REDUCED_GRAYSCALE_8, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 2: cv2.IMREAD_REDUCED_GRAYSCALE_2}
"""Divisor of both sides -> how OpenCV is told."""

PALETTE_ENTRIES = 32
"""So many colours of a palette are kept in a header."""

MOST_HEADERS = 65536
NO_MEMORY = -4
"""OpenCV's code of an error for memory that cannot be had."""

# Pillow's own limit, 9e7 pixels, is a guard against decompression bombs; ours stands in `_header_of`.
Image.MAX_IMAGE_PIXELS = None

Colours = Literal["indices", "grey", "rgb"]
P = ParamSpec("P")
T = TypeVar("T")


def _blaming(kind: FaultKind) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a reader whose every `DatasetError` is of one kind."""

    def of_kind(read: Callable[P, T]) -> Callable[P, T]:
        @wraps(read)
        def reader(*arguments: P.args, **named: P.kwargs) -> T:
            try:
                return read(*arguments, **named)
            except DatasetError as error:
                error.kind = kind
                raise

        return reader

    return of_kind


class Unreadable(DatasetError):
    """A file that cannot be decoded.

    Attributes:
        path: The file.
        reason: Why, in words.
    """

    def __init__(self, path: Path, reason: str) -> None:
        """Say what to do about a file of a data set."""
        super().__init__(
            f"{path} cannot be read: {reason}. Restore the file from its source, or remove it together with its mask."
        )
        self.path, self.reason = path, reason


@dataclass(frozen=True)
class Header:
    """What a file says about itself without being decoded.

    Attributes:
        form: Pillow's name of the format, for example `JPEG`.
        mode: Pillow's mode, for example `P` (palette) or `CMYK`.
        stored: Size as stored.
        orientation: EXIF orientation, 1-8; 1 = upright.
        palette: The first `PALETTE_ENTRIES` colours of its palette as stored, three bytes each; empty without one.
    """

    form: str
    mode: str
    stored: Size
    orientation: int
    palette: bytes = b""

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


_headers: dict[Path, Header] = {}
"""Of the files read last, so that who asks for the size of an image it has just read does not open it again."""


@_blaming("image")
def header_of(path: Path) -> Header:
    """Format and size of an image, as it was when this process last read it; else without decoding it.

    Raises:
        Unreadable: If the file is missing or no image.
        DatasetError: If it is too large.
    """
    found = _headers.get(path)
    if found is None:
        try:
            with Image.open(path) as image:
                found = _remembered(_header_of(image, path), path)
        except (OSError, ValueError, SyntaxError) as error:
            raise _unreadable(path, error) from None
    return found


def image_size(path: Path) -> Size:
    """Size of an image as `read_image` gives it, without decoding it; see `header_of`."""
    return header_of(path).size


@_blaming("image")
def read_image(path: Path) -> RgbImage:
    """Decode an image as RGB, uint8, (H, W, 3), by the rules above.

    Raises:
        Unreadable: If the file is missing, truncated or no image, or memory is too small for it.
        DatasetError: If it is too large or floating point.
    """
    return decode_image(read_bytes(path), path)


@_blaming("image")
def decode_image(encoded: bytes, path: Path) -> RgbImage:
    """Decode the content of an image file as `read_image` does; `path` says where it is from, for messages."""
    return _decoded(encoded, *_examined(encoded, path), path)


@dataclass(frozen=True)
class Glance:
    """What there is to see of an image without its details.

    Attributes:
        size: Of the image as `read_image` gives it.
        grey: Its grey values, uint8, (h, w), upright, at its size or a half, a quarter or an eighth of it.
    """

    size: Size
    grey: NDArray[np.uint8]


@_blaming("image")
def glance(encoded: bytes, path: Path, *, least: int) -> Glance:
    """Decode an image for its grey values, and refuse it if `read_image` would.

    All coded data of a JPEG are read, but its pixels are made at a fraction of its size, which is faster.

    Args:
        encoded: Content of the file.
        path: Where it is from, for messages.
        least: Pixels that the smaller side keeps at least, where the image has them.

    Raises:
        DatasetError: As `read_image`.
    """
    image, header = _examined(encoded, path)
    divisor = next((one for one in REDUCED if min(header.stored) >= one * least), 1)
    if divisor > 1 and header.form in ("JPEG", "MPO") and header.mode in ("L", "RGB"):
        grey = _by_opencv(encoded, REDUCED[divisor] | cv2.IMREAD_IGNORE_ORIENTATION, path)
        # The last row and column stand for fewer pixels than the others where the size is no multiple.
        grey = grey[: header.stored.height // divisor, : header.stored.width // divisor]
        return Glance(header.size, np.ascontiguousarray(_upright(grey, header), dtype=np.uint8))
    rgb = _decoded(encoded, image, header, path)
    return Glance(header.size, np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8))


@_blaming("mask")
def read_mask(path: Path) -> StoredMask:
    """Read a mask as stored, see `StoredMask`.

    Raises:
        Unreadable: If the file is missing, truncated or no image, or memory is too small for it.
        DatasetError: If it is too large, JPEG, or not of 8 or 16 bits.
    """
    if path.suffix.lower() == ".npy":
        return StoredMask(read_array(path), "grey")
    encoded = read_bytes(path)
    image, header = _examined(encoded, path)
    if header.form in ("JPEG", "MPO"):
        raise DatasetError(
            f"{path} is a JPEG; a mask must be stored without loss, because JPEG invents labels along every edge. "
            "Write the masks as PNG, from their source rather than from the JPEG."
        )
    # A GIF of mode L has a grey ramp as palette, so that its values are indices.
    indexed = header.mode in ("P", "PA", "1") or header.form == "GIF"
    stored = _indexed(image, path) if indexed else _valued(encoded, header, path)
    return replace(stored, pixels=np.ascontiguousarray(_upright(stored.pixels, header)))


def _valued(encoded: bytes, header: Header, path: Path) -> StoredMask:
    """A mask of grey values or colours."""
    stored = _by_opencv(encoded, cv2.IMREAD_UNCHANGED, path)
    if stored.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f"{path} holds {stored.dtype} values; a mask holds labels of 8 or 16 bits. Write it as PNG.")
    if stored.ndim == 3 and header.mode in ("L", "LA", "I;16", "I"):
        stored = np.ascontiguousarray(stored[..., 0])
    if stored.ndim == 2:
        return StoredMask(stored, "grey")
    return StoredMask(np.ascontiguousarray(_eight_bits(stored, path)[..., 2::-1]), "rgb")


def named_in_text(path: Path) -> Path:
    """Return the path; raises `DatasetError` if it is not text in UTF-8, because then no record could hold it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise DatasetError(
            f"{shown}: its name is not text in UTF-8, in which results are written. Rename it."
        ) from None
    return path


def read_bytes(path: Path) -> bytes:
    """Content of a file; raises `Unreadable` if there is none."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error.strerror or error) from None


def _examined(encoded: bytes, path: Path) -> tuple[Image.Image, Header]:
    """The image as Pillow has it, its pixels not decoded yet, and its header; refuses what is cut off."""
    try:
        image = Image.open(io.BytesIO(encoded))
        header = _header_of(image, path)
    except (OSError, ValueError, SyntaxError) as error:
        raise _unreadable(path, error) from None
    if _is_cut(encoded, header):
        raise _unreadable(path, f"it is truncated after {len(encoded)} bytes")
    damage = overrun(encoded) if header.form == "PNG" else None
    if damage is not None:
        raise _unreadable(path, damage)
    return image, _remembered(header, path)


def _is_cut(encoded: bytes, header: Header) -> bool:
    """Whether a JPEG or PNG lacks its end, which OpenCV would not mind."""
    if header.form in ("JPEG", "MPO"):
        # Within the coded data of a JPEG FF is always followed by 00, so both markers are what they seem.
        return not encoded.endswith(b"\xff\xd9") and encoded.rfind(b"\xff\xd9") < encoded.rfind(b"\xff\xda")
    return header.form == "PNG" and encoded.rfind(b"IEND") < 0


def _remembered(header: Header, path: Path) -> Header:
    if len(_headers) >= MOST_HEADERS:
        _headers.clear()
    _headers[path] = header
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
        palette=b"" if image.palette is None else bytes(image.palette.palette[: 3 * PALETTE_ENTRIES]),
    )


def _decoded(encoded: bytes, image: Image.Image, header: Header, path: Path) -> RgbImage:
    """Pixels as RGB, upright, uint8, (H, W, 3)."""
    if header.mode == "F" or (header.mode == "I" and header.form == "TIFF"):
        raise _of_unknown_range({"F": "float32", "I": "int32"}[header.mode], path)
    try:
        return np.ascontiguousarray(_upright(_rgb(encoded, image, header, path), header), dtype=np.uint8)
    except MemoryError:
        raise _too_large(path) from None


def _rgb(encoded: bytes, image: Image.Image, header: Header, path: Path) -> NDArray[Any]:
    """Pixels as RGB, as stored."""
    if header.form == "GIF" or header.mode == "CMYK":
        return _pillow_pixels(image.convert, "RGB", path)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    bgr = _eight_bits(_by_opencv(encoded, flags, path), path)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, bgr)  # in place, without memory for a second image


def _by_opencv(encoded: bytes, flags: int, path: Path) -> NDArray[Any]:
    try:
        pixels = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), flags)
    except cv2.error as error:
        raise _too_large(path) if error.code == NO_MEMORY else _unreadable(path, error.err) from None
    if pixels is None:
        raise _unreadable(path, "its pixels cannot be decoded")
    return pixels


def _indexed(image: Image.Image, path: Path) -> StoredMask:
    mode = image.mode
    try:
        pixels = _pillow_pixels(image.getchannel, 0, path) if mode == "PA" else _pillow_pixels(np.asarray, image, path)
    except MemoryError:
        raise _too_large(path) from None
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
        # Rounded to the nearest; no value lies in the middle between two, because 257 is odd.
        return np.asarray(cv2.convertScaleAbs(pixels, alpha=1 / 257), dtype=np.uint8)
    raise _of_unknown_range(str(pixels.dtype), path)


def _of_unknown_range(dtype: str, path: Path) -> DatasetError:
    return DatasetError(
        f"{path} holds {dtype} values, whose range is unknown; images of 8 or 16 bits are expected. "
        "Scale it and write it as 16-bit PNG or TIFF."
    )


def _too_large(path: Path) -> Unreadable:
    return Unreadable(path, "its pixels do not fit into the memory of this machine; cut it into tiles")


def as_shown(pixels: NDArray[Any], header: Header) -> NDArray[Any]:
    """Pixels as stored, (H, W, …), as EXIF has them shown."""
    return _upright(pixels, header)


def _upright(pixels: NDArray[Any], header: Header) -> NDArray[Any]:
    """Undo the EXIF orientation (Exif 2.3, tag 0112): mirror and turn by quarters."""
    mirrored = header.orientation in (2, 4, 5, 7)
    quarters = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}[header.orientation]
    return np.rot90(pixels[:, ::-1] if mirrored else pixels, quarters)


def _unreadable(path: Path, reason: object) -> Unreadable:
    if isinstance(reason, UnidentifiedImageError):
        reason = "it is no image of a known format"
    return Unreadable(path, str(reason))


def write_indexed(path: Path, indices: NDArray[np.uint8], palette: Sequence[tuple[int, int, int]]) -> None:
    """Write indices, uint8, (H, W), with a palette of RGB colours, as the PNG or GIF that the name asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.ascontiguousarray(indices)).convert("P")
    image.putpalette([channel for colour in palette for channel in colour])
    image.save(path, optimize=False)
