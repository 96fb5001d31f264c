"""Images that are seldom met: decoded as a viewer shows them, or refused with the reason."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, features

from bench.data.formats.file_names import files_under
from bench.data.formats.image_files import glance, read_image, read_mask
from bench.data.formats.image_headers import Unreadable, header_of, image_size
from bench.errors import BenchError, DatasetError
from bench.records.names import harness_root
from bench.run.predict.inputs import find_sources

RNG = np.random.default_rng(0)
SMOOTH = cv2.resize(RNG.integers(0, 256, (4, 5, 3), dtype=np.uint8), (136, 96), interpolation=cv2.INTER_CUBIC)
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""Of Adam7: first row, first column, step of rows, step of columns (PNG specification, 8.2)."""


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def interlaced(pixels):
    """A PNG of RGB pixels in the seven passes of Adam7, which Pillow and OpenCV read but do not write."""
    height, width = pixels.shape[:2]
    rows = b"".join(
        b"\0" + row.tobytes()
        for top, left, down, across in PASSES
        for row in pixels[top::down, left::across]
        if row.size
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_an_interlaced_png_is_read(tmp_path):
    pixels = RNG.integers(0, 256, (11, 13, 3), dtype=np.uint8)
    (tmp_path / "i.png").write_bytes(interlaced(pixels))
    assert np.array_equal(read_image(tmp_path / "i.png"), pixels)
    assert np.array_equal(read_mask(tmp_path / "i.png").pixels, pixels)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_an_animation_is_refused_since_only_its_first_frame_would_be_used(tmp_path, suffix):
    if suffix == "webp" and not features.check("webp"):
        pytest.skip("this Pillow cannot write WebP")
    frames = [Image.new("RGB", (9, 7), colour) for colour in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    path = tmp_path / f"moving.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50, lossless=True)
    with pytest.raises(DatasetError, match="holds 3 frames of one"):
        read_image(path)
    assert image_size(path) == (7, 9)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_colours_of_sixteen_bits_are_rounded_to_eight(tmp_path, suffix):
    values = RNG.integers(0, 65536, (40, 50, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), values[..., ::-1])
    assert np.array_equal(read_image(tmp_path / f"a.{suffix}"), np.rint(values / 257).astype(np.uint8))


def test_all_values_of_sixteen_bits_are_rounded_to_the_nearest(tmp_path):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    cv2.imwrite(str(tmp_path / "a.png"), values)
    assert np.array_equal(read_image(tmp_path / "a.png")[..., 0], np.rint(values / 257).astype(np.uint8))


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_an_image_of_one_bit_is_black_and_white(tmp_path, suffix):
    bits = RNG.integers(0, 2, (9, 11)).astype(bool)
    Image.fromarray(bits).save(tmp_path / f"b.{suffix}")
    assert np.array_equal(read_image(tmp_path / f"b.{suffix}"), np.repeat(bits[..., None] * np.uint8(255), 3, axis=2))


def test_a_jpeg_of_luma_colours_and_black_is_read_as_its_colours(tmp_path):
    # The Adobe marker's last byte says how four channels are coded: 0 = CMYK, 2 = YCCK.
    Image.new("CMYK", (16, 16), (60, 128, 128, 0)).save(tmp_path / "cmyk.jpg", quality=100)
    encoded = (tmp_path / "cmyk.jpg").read_bytes()
    at = encoded.index(b"Adobe") + 11
    assert encoded[at] == 0
    (tmp_path / "ycck.jpg").write_bytes(encoded[:at] + b"\x02" + encoded[at + 1 :])
    # Pillow stores ink inverted: 195, 127, 127, 255. Read as luma and two colours near 128, that is a grey ink of the
    # strength 195, which leaves 60 of the light; read as ink, it is as it was given.
    grey, coloured = (read_image(tmp_path / name)[8, 8].astype(int) for name in ("ycck.jpg", "cmyk.jpg"))
    assert np.abs(grey - 60).max() <= 3
    assert np.abs(coloured - (195, 127, 127)).max() <= 3


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_links_and_names_with_spaces_signs_and_lines_are_files_like_others(tmp_path, suffix):
    path = tmp_path / f"größe 1\n“2”.{suffix}"
    Image.fromarray(SMOOTH).save(path)
    link = tmp_path / f"link.{suffix}"
    link.symlink_to(path)
    assert np.array_equal(read_image(link), read_image(path))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are not text")
def test_a_name_that_is_not_text_is_refused_with_its_bytes(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "a.png").write_bytes(interlaced(SMOOTH))
    expected = re.escape(rf"{tmp_path}/caf\xe9/a.png: its name is not text in UTF-8, in which results are written.")
    with pytest.raises(DatasetError, match=expected):
        files_under(tmp_path)
    with pytest.raises(BenchError, match=expected):
        find_sources([str(tmp_path)], out=tmp_path / "out", own=[])


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_with_the_orientation_of_its_image_fits_it(tmp_path, orientation, mode):
    # Both were written by a program that turns nothing and keeps the tag.
    exif = Image.Exif()
    exif[0x0112] = orientation
    labels = (SMOOTH[..., 0] > 127).astype(np.uint8)
    Image.fromarray(np.repeat(labels[..., None] * np.uint8(255), 3, axis=2)).save(tmp_path / "i.png", exif=exif)
    Image.fromarray(labels).convert(mode).save(tmp_path / "m.png", exif=exif)
    pixels = read_mask(tmp_path / "m.png").pixels
    image = read_image(tmp_path / "i.png")
    assert np.array_equal((pixels if mode != "RGB" else pixels[..., 0]) * 255, image[..., 0])


def test_whole_numbers_of_32_bits_are_refused_with_the_reason(tmp_path):
    Image.fromarray(np.arange(12, dtype=np.int32).reshape(3, 4)).save(tmp_path / "i.tif")
    with pytest.raises(DatasetError, match=r"i\.tif holds int32 values, whose range is unknown"):
        read_image(tmp_path / "i.tif")


def test_a_link_to_nothing_is_unreadable(tmp_path):
    (tmp_path / "link.png").symlink_to(tmp_path / "nothing.png")
    with pytest.raises(Unreadable, match=r"link\.png cannot be read: No such file"):
        read_image(tmp_path / "link.png")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_damage_within_a_file_is_found_or_leaves_every_pixel(tmp_path, suffix):
    path = tmp_path / f"damaged.{suffix}"
    Image.fromarray(RNG.integers(0, 256, (90, 130, 3), dtype=np.uint8)).save(path)
    whole, sound = read_image(path), path.read_bytes()
    if suffix == "png":
        path.write_bytes(sound[:9000] + bytes(64) + sound[9064:])
        with pytest.raises(Unreadable, match="cannot be read"):
            read_image(path)
    else:  # a JPEG has no checksums: what is decoded has at least the size it says
        path.write_bytes(sound[:5000] + b"\x55" * 64 + sound[5064:])
        assert read_image(path).shape == whole.shape


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_look_refuses_what_reading_refuses(tmp_path, suffix, share):
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(RNG.integers(0, 256, (90, 130, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(Unreadable) as read:
        read_image(path)
    with pytest.raises(Unreadable) as looked:
        glance(path.read_bytes(), path, least=9)
    assert str(looked.value) == str(read.value)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("least", [9, 20, 60, 500])
def test_a_look_shows_the_grey_values_upright_whatever_its_size(tmp_path, orientation, least):
    path, exif = tmp_path / "photo.jpg", Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(SMOOTH).save(path, exif=exif, quality=95)
    image = read_image(path)
    seen = glance(path.read_bytes(), path, least=least)
    assert seen.size == image.shape[:2]
    assert min(seen.grey.shape) >= min(least, *image.shape[:2])
    shrunk = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), seen.grey.shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - seen.grey).mean() < 3


def test_a_changed_file_has_its_new_size_once_it_was_read(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (5, 4)).save(path)
    assert image_size(path) == (4, 5)
    Image.new("RGB", (7, 6)).save(path)
    read_image(path)
    assert image_size(path) == (6, 7)


def test_a_header_keeps_the_first_colours_of_a_palette(tmp_path):
    image = Image.fromarray(RNG.integers(0, 21, (3, 4), dtype=np.uint8)).convert("P")
    image.putpalette([value % 256 for value in range(768)])
    image.save(tmp_path / "m.png")
    read_mask(tmp_path / "m.png")
    assert header_of(tmp_path / "m.png").palette == bytes(range(96))


def test_more_pixels_than_the_limit_are_refused_by_the_header_with_the_number(tmp_path):
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b""))
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    for read in (read_image, read_mask, image_size):
        with pytest.raises(
            DatasetError, match=r"has 40000 × 40000 pixels, more than the 1073741824 that can be decoded"
        ):
            read(tmp_path / "huge.png")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its limit of memory")
@pytest.mark.parametrize("reader", ["read_image", "read_mask"])
def test_an_image_for_which_memory_is_too_small_is_refused_and_not_a_crash(tmp_path, reader):
    side = 12_000  # 144 MB of grey values, 432 MB of colours, in a small file
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    (tmp_path / "large.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    program = f"""
import resource, sys
from pathlib import Path
from bench.data.formats.image_files import {reader}
from bench.data.formats.image_headers import Unreadable
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000, -1))
try:
    {reader}(Path(sys.argv[1]))
except Unreadable as error:
    print(error.reason)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "large.png")], capture_output=True, text=True, cwd=harness_root()
    )
    assert done.stdout == "its pixels do not fit into the memory of this machine; cut it into tiles\n", done.stderr


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float64", "float32", "int32"])
def test_labels_of_a_tiff_with_wide_numbers_are_read_where_nothing_is_lost(tmp_path, dtype):
    tifffile = pytest.importorskip("tifffile")
    labels = np.arange(12).reshape(3, 4) * 100
    tifffile.imwrite(tmp_path / "a.tif", labels.astype(dtype))
    assert read_mask(tmp_path / "a.tif").pixels.tolist() == labels.tolist()
    assert image_size(tmp_path / "a.tif") == (3, 4)
    tifffile.imwrite(tmp_path / "b.tif", np.full((3, 4), 70_000).astype(dtype))
    with pytest.raises(DatasetError):
        read_mask(tmp_path / "b.tif")
