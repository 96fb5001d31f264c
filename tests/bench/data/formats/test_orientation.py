"""Images that EXIF turns are read as shown by every reader, and what their labels fit is said, certain or refused."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from bench.data.formats.bands import stored_bands
from bench.data.formats.by_name import open_dataset
from bench.data.formats.image_files import read_image, read_mask
from bench.data.formats.image_headers import header_of, image_size
from bench.data.formats.orientation import contradicted, edge_contrast
from bench.data.preview import preview
from bench.errors import DatasetError
from tests.bench.data.miniatures import bench_data

SQUARE, WIDE = (48, 48), (40, 56)


def object_mask(size):
    """An object in the upper left, so that no turn leaves it where it is."""
    mask = np.zeros(size, np.uint8)
    mask[6:20, 4:24] = 1
    return mask


def picture(mask, seed=0):
    """A bright object on dark noise."""
    noise = np.random.default_rng(seed).integers(0, 30, (*mask.shape, 3), dtype=np.uint8)
    return noise + mask[..., None] * np.uint8(200)


def with_exif(pixels, path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)


def folder(root, size, orientation, masks_as="stored", images=8):
    """PNG images of one EXIF orientation, with masks that fit them as stored or as shown."""
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for number in range(images):
        mask = object_mask(size)
        with_exif(picture(mask, number), root / "images" / f"p{number}.png", orientation)
        if masks_as == "shown":
            mask = shown(mask, orientation)
        Image.fromarray(mask * np.uint8(255)).save(root / "masks" / f"p{number}.png")
    return root


def shown(pixels, orientation):
    """Pixels as Pillow turns them by the tag."""
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def opened(root, **options):
    return open_dataset("folder", {"root": str(root), **options})


def only(dataset, split="train"):
    image_id = dataset.ids(split)[0]
    return dataset.image(image_id), dataset.target(image_id).semantic.labels


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "avif", "heic"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_every_reader_shows_an_image_as_pillow_turns_it(tmp_path, suffix, orientation):
    smooth = cv2.resize(np.random.default_rng(2).integers(0, 256, (4, 5, 3), dtype=np.uint8), WIDE[::-1])
    path = tmp_path / f"a.{suffix}"
    try:
        with_exif(smooth, path, orientation)
    except (KeyError, ValueError, OSError):
        pytest.skip(f"this Pillow writes no {suffix}")
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)
    for read in (read_image, stored_bands):
        assert read(path).shape == expected.shape
        assert np.abs(read(path) - expected).max() <= 8
    assert image_size(path) == expected.shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_bands_and_masks_of_a_turned_tiff_are_as_shown(tmp_path, orientation):
    tifffile = pytest.importorskip("tifffile")
    pixels = np.random.default_rng(1).integers(0, 3, (*WIDE, 4), dtype=np.uint8)
    tag = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "four.tif", pixels, photometric="minisblack", planarconfig="contig", extratags=tag)
    turned = np.stack([shown(pixels[..., band], orientation) for band in range(4)], axis=2)
    assert np.array_equal(stored_bands(tmp_path / "four.tif"), turned)
    assert image_size(tmp_path / "four.tif") == turned.shape[:2]
    Image.fromarray(pixels[..., 0]).save(tmp_path / "mask.tif", tiffinfo={274: orientation})
    assert np.array_equal(read_mask(tmp_path / "mask.tif").pixels, turned[..., 0])
    assert header_of(tmp_path / "mask.tif").orientation == orientation


@pytest.mark.parametrize(("size", "orientation"), [(SQUARE, 6), (SQUARE, 3), (WIDE, 3), (WIDE, 2)])
@pytest.mark.parametrize("masks_as", ["shown", "stored"])
def test_where_sizes_cannot_tell_the_option_decides_and_without_it_the_image_is_refused(
    tmp_path, size, orientation, masks_as
):
    root = folder(tmp_path, size, orientation, masks_as)
    with pytest.raises(DatasetError, match=f"most likely fit it as {masks_as}.*orientation: shown or orientation"):
        only(opened(root))
    image, labels = only(opened(root, orientation=masks_as))
    assert np.array_equal(labels, image[..., 0] > 100)  # the bright object is where its label is
    other = {"shown": "stored", "stored": "shown"}[masks_as]
    assert not np.array_equal(only(opened(root, orientation=other))[1], labels)


def test_a_quarter_turn_is_told_by_the_size_of_the_mask(tmp_path):
    image, labels = only(opened(folder(tmp_path / "shown", WIDE, 6, "shown")))
    assert np.array_equal(labels, image[..., 0] > 100)
    stored = folder(tmp_path / "stored", WIDE, 6, "stored")
    with pytest.raises(DatasetError, match="their size tells that they fit it as stored"):
        only(opened(stored))
    image, labels = only(opened(stored, orientation="stored"))
    assert np.array_equal(labels, image[..., 0] > 100)
    with pytest.raises(DatasetError, match=r"40 × 56 pixels, .* 56 × 40 .*Height and width have changed places"):
        only(opened(stored, orientation="shown"))


def test_a_mask_with_the_orientation_of_its_image_needs_no_option(tmp_path):
    root = folder(tmp_path, SQUARE, 3)
    for file in (root / "masks").iterdir():
        with_exif(object_mask(SQUARE) * np.uint8(255), file, 3)
    image, labels = only(opened(root))
    assert np.array_equal(labels, image[..., 0] > 100)


def test_labels_of_yolo_have_no_size_and_are_refused_until_it_is_said_what_they_fit(tmp_path):
    for kind in ("images", "labels"):
        (tmp_path / kind / "train").mkdir(parents=True)
    with_exif(picture(object_mask(WIDE)), tmp_path / "images/train/a.jpg", 6)
    x1, y1, x2, y2 = 4 / WIDE[1], 6 / WIDE[0], 24 / WIDE[1], 20 / WIDE[0]
    (tmp_path / "labels/train/a.txt").write_text(f"0 {x1} {y1} {x2} {y1} {x2} {y2} {x1} {y2}\n")
    (tmp_path / "data.yaml").write_text("names: [cell]\ntrain: images/train\n")
    with pytest.raises(DatasetError, match=r"as shown or as stored.*most likely fit it as stored"):
        only(open_dataset("yolo", {"root": str(tmp_path), "background": "bg"}))
    image, labels = only(open_dataset("yolo", {"root": str(tmp_path), "background": "bg", "orientation": "stored"}))
    assert np.array_equal(labels == 0, image[..., 0] > 100)


def test_height_and_width_that_changed_places_are_told(tmp_path):
    root = folder(tmp_path, WIDE, 1)
    for file in (root / "masks").iterdir():
        Image.fromarray(np.zeros(WIDE[::-1], np.uint8)).save(file)
    with pytest.raises(DatasetError, match="Height and width have changed places"):
        only(opened(root, binary={"threshold": 1}))


def test_the_option_is_part_of_the_fingerprint(tmp_path):
    root = folder(tmp_path, SQUARE, 3)
    assert len({opened(root, **o).fingerprint("train") for o in ({}, {"orientation": "shown"})}) == 2


def test_a_data_set_that_is_drawn_has_no_orientation():
    with pytest.raises(DatasetError, match="option orientation is for data sets of files"):
        open_dataset("shapes", {"orientation": "stored"})


def test_contrast_is_one_for_outlines_anywhere_and_unknown_without_outlines():
    rng = np.random.default_rng(0)
    image, labels = rng.integers(0, 256, (200, 200, 3), dtype=np.uint8), rng.integers(0, 2, (200, 200))
    assert edge_contrast(image, labels) == pytest.approx(1, abs=0.05)
    assert edge_contrast(image, np.zeros((200, 200), np.uint8)) is None
    assert edge_contrast(np.full_like(image, 7), labels) is None


def test_what_is_said_is_contradicted_by_most_of_three_images_only():
    against, neither = {"shown": 1.0, "stored": 2.0}, {"shown": 1.0, "stored": 1.1}
    assert contradicted("shown", [against] * 2) is None
    assert contradicted("shown", [against] * 3 + [neither] * 3) is None
    assert "3 of 5 images" in contradicted("shown", [against] * 3 + [neither] * 2)
    assert contradicted("stored", [against] * 9) is None
    assert contradicted(None, [against] * 9) is None


def test_a_complete_check_finds_them_and_a_wrong_option(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ("check", "folder", "--set", f"root={folder(tmp_path / 'd', SQUARE, 3)}")
    code, out, _ = bench_data(capsys, *words)
    assert (code, out.count("most likely fit it as stored")) == (1, 8)
    assert "wrong: images that EXIF turns, whose labels may fit them as stored: 8" in out
    code, out, _ = bench_data(capsys, *words, "--set", "orientation=shown")
    assert code == 1
    assert "orientation: shown is set, but in 8 of 8 images" in out
    _, out, _ = bench_data(capsys, *words, "--set", "orientation=stored")
    assert out.count("EXIF orientation 3, labels fit it as stored") == 8
    assert "wrong: images that EXIF turns" not in out


def test_a_sheet_shows_both_readings_of_a_turned_image_wherever_it_is(tmp_path):
    root = folder(tmp_path / "d", SQUARE, 1)
    names = sorted(path.name for path in (root / "images").iterdir())
    with_exif(picture(object_mask(SQUARE)), root / "images" / names[3], 3)
    dataset = opened(root)
    (split,) = [s for s in dataset.splits() if names[3][:-4] in dataset.ids(s)]
    drawn = preview(dataset, dataset.splits(), tmp_path / "sheet.png", images=1)
    assert (split, names[3][:-4]) in [(one.split, one.image_id) for one in drawn]
    once, both = (preview(opened(root, **o), dataset.splits(), tmp_path / f"{n}.png", images=9)
                  for n, o in enumerate(({"orientation": "stored"}, {})))  # fmt: skip
    assert once == both
    heights = [Image.open(tmp_path / f"{n}.png").height for n in (0, 1)]
    assert heights[1] > heights[0]  # a row more


def test_a_check_of_a_suite_finds_one_turned_image_among_many(tmp_path, monkeypatch):
    from bench.run.planning.data_checks import sampled

    root = folder(tmp_path, SQUARE, 1, images=60)
    dataset = opened(root)
    assert sampled(dataset, ["train"]).faults == ()
    with_exif(picture(object_mask(SQUARE)), dataset.entry(dataset.ids("train")[3]).image, 3)
    header_of.__globals__["_headers"].clear()
    (fault,) = sampled(opened(root), ["train"]).faults
    assert "is turned by its EXIF orientation 3" in fault


def test_coco_states_a_size_that_tells(tmp_path):
    (tmp_path / "test").mkdir()
    with_exif(picture(object_mask(WIDE)), tmp_path / "test/a.png", 6)
    row = {"id": 1, "file_name": "a.png", "height": WIDE[1], "width": WIDE[0]}
    box = [WIDE[0] - 20, 4, WIDE[0] - 6, 4, WIDE[0] - 6, 24, WIDE[0] - 20, 24]  # as shown, by hand
    one = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [box], "iscrowd": 0}
    document = {"images": [row], "annotations": [one], "categories": [{"id": 1, "name": "cell"}]}
    (tmp_path / "test.json").write_text(json.dumps(document))
    options = {"root": str(tmp_path), "images": "{split}", "annotations": "{split}.json", "background": "bg"}
    image, labels = only(open_dataset("coco", options), "test")
    assert np.array_equal(labels == 0, image[..., 0] > 100)
