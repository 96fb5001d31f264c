"""Images of any number of bands are read as declared, and refused with the lines to write where nothing is."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from bench.data.formats.by_name import open_dataset
from bench.errors import DatasetError

tifffile = pytest.importorskip("tifffile")

RNG = np.random.default_rng(3)


def scene(number, bands, high, dtype):
    return np.random.default_rng(number).integers(0, high, (24, 30, bands)).astype(dtype)


def folder(root, bands=4, high=256, dtype=np.uint8, **tags):
    """Six TIFFs of some bands, with masks of 0 and 1."""
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    tags = {"photometric": "minisblack", **({"planarconfig": "contig"} if bands > 1 else {}), **tags}
    for number in range(6):
        pixels = scene(number, bands, high, dtype)
        stored = np.moveaxis(pixels, 2, 0) if tags.get("planarconfig") == "separate" else pixels
        tifffile.imwrite(root / "images" / f"t{number}.tif", stored, **tags)
        Image.fromarray((pixels[..., 0] > high // 2).astype(np.uint8)).save(root / "masks" / f"t{number}.png")
    return root


def opened(root, **options):
    return open_dataset("folder", {"root": str(root), **options})


def images(dataset):
    return {int(i[1:]): dataset.image(i) for split in dataset.splits() for i in dataset.ids(split)}


def refusal(root, **options):
    with pytest.raises(DatasetError) as caught:
        images(opened(root, **options))
    return str(caught.value)


LAYOUTS = {
    "min-is-black": {},
    "RGB and one more": {"photometric": "rgb", "extrasamples": ["unspecified"]},
    "planar": {"planarconfig": "separate"},
    "compressed": {"compression": "deflate"},
    "tiled": {"tile": (16, 16)},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_four_bands_are_refused_undeclared_and_read_in_the_declared_order(tmp_path, layout):
    folder(tmp_path, **LAYOUTS[layout])
    assert re.search(
        r"t\d\.tif has 4 bands of uint8; .*bands: \[1, 2, 3, 4\], or bands: \[3, 2, 1\]", refusal(tmp_path)
    )
    for order in ([1, 2, 3, 4], [3, 2, 1], [4], [2, 4]):
        for number, image in images(opened(tmp_path, bands=order)).items():
            expected = scene(number, 4, 256, np.uint8)[..., [band - 1 for band in order]]
            assert image.dtype == np.uint8
            assert (image == expected).all()


def test_seven_bands_of_16_bits_need_a_range_that_is_scaled_to_eight(tmp_path):
    folder(tmp_path, bands=7, high=4096, dtype=np.uint16)
    assert "has 7 bands of uint16" in refusal(tmp_path)
    assert "no range is declared. Write the option range: [0, 4095]" in refusal(tmp_path, bands=[7, 1])
    for number, image in images(opened(tmp_path, bands=[7, 1], range=[0, 4095])).items():
        stored = scene(number, 7, 4096, np.uint16)[..., [6, 0]].astype(float)
        assert np.abs(image - stored * 255 / 4095).max() <= 0.5


def test_percentiles_are_measured_for_each_band_on_the_training_split_and_recorded(tmp_path):
    folder(tmp_path, bands=2, high=4000, dtype=np.uint16)
    dataset = opened(tmp_path, bands=[2, 1], range={"percentiles": [10, 90]})
    train = [int(i[1:]) for i in dataset.ids("train")]
    stored = np.stack([scene(number, 2, 4000, np.uint16) for number in train])
    expected = [tuple(np.percentile(stored[..., band], [10, 90])) for band in (1, 0)]
    assert np.asarray(dataset.bands.ranges) == pytest.approx(np.asarray(expected))
    assert dataset.description.inferred[1].startswith(f"images are read as bands 2, 1, {expected[0][0]:g} to ")


def test_twelve_bits_in_sixteen_are_refused_with_the_range_that_fits(tmp_path):
    folder(tmp_path, bands=1, high=4096, dtype=np.uint16)
    assert "hold values up to 4095 only" in refusal(tmp_path)
    assert "range: [0, 4095]" in refusal(tmp_path)
    image = images(opened(tmp_path, range=[0, 4095]))[0]
    assert image.shape == (24, 30, 3)
    assert len(np.unique(image)) > 200


def test_sixteen_bits_that_are_used_stay_as_they_were(tmp_path):
    folder(tmp_path, bands=1, high=65536, dtype=np.uint16)
    expected = np.round(scene(0, 1, 65536, np.uint16) / 257).astype(np.uint8).repeat(3, axis=2)
    assert (images(opened(tmp_path))[0] == expected).all()


def test_transparency_is_no_further_band(tmp_path):
    folder(tmp_path, photometric="rgb", extrasamples=["unassalpha"])
    assert (images(opened(tmp_path))[0] == scene(0, 4, 256, np.uint8)[..., :3]).all()


def test_a_band_that_is_not_there_is_named(tmp_path):
    assert "has 4 bands, but the option bands asks for band 5" in refusal(folder(tmp_path), bands=[5])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bands": [0, 1]}, "bands are counted from 1, each once"),
        ({"bands": [1, 1]}, "bands are counted from 1, each once"),
        ({"range": [9, 9]}, "the range must rise"),
        ({"bands": [1, 2], "rgb": [1, 2, 3]}, "rgb must name three of the bands"),
        ({"bands": [1], "range": {"percentiles": [90, 10]}}, "percentiles must rise"),
    ],
)
def test_declarations_that_contradict_themselves_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, **options)


def test_pictures_show_the_bands_that_are_red_green_and_blue(tmp_path):
    dataset = opened(folder(tmp_path), bands=[4, 3, 2, 1], rgb=[1, 2, 3])
    shown = dataset.bands.shown(dataset.image("t0"))
    assert (shown == scene(0, 4, 256, np.uint8)[..., :3]).all()


def test_models_that_take_floats_are_given_values_that_are_not_rounded(tmp_path):
    folder(tmp_path, bands=2, high=4096, dtype=np.uint16)
    exact = opened(tmp_path, bands=[2, 1], range=[0, 4095], depth="floats")
    rounded = images(opened(tmp_path, bands=[2, 1], range=[0, 4095]))
    for number, image in images(exact).items():
        stored = scene(number, 2, 4096, np.uint16)[..., [1, 0]].astype(float)
        assert image.dtype == np.float32
        np.testing.assert_allclose(image, stored * 255 / 4095, atol=1e-4)
        assert np.array_equal(np.rint(image), rounded[number])
        assert exact.bands.shown(image).dtype == np.uint8
    assert exact.fingerprint("test") == opened(tmp_path, bands=[2, 1], range=[0, 4095]).fingerprint("test")
