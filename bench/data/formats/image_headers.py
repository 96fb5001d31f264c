"""Reads what an image file states before it is decoded, and refuses files by that alone.

Sizes are as shown: EXIF orientation is applied, of every format. Refused are files that are cut off, hold several
pictures, have more than 2^30 pixels, or have bands that nothing declares.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from PIL import Image, UnidentifiedImageError

from bench.data.formats.jpeg_markers import plain_jpeg
from bench.errors import DatasetError, FaultKind, visible
from bench.records import Size
from bench.records.damage import IMAGE_DAMAGE, content_of, require_file
from bench.records.png import png_fault

NO_FILE = "it is a folder, a pipe or a device, no file"
MAX_PIXELS = 2**30
"""OpenCV's own limit; 32,768 pixels square."""
PIXEL_LIMIT = "BENCH_MAX_PIXELS"
"""Variable with a lower limit, for small machines and files of strangers."""
FREE_PIXELS = 2**24
"""An image of so many pixels may be stored in as few bytes as it likes."""
MOST_PIXELS_OF_A_BYTE = {"BMP": 256, "DIB": 256, "PPM": 8, "GIF": 5_000, "JPEG": 20_000, "MPO": 20_000}
"""Most pixels that a byte of a larger file may stand for, by its format: far beyond what any picture needs."""
MOST_OF_OTHERS = 300_000
"""The same for other formats, of which a blank page of fax in a TIFF comes closest."""
ORIENTATION_TAG = 0x0112
TURNED_ORIENTATIONS = (5, 6, 7, 8)
WITH_EXIF = ("JPEG", "MPO", "WEBP", "AVIF", "TIFF")
"""Formats whose orientation is asked for; PNG too, where it has EXIF."""
BITS, SAMPLES_PER_PIXEL, PHOTOMETRIC, EXTRA_SAMPLES = 258, 277, 262, 338
NEW_SUBFILE_TYPE, REDUCED_COPY, TRANSPARENCY = 254, 1, 4
"""TIFF's tag for what a page is, and two of its bits (TIFF 6.0, section 8)."""

TOO_LARGE = "its pixels do not fit into the memory of this machine; cut it into tiles"
PALETTE_ENTRIES = 32
"""Most colours of a palette that a header remembers."""

MOST_HEADERS = 65536
MOST_LISTED = 32
"""Most bands that a message lists."""

# Pillow's own limit, 9e7 pixels, is a guard against decompression bombs; ours stands in `_header_of`.
Image.MAX_IMAGE_PIXELS = None

try:
    import pillow_heif

    pillow_heif.register_heif_opener()
    _HEIF_IS_READ = True
except ImportError:
    _HEIF_IS_READ = False
P = ParamSpec("P")
T = TypeVar("T")


def blaming(kind: FaultKind) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a reader whose every `DatasetError` is of one kind."""

    def of_kind(read: Callable[P, T]) -> Callable[P, T]:
        """Return the reader with the kind set on what it raises."""

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
    """A file that cannot be decoded; `reason` says why, in words."""

    def __init__(self, path: Path, reason: str) -> None:
        """Say what to do about a file of a data set."""
        super().__init__(
            f"{path} cannot be read: {reason}. Restore the file from its source, or remove it together with its mask."
        )
        self.path, self.reason = path, reason


@dataclass(frozen=True)
class Header:
    """The facts that a file states about itself without being decoded.

    Attributes:
        form: Pillow's name of the format, for example `JPEG`.
        mode: Pillow's mode, for example `P` (palette) or `CMYK`.
        orientation: EXIF orientation, 1-8; 1 = upright.
        palette: The first `PALETTE_ENTRIES` colours of its palette as stored, three bytes each; empty without one.
        decoded_upright: True if decoders apply the orientation themselves, as those of TIFF do.
    """

    form: str
    mode: str
    stored: Size
    orientation: int
    palette: bytes = b""
    decoded_upright: bool = False

    @property
    def size(self) -> Size:
        """Size as shown: height and width change places where EXIF turns the image by 90 degrees."""
        return Size(self.stored.width, self.stored.height) if self.orientation in TURNED_ORIENTATIONS else self.stored


_headers: dict[Path, Header] = {}
"""Headers of the files read last, so that whoever asks for the size of an image just read does not open it again."""


@blaming("image")
def header_of(path: Path) -> Header:
    """Format and size of an image, as it was when this process last read it; else without decoding it.

    Raises:
        Unreadable: If the file is missing or no image.
        DatasetError: If it is too large.
    """
    found = _headers.get(path)
    if found is None:
        jpeg = plain_jpeg(path)
        if jpeg is not None and jpeg.size.height * jpeg.size.width <= max_pixels():
            return _remembered(Header("JPEG", jpeg.mode, jpeg.size, orientation=1), path)
        # Reading would wait for it, or never come to its end.
        try:
            require_file(path)
        except OSError:
            raise unreadable(path, NO_FILE) from None
        try:
            with Image.open(path) as image:
                found = _remembered(_header_of(image, path), path)
        except IMAGE_DAMAGE as error:
            layout = tiff_layout(path)
            if layout is None:
                raise unreadable(path, error) from None
            found = _remembered(Header("TIFF", f"{layout.bands} bands", layout.size, layout.orientation), path)
    return found


@dataclass(frozen=True)
class TiffLayout:
    """Size as stored, number of bands, type of the values and orientation of the first image of a TIFF."""

    size: Size
    bands: int
    dtype: str
    orientation: int = 1


def tiff_layout(path: Path) -> TiffLayout | None:
    """Look at the tags of a TIFF; None if the file is none, or tifffile is not installed."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    try:
        import tifffile

        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            size = Size(int(page.imagelength), int(page.imagewidth))
            orientation = _orientation(page.tags.valueof(ORIENTATION_TAG, 1))
            return TiffLayout(size, int(page.samplesperpixel), str(page.dtype), orientation)
    except Exception:  # whatever a damaged file makes tifffile raise, or its absence
        return None


def image_size(path: Path) -> Size:
    """Size of an image as `read_image` gives it, without decoding it; see `header_of`."""
    return header_of(path).size


@blaming("image")
def encoded_size(encoded: bytes, path: Path) -> Size:
    """Size of the image in the content of a file as `decode_image` gives it, from its header."""
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return _header_of(image, path).size
    except IMAGE_DAMAGE as error:
        raise unreadable(path, error) from None


def named_in_text(path: Path) -> Path:
    """Return the path; raises `DatasetError` if it is not text in UTF-8, because then no record could hold it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise DatasetError(
            f"{shown}: its name is not text in UTF-8, in which results are written. Rename it."
        ) from None
    if visible(path.name) != path.name or "\n" in path.name:
        raise DatasetError(f"{str(path)!r}: its name has control characters, which no table can show. Rename it.")
    return path


def read_bytes(path: Path) -> bytes:
    """Content of a file; raises `Unreadable` if there is none."""
    try:
        return content_of(path)
    except OSError as error:
        raise unreadable(path, error.strerror or NO_FILE) from None


def examined(encoded: bytes, path: Path) -> tuple[Image.Image, Header]:
    """Return the image as Pillow has it, its pixels not decoded yet, and its header; refuses what is cut off."""
    try:
        image = Image.open(io.BytesIO(encoded))
        header = _header_of(image, path)
    except IMAGE_DAMAGE as error:
        layout = tiff_layout(path) if isinstance(error, UnidentifiedImageError) else None
        if layout is not None:
            raise undeclared_bands(path, layout.bands, layout.dtype) from None
        raise unreadable(path, error) from None
    if _is_cut(encoded, header):
        raise unreadable(path, f"it is truncated after {len(encoded)} bytes")
    damage = png_fault(encoded) or _pixel_fault(len(encoded), header)
    if damage is not None:
        raise unreadable(path, damage)
    pages = pages_of(image)
    if pages > 1:
        what = "pages" if header.form == "TIFF" else "frames"
        raise DatasetError(
            f"{path} holds {pages} {what} of one {header.form} file, of which one image or mask can be made of the "
            "first only. Split it into one file each, images and masks alike, for example with tiffsplit or "
            "PIL.ImageSequence."
        )
    return image, _remembered(header, path)


def _pixel_fault(length: int, header: Header) -> str | None:
    """Say that a file is too short for its pixels, whose memory a decoder would take before it sees that."""
    pixels, most = header.stored.height * header.stored.width, MOST_PIXELS_OF_A_BYTE.get(header.form, MOST_OF_OTHERS)
    if pixels <= max(FREE_PIXELS, length * most):
        return None
    return f"its {length} bytes claim {header.stored.height} × {header.stored.width} pixels, which no picture comes to"


def pages_of(image: Image.Image) -> int:
    """Number of pictures in a file: pages of a TIFF, frames of an animation.

    Smaller copies and transparency masks in a TIFF do not count, nor what a camera puts behind the picture of a JPEG.
    """
    if image.format == "MPO" or not getattr(image, "is_animated", False):
        return 1
    if image.format != "TIFF":
        return int(getattr(image, "n_frames", 1))
    counted = 0
    with suppress(*IMAGE_DAMAGE):
        for page in range(getattr(image, "n_frames", 1)):
            image.seek(page)
            tags = getattr(image, "tag_v2", {})
            counted += not int(tags.get(NEW_SUBFILE_TYPE, 0)) & (REDUCED_COPY | TRANSPARENCY)
        image.seek(0)
    return max(1, counted)


def _is_cut(encoded: bytes, header: Header) -> bool:
    """Return whether a JPEG or PNG lacks its end, which OpenCV would not mind."""
    if header.form in ("JPEG", "MPO"):
        # Within the coded data of a JPEG FF is always followed by 00, so both markers are what they seem.
        return not encoded.endswith(b"\xff\xd9") and encoded.rfind(b"\xff\xd9") < encoded.rfind(b"\xff\xda")
    return header.form == "PNG" and encoded.rfind(b"IEND") < 0


def _remembered(header: Header, path: Path) -> Header:
    if len(_headers) >= MOST_HEADERS:
        _headers.clear()
    _headers[path] = header
    return header


def max_pixels() -> int:
    """Return the most pixels of an image that are decoded; raises `DatasetError` if the variable holds none."""
    asked = os.environ.get(PIXEL_LIMIT)
    if not asked:
        return MAX_PIXELS
    if not (asked.isascii() and asked.isdecimal() and len(asked) <= 10 and 1 <= int(asked) <= MAX_PIXELS):
        raise DatasetError(f"{PIXEL_LIMIT}={asked}: expected a whole number of pixels, 1..{MAX_PIXELS}")
    return int(asked)


def require_drawable(name: str, size: Size, least: int, slices: int = 1) -> None:
    """Raise `DatasetError` where an image, or a volume, to be drawn has a side below `least`, or too many pixels."""
    if min(size) < least:
        raise DatasetError(f"{name}: size {tuple(size)} is too small to draw in; use at least {least} pixels a side")
    count = size[0] * size[1] * slices
    if count > max_pixels():
        raise DatasetError(f"{name}: size {tuple(size)} comes to {count} pixels; at most {max_pixels()} are allowed")


def _header_of(image: Image.Image, path: Path) -> Header:
    width, height = image.size
    limit = max_pixels()
    if width * height > limit:
        raise DatasetError(
            f"{path} has {height} × {width} pixels, more than the {limit} that can be decoded; cut it into tiles."
        )
    # Asking a PNG without `exif` for it would decode the whole image in search of a late chunk. A HEIF is turned by
    # its container, and what its EXIF says of that is to be ignored.
    has_exif = image.format in WITH_EXIF or (image.format == "PNG" and "exif" in image.info)
    orientation = _orientation(image.getexif().get(ORIENTATION_TAG, 1)) if has_exif else 1
    # Of a TIFF both Pillow and OpenCV give size and pixels as shown.
    swapped = image.format == "TIFF" and orientation in TURNED_ORIENTATIONS
    return Header(
        form=image.format or "",
        mode=image.mode,
        stored=Size(width, height) if swapped else Size(height, width),
        orientation=orientation,
        palette=b"" if image.palette is None else bytes(image.palette.palette[: 3 * PALETTE_ENTRIES]),
        decoded_upright=image.format == "TIFF",
    )


def _orientation(value: object) -> int:
    """EXIF's orientation, 1-8; 1 for any other value."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def undeclared_bands(path: Path, bands: int, dtype: str) -> DatasetError:
    """Return the error for an image of other bands than grey or RGB of which nothing is declared."""
    listed = range(1, bands + 1) if bands <= MOST_LISTED else (1, 2, 3, "…", bands)
    every = ", ".join(map(str, listed))
    return DatasetError(
        f"{path} has {bands} band{'s' if bands != 1 else ''} of {dtype}; an image without a declaration is grey or "
        f"RGB, and none is dropped in silence. Declare in the data set's options bands: [{every}]"
        + (", or bands: [3, 2, 1] to take three of them as red, green and blue" if bands > 2 else "")
        + ("." if dtype == "uint8" else ", and the range of the values, range: [0, 4095] for example.")
    )


def refuse_undeclared_bands(path: Path) -> None:
    """Raise `DatasetError` for a TIFF with other bands than grey or RGB; a file that is no image passes."""
    try:
        with Image.open(path) as image:
            bands = further_bands(image)
    except IMAGE_DAMAGE:
        bands = -1
    layout = tiff_layout(path) if bands else None
    if layout is not None:
        raise undeclared_bands(path, layout.bands, layout.dtype)
    if bands > 0:
        raise undeclared_bands(path, bands, "unknown type")


def further_bands(image: Image.Image) -> int:
    """Bands of a TIFF that are neither grey, RGB, CMYK nor transparency; 0 if there are none."""
    tags = getattr(image, "tag_v2", None)
    if image.format != "TIFF" or tags is None:
        return 0
    bands, extra = int(tags.get(SAMPLES_PER_PIXEL, 1)), tags.get(EXTRA_SAMPLES, ())
    further = extra if isinstance(extra, tuple) else (extra,)
    transparent = bool(further) and len(further) == 1 and int(further[0]) in (1, 2)
    plain = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}.get(int(tags.get(PHOTOMETRIC, 1)), bands)
    return 0 if bands <= plain + transparent else bands


def unreadable(path: Path, reason: object) -> Unreadable:
    """Return the error for a file that a decoder refused for this reason: its exception, or words."""
    if isinstance(reason, UnidentifiedImageError):
        reason = "it is no image of a known format"
        if path.suffix.lower() in (".heic", ".heif") and not _HEIF_IS_READ:
            reason = "HEIC needs a plug-in of Pillow, which is not installed; pip install pillow-heif"
    if isinstance(reason, MemoryError):
        reason = TOO_LARGE
    return Unreadable(path, str(reason) or type(reason).__name__)
