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
from bench.errors import DatasetError, FaultKind
from bench.records import Size
from bench.records.png import png_fault
from bench.records.predictions import RgbImage

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif"),
    *(".jfif", ".jpe", ".jp2", ".j2k", ".avif", ".heic", ".heif"),
)
BY_PILLOW = ("GIF", "JPEG2000", "AVIF", "HEIF")
"""Formats that OpenCV reads wrongly, or in some builds only."""
MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".npy")
MAX_PIXELS = 2**30
"""OpenCV's own limit; 32,768 pixels square."""
PIXEL_LIMIT = "BENCH_MAX_PIXELS"
"""Variable with a lower limit, for small machines and files of strangers."""
ORIENTATION_TAG = 0x0112
TURNED_ORIENTATIONS = (5, 6, 7, 8)
WITH_EXIF = ("JPEG", "MPO", "WEBP", "AVIF", "TIFF")
"""Formats whose orientation is asked for; PNG too, where it has EXIF."""
BITS, SAMPLES_PER_PIXEL, PHOTOMETRIC, EXTRA_SAMPLES = 258, 277, 262, 338
NEW_SUBFILE_TYPE, REDUCED_COPY, TRANSPARENCY = 254, 1, 4
"""TIFF's tag for what a page is, and two of its bits (TIFF 6.0, section 8)."""

REDUCED = {8: cv2.IMREAD_REDUCED_GRAYSCALE_8, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 2: cv2.IMREAD_REDUCED_GRAYSCALE_2}
"""Divisor of both sides -> how OpenCV is told."""

PALETTE_ENTRIES = 32
"""So many colours of a palette are kept in a header."""

MOST_HEADERS = 65536
NO_MEMORY = -4
"""OpenCV's code of an error for memory that cannot be had."""

# Pillow's own limit, 9e7 pixels, is a guard against decompression bombs; ours stands in `_header_of`.
Image.MAX_IMAGE_PIXELS = None

try:
    import pillow_heif

    pillow_heif.register_heif_opener()
    _HEIF_IS_READ = True
except ImportError:
    _HEIF_IS_READ = False

Colours = Literal["indices", "grey", "rgb"]
P = ParamSpec("P")
T = TypeVar("T")


def _blaming(kind: FaultKind) -> Callable[[Callable[P, T]], Callable[P, T]]:
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
        decoded_upright: Whether decoders apply the orientation themselves, as those of TIFF do.
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


@dataclass(frozen=True)
class StoredMask:
    """A mask as its file holds it.

    Attributes:
        pixels: uint8 or uint16, (H, W), for `indices` and `grey`; uint8, (H, W, 3), for `rgb`.
        colours: What a pixel is: an index into a palette, a grey value or a colour.
        palette: RGB colours of the indices, or None.
        alpha: (H, W), where the file has transparency that is not the same everywhere.
        bits: Of a pixel, where it is 1; else 0.
    """

    pixels: NDArray[Any]
    colours: Colours
    palette: tuple[tuple[int, int, int], ...] | None = None
    alpha: NDArray[Any] | None = None
    bits: int = 0


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
            found = _header_of_bands(path)
            if found is None:
                raise _unreadable(path, error) from None
            found = _remembered(found, path)
    return found


def _header_of_bands(path: Path) -> Header | None:
    """Header of a TIFF that Pillow does not know, as tifffile has it; None if it is none either."""
    layout = tiff_layout(path)
    return None if layout is None else Header("TIFF", f"{layout.bands} bands", layout.size, layout.orientation)


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


@_blaming("image")
def read_image(path: Path) -> RgbImage:
    """Decode an image as RGB, uint8, (H, W, 3), by the rules above.

    Raises:
        Unreadable: If the file is missing, truncated or no image, or memory is too small for it.
        DatasetError: If it is too large or floating point.
    """
    return decode_image(read_bytes(path), path)


@_blaming("image")
def encoded_size(encoded: bytes, path: Path) -> Size:
    """Size of the image in the content of a file as `decode_image` gives it, from its header."""
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return _header_of(image, path).size
    except (OSError, ValueError, SyntaxError) as error:
        raise _unreadable(path, error) from None


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
        return Glance(header.size, np.ascontiguousarray(upright(grey, header), dtype=np.uint8))
    rgb = _decoded(encoded, image, header, path)
    return Glance(header.size, np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8))


@_blaming("mask")
def read_mask(path: Path, *, lossy: bool = False, alpha: Literal["refuse", "keep"] = "refuse") -> StoredMask:
    """Read a mask as stored, see `StoredMask`.

    Args:
        path: Its file.
        lossy: Take a JPEG too, whose values are not labels.
        alpha: Whether transparency that varies is refused, because a class may hide in it, or kept.

    Raises:
        Unreadable: If the file is missing, truncated or no image, or memory is too small for it.
        DatasetError: If it is too large, JPEG, not of 8 or 16 bits, or has transparency that varies.
    """
    if path.suffix.lower() == ".npy":
        return StoredMask(read_array(path), "grey")
    return decode_mask(read_bytes(path), path, lossy=lossy, alpha=alpha)


@_blaming("mask")
def decode_mask(
    encoded: bytes, path: Path, *, lossy: bool = False, alpha: Literal["refuse", "keep"] = "refuse"
) -> StoredMask:
    """Decode the content of a mask file as `read_mask` does; `path` says where it is from, for messages."""
    image, header = _examined(encoded, path)
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
    """Whether an image has transparency that is not the same everywhere, which `read_image` drops.

    Looks at the pixels of files that have transparency alone; raises `Unreadable` if these cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            if not ({"A", "a"} & set(image.getbands()) or "transparency" in image.info):
                return False
            lowest, highest = image.convert("RGBA").getchannel("A").getextrema()
    except (OSError, ValueError, SyntaxError) as error:
        raise _unreadable(path, error) from None
    return lowest != highest


def _valued(encoded: bytes, header: Header, path: Path) -> StoredMask:
    """A mask of grey values or colours."""
    stored = _by_opencv(encoded, cv2.IMREAD_UNCHANGED, path)
    if stored.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f"{path} holds {stored.dtype} values; a mask holds labels of 8 or 16 bits. Write it as PNG.")
    last = stored[..., -1] if stored.ndim == 3 and stored.shape[2] == 4 else None
    alpha = None if last is None or (last == last.flat[0]).all() else np.ascontiguousarray(last)
    if stored.ndim == 3 and header.mode in ("L", "LA", "I;16", "I"):
        stored = np.ascontiguousarray(stored[..., 0])
    if stored.ndim == 2:
        return StoredMask(stored, "grey", alpha=alpha)
    return StoredMask(np.ascontiguousarray(_eight_bits(stored, path)[..., 2::-1]), "rgb", alpha=alpha)


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
        layout = tiff_layout(path) if isinstance(error, UnidentifiedImageError) else None
        if layout is not None:
            raise undeclared_bands(path, layout.bands, layout.dtype) from None
        raise _unreadable(path, error) from None
    if _is_cut(encoded, header):
        raise _unreadable(path, f"it is truncated after {len(encoded)} bytes")
    damage = png_fault(encoded)
    if damage is not None:
        raise _unreadable(path, damage)
    pages = pages_of(image)
    if pages > 1:
        what = "pages" if header.form == "TIFF" else "frames"
        raise DatasetError(
            f"{path} holds {pages} {what} of one {header.form} file, of which one image or mask can be made of the "
            "first only. Split it into one file each, images and masks alike, for example with tiffsplit or "
            "PIL.ImageSequence."
        )
    return image, _remembered(header, path)


def pages_of(image: Image.Image) -> int:
    """Number of pictures in a file: pages of a TIFF, frames of an animation.

    Smaller copies and transparency masks in a TIFF do not count, nor what a camera puts behind the picture of a JPEG.
    """
    if image.format == "MPO" or not getattr(image, "is_animated", False):
        return 1
    if image.format != "TIFF":
        return int(getattr(image, "n_frames", 1))
    counted = 0
    try:
        for page in range(getattr(image, "n_frames", 1)):
            image.seek(page)
            tags = getattr(image, "tag_v2", {})
            counted += not int(tags.get(NEW_SUBFILE_TYPE, 0)) & (REDUCED_COPY | TRANSPARENCY)
        image.seek(0)
    except (OSError, ValueError, SyntaxError, EOFError):
        return max(1, counted)
    return max(1, counted)


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


def max_pixels() -> int:
    """The most pixels of an image that are decoded; raises `DatasetError` if the variable holds no such number."""
    asked = os.environ.get(PIXEL_LIMIT)
    if not asked:
        return MAX_PIXELS
    if not (asked.isascii() and asked.isdecimal() and len(asked) <= 10 and 1 <= int(asked) <= MAX_PIXELS):
        raise DatasetError(f"{PIXEL_LIMIT}={asked}: expected a whole number of pixels, 1..{MAX_PIXELS}")
    return int(asked)


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
    """The error for an image of other bands than grey or RGB of which nothing is declared."""
    every = ", ".join(map(str, range(1, bands + 1)))
    return DatasetError(
        f"{path} has {bands} band{'s' if bands != 1 else ''} of {dtype}; an image without a declaration is grey or "
        f"RGB, and none is dropped in silence. Declare in the options of a data set 'folder' bands: [{every}]"
        + (", or bands: [3, 2, 1] to take three of them as red, green and blue" if bands > 2 else "")
        + ("." if dtype == "uint8" else ", and the range of the values, range: [0, 4095] for example.")
    )


def refuse_undeclared_bands(path: Path) -> None:
    """Raise `DatasetError` for a TIFF with other bands than grey or RGB; a file that is no image passes."""
    try:
        with Image.open(path) as image:
            bands = _further_bands(image)
    except (OSError, ValueError, SyntaxError):
        bands = -1
    layout = tiff_layout(path) if bands else None
    if layout is not None:
        raise undeclared_bands(path, layout.bands, layout.dtype)
    if bands > 0:
        raise undeclared_bands(path, bands, "unknown type")


def _further_bands(image: Image.Image) -> int:
    """Bands of a TIFF that are neither grey, RGB, CMYK nor transparency; 0 if there are none."""
    tags = getattr(image, "tag_v2", None)
    if image.format != "TIFF" or tags is None:
        return 0
    bands, extra = int(tags.get(SAMPLES_PER_PIXEL, 1)), tags.get(EXTRA_SAMPLES, ())
    further = extra if isinstance(extra, tuple) else (extra,)
    transparent = bool(further) and len(further) == 1 and int(further[0]) in (1, 2)
    plain = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}.get(int(tags.get(PHOTOMETRIC, 1)), bands)
    return 0 if bands <= plain + transparent else bands


def _decoded(encoded: bytes, image: Image.Image, header: Header, path: Path) -> RgbImage:
    """Pixels as RGB, upright, uint8, (H, W, 3)."""
    bands = _further_bands(image)
    if bands:
        layout = tiff_layout(path)
        raise undeclared_bands(path, bands, "uint8" if layout is None else layout.dtype)
    if header.mode == "F" or (header.mode == "I" and header.form == "TIFF"):
        raise _of_unknown_range({"F": "float32", "I": "int32"}[header.mode], path)
    try:
        return np.ascontiguousarray(upright(_rgb(encoded, image, header, path), header), dtype=np.uint8)
    except MemoryError:
        raise _too_large(path) from None


def _rgb(encoded: bytes, image: Image.Image, header: Header, path: Path) -> NDArray[Any]:
    """Pixels as RGB, as stored."""
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
        raise _too_large(path) if error.code == NO_MEMORY else _unreadable(path, error.err) from None
    if pixels is None:
        raise _unreadable(path, "its pixels cannot be decoded")
    return pixels


def _indexed(image: Image.Image, path: Path) -> StoredMask:
    mode = image.mode
    alpha = None
    try:
        pixels = _pillow_pixels(image.getchannel, 0, path) if mode == "PA" else _pillow_pixels(np.asarray, image, path)
        if mode == "PA":
            last = _pillow_pixels(image.getchannel, 1, path)
            alpha = None if (last == last.flat[0]).all() else last
    except MemoryError:
        raise _too_large(path) from None
    flat = image.getpalette("RGB") if mode in ("P", "PA") else None
    palette = None if flat is None else tuple(zip(flat[0::3], flat[1::3], flat[2::3], strict=True))
    return StoredMask(np.array(pixels, dtype=np.uint8), "indices", palette, alpha, bits=1 if mode == "1" else 0)


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


def upright(pixels: NDArray[Any], header: Header) -> NDArray[Any]:
    """Decoded pixels, (H, W, …), as shown."""
    return pixels if header.decoded_upright else turned(pixels, header.orientation)


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo an EXIF orientation (Exif 2.3, tag 0112) of what is as stored, (H, W, …): mirror and turn by quarters."""
    mirrored = orientation in (2, 4, 5, 7)
    quarters = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}[orientation]
    return np.rot90(pixels[:, ::-1] if mirrored else pixels, quarters)


def _unreadable(path: Path, reason: object) -> Unreadable:
    if isinstance(reason, UnidentifiedImageError):
        reason = "it is no image of a known format"
        if path.suffix.lower() in (".heic", ".heif") and not _HEIF_IS_READ:
            reason = "HEIC needs a plug-in of Pillow, which is not installed; pip install pillow-heif"
    return Unreadable(path, str(reason))


def write_indexed(path: Path, indices: NDArray[np.uint8], palette: Sequence[tuple[int, int, int]]) -> None:
    """Write indices, uint8, (H, W), with a palette of RGB colours, as the PNG or GIF that the name asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.ascontiguousarray(indices)).convert("P")
    image.putpalette([channel for colour in palette for channel in colour])
    image.save(path, optimize=False)
