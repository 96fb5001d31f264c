"""Every kind of image file is decoded to what a viewer shows, and masks come back as stored."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from bench.data.formats.image_files import alpha_varies, read_image, read_mask
from bench.data.formats.image_headers import image_size
from bench.errors import DatasetError

RNG = np.random.default_rng(0)
SMOOTH = cv2.resize(RNG.integers(0, 256, (4, 5, 3), dtype=np.uint8), (50, 40), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_formats_without_loss_give_every_pixel(tmp_path, suffix):
    path = tmp_path / f"größe 1.{suffix}"
    Image.fromarray(SMOOTH).save(path, lossless=True)
    assert np.array_equal(read_image(path), SMOOTH)
    assert image_size(path) == (40, 50)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_as_pillow_applies_it(tmp_path, suffix, orientation):
    path, exif = tmp_path / f"photo.{suffix}", Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(SMOOTH).save(path, exif=exif, quality=95)
    with Image.open(path) as image:
        shown = np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)
    read = read_image(path)
    assert read.shape == shown.shape
    assert image_size(path) == shown.shape[:2]
    assert np.abs(read - shown).max() <= 8  # two JPEG decoders


def test_alpha_is_dropped_and_not_blended(tmp_path):
    alpha = np.full((40, 50, 1), 7, np.uint8)
    Image.fromarray(np.concatenate([SMOOTH, alpha], axis=2)).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), SMOOTH)


def test_grey_with_alpha_and_palette_images_become_rgb(tmp_path):
    grey = Image.fromarray(SMOOTH[..., 0])
    grey.convert("LA").save(tmp_path / "grey.png")
    assert np.array_equal(read_image(tmp_path / "grey.png"), np.repeat(SMOOTH[..., :1], 3, axis=2))
    indexed = Image.fromarray(SMOOTH).quantize(16)
    for name in ("p.png", "p.gif"):
        indexed.save(tmp_path / name)
        assert np.array_equal(read_image(tmp_path / name), np.asarray(indexed.convert("RGB")))


def test_cmyk_jpegs_are_decoded_as_pillow_does(tmp_path):
    Image.fromarray(SMOOTH).convert("CMYK").save(tmp_path / "c.jpg", quality=95)
    with Image.open(tmp_path / "c.jpg") as image:
        assert np.array_equal(read_image(tmp_path / "c.jpg"), np.asarray(image.convert("RGB")))
    assert np.abs(read_image(tmp_path / "c.jpg").astype(int) - SMOOTH).mean() < 8


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_from_the_full_range_and_rounded(tmp_path, suffix):
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)  # / 257 = 0, 0.498, 0.502, 1, 127.5, 255
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), values)
    assert read_image(tmp_path / f"a.{suffix}")[0, :, 1].tolist() == [0, 0, 1, 1, 128, 255]
    assert read_mask(tmp_path / f"a.{suffix}").pixels.tolist() == values.tolist()


def test_an_image_of_one_pixel_is_an_image(tmp_path):
    Image.new("RGB", (1, 1), (3, 2, 1)).save(tmp_path / "one.png")
    assert read_image(tmp_path / "one.png").tolist() == [[[3, 2, 1]]]


def test_floating_point_images_are_refused_with_the_reason(tmp_path):
    cv2.imwrite(str(tmp_path / "f.tif"), np.zeros((4, 4), np.float32))
    with pytest.raises(DatasetError, match=r"f\.tif holds float32 values, whose range is unknown; .*16-bit PNG"):
        read_image(tmp_path / "f.tif")


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "tif", "webp"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.6])
def test_a_truncated_file_is_unreadable_and_named(tmp_path, suffix, share):
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DatasetError, match=re.escape(str(path)) + " cannot be read: .* Restore the file"):
        read_image(path)


def test_text_that_calls_itself_an_image_and_a_missing_file_are_unreadable(tmp_path):
    (tmp_path / "a.png").write_text("<html>404</html>")
    with pytest.raises(DatasetError, match=r"a\.png cannot be read: it is no image of a known format\."):
        read_image(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=r"b\.png cannot be read: No such file"):
        read_mask(tmp_path / "b.png")


def test_an_image_beyond_what_can_be_decoded_is_refused_by_its_header_alone(tmp_path):
    # A bitmap header that claims 40,000 pixels square and holds none of them.
    Image.new("RGB", (1, 1)).save(tmp_path / "huge.bmp")
    head = bytearray((tmp_path / "huge.bmp").read_bytes())
    head[18:26] = (40_000).to_bytes(4, "little") * 2
    (tmp_path / "huge.bmp").write_bytes(head)
    with pytest.raises(DatasetError, match=r"40000 × 40000 pixels, more than .* cut it into tiles"):
        image_size(tmp_path / "huge.bmp")


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "tif"])
def test_palette_indices_stay_indices(tmp_path, suffix):
    indices = RNG.integers(0, 21, (13, 17), dtype=np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putpalette([value * 7 % 256 for value in range(768)])
    image.save(tmp_path / f"m.{suffix}")
    mask = read_mask(tmp_path / f"m.{suffix}")
    assert mask.pixels.tolist() == indices.tolist()
    assert mask.colours == "indices"
    assert mask.palette[1] == (21, 28, 35)


def test_masks_of_one_bit_hold_zero_and_one(tmp_path):
    bits = RNG.integers(0, 2, (9, 11)).astype(bool)
    for name in ("b.png", "b.tif", "b.bmp"):
        Image.fromarray(bits).save(tmp_path / name)
        assert read_mask(tmp_path / name).pixels.tolist() == bits.astype(int).tolist()


def test_a_coloured_mask_is_rgb_with_or_without_alpha(tmp_path):
    Image.fromarray(SMOOTH).save(tmp_path / "m.png")
    Image.fromarray(SMOOTH).convert("RGBA").save(tmp_path / "n.png")
    for name in ("m.png", "n.png"):
        assert np.array_equal(read_mask(tmp_path / name).pixels, SMOOTH)
        assert read_mask(tmp_path / name).colours == "rgb"


def test_jpeg_masks_are_refused_with_the_reason(tmp_path):
    Image.fromarray(SMOOTH).save(tmp_path / "m.jpg")
    with pytest.raises(DatasetError, match=r"m\.jpg is a JPEG; a mask must be stored without loss"):
        read_mask(tmp_path / "m.jpg")


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_animations_and_files_of_several_pages_are_refused_with_their_number(tmp_path, suffix):
    frames = [Image.fromarray(RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)) for _ in range(3)]
    path = tmp_path / f"film.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(DatasetError, match=r"holds 3 (frames|pages) of one"):
        read_image(path)


def test_transparency_varies_only_where_it_does(tmp_path):
    alpha = np.full((40, 50, 1), 7, np.uint8)
    Image.fromarray(np.concatenate([SMOOTH, alpha], axis=2)).save(tmp_path / "even.png")
    Image.fromarray(SMOOTH).save(tmp_path / "none.jpg")
    alpha[3, 3] = 9
    Image.fromarray(np.concatenate([SMOOTH, alpha], axis=2)).save(tmp_path / "varies.png")
    indexed = Image.fromarray(SMOOTH).quantize(16)
    indexed.info["transparency"] = 3
    indexed.save(tmp_path / "palette.png", transparency=3)
    told = {path.stem: alpha_varies(path) for path in tmp_path.iterdir()}
    assert told == {"even": False, "none": False, "varies": True, "palette": True}


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"exif": 6}, {"icc_profile": b"x" * 9000}, {"comment": b"hello"}]
)
def test_the_header_of_a_jpeg_read_by_its_markers_is_that_of_pillow(tmp_path, mode, options):
    from bench.data.formats.image_headers import _header_of
    from bench.data.formats.jpeg_markers import plain_jpeg

    path = tmp_path / "image.jpg"
    image = Image.new(mode, (37, 21))
    if "exif" in options:
        exif = image.getexif()
        exif[0x0112] = options["exif"]
        options = {"exif": exif}
    image.save(path, **options)
    with Image.open(path) as opened:
        expected = _header_of(opened, path)
    quick = plain_jpeg(path)
    assert quick is None or (quick.mode, quick.size, 1) == (expected.mode, expected.stored, expected.orientation)
    assert (quick is None) == bool(mode == "CMYK" or options.keys() & {"exif", "icc_profile"})
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"\xff\xda")])
    assert plain_jpeg(path) is None
