"""A folder of images and masks is read by the rules of its docstring, and every error is told in one paragraph."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.data.formats.splits import by_fraction
from bench.datasets.folder import Options, open_dataset
from bench.errors import DatasetError

RNG = np.random.default_rng(1)


def write(path, pixels, palette=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    if palette is not None:
        image = image.convert("P")
        image.putpalette(palette)
    image.save(path)


def fill(root, names=("a", "b", "c", "d"), mask=((0, 1), (2, 0)), palette=None, suffix="", kind="jpg"):
    for name in names:
        write(root / "images" / f"{name}.{kind}", RNG.integers(0, 256, (2, 2, 3)))
        write(root / "masks" / f"{name}{suffix}.png", mask, palette)
    return root


def opened(root, **options):
    return open_dataset(Options(root=str(root), **options))


def labels_of(dataset):
    return [dataset.target(i).semantic.labels.tolist() for split in dataset.splits() for i in dataset.ids(split)]


def names_of(dataset):
    return [c.name for c in dataset.classes]


# ------------------------------------------------------------------ classes


def test_with_the_void_value_said_each_other_value_is_a_class(tmp_path):
    dataset = opened(fill(tmp_path, mask=((0, 3), (7, 255))), void=255)
    assert names_of(dataset) == ["class 0", "class 3", "class 7"]
    assert labels_of(dataset)[0] == [[0, 1], [2, 255]]


def test_masks_of_0_and_255_are_background_and_foreground(tmp_path):
    dataset = opened(fill(tmp_path, mask=((0, 255), (255, 0))))
    assert names_of(dataset) == ["background", "foreground"]
    assert labels_of(dataset)[0] == [[0, 1], [1, 0]]


def test_grey_masks_stored_as_rgb_are_read_as_values(tmp_path):
    dataset = opened(fill(tmp_path, mask=np.repeat(np.array([[[0], [255]]]), 3, axis=2).repeat(2, axis=0)))
    assert labels_of(dataset)[0] == [[0, 1], [0, 1]]


def test_a_list_of_names_numbers_the_classes_and_leaves_255_void(tmp_path):
    fill(tmp_path, mask=((0, 1), (2, 255)))
    (tmp_path / "classes.yaml").write_text("[sky, sea, land]")
    assert names_of(opened(tmp_path)) == ["sky", "sea", "land"]
    assert labels_of(opened(tmp_path))[0] == [[0, 1], [2, 255]]


def test_values_in_the_class_file_need_not_be_positions(tmp_path):
    fill(tmp_path, mask=((10, 200), (7, 10)))
    (tmp_path / "classes.yaml").write_text(
        "classes: [{name: x, value: 200, thing: true}, {name: y, value: 10}]\nvoid: [7]"
    )
    dataset = opened(tmp_path)
    assert labels_of(dataset)[0] == [[1, 0], [255, 1]]
    assert [c.is_thing for c in dataset.classes] == [True, False]


def test_one_void_value_in_the_class_file_needs_no_list(tmp_path):
    fill(tmp_path, mask=((0, 1), (7, 255)))
    (tmp_path / "classes.yaml").write_text("classes: [{name: x, value: 0}, {name: y, value: 1}]\nvoid: 7")
    with pytest.raises(DatasetError, match="255"):
        labels_of(opened(tmp_path))
    (tmp_path / "classes.yaml").write_text("classes: [{name: x, value: 0}, {name: y, value: 1}]\nvoid: many")
    with pytest.raises(DatasetError, match="void: Input should be a list"):
        opened(tmp_path)


def test_sixteen_bit_masks_keep_their_values(tmp_path):
    fill(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        cv2.imwrite(str(path), np.array([[1000, 2000], [0, 2000]], np.uint16))
    (tmp_path / "classes.yaml").write_text("classes: [{name: x, value: 1000}, {name: y, value: 2000}]\nvoid: [0]")
    assert labels_of(opened(tmp_path))[0] == [[0, 1], [255, 1]]


def test_colours_tell_classes_apart_where_the_file_gives_colours_only(tmp_path):
    fill(tmp_path, mask=[[[9, 8, 7], [0, 0, 0]], [[1, 1, 1], [9, 8, 7]]])
    (tmp_path / "classes.yaml").write_text(
        "classes: [{name: x, colour: [0, 0, 0]}, {name: y, colour: [9, 8, 7]}]\nvoid: [[1, 1, 1]]"
    )
    assert labels_of(opened(tmp_path))[0] == [[1, 0], [255, 1]]


def test_a_palette_is_read_as_indices_by_values_and_as_colours_by_colours(tmp_path):
    palette = [0, 0, 0, 200, 0, 0, 0, 200, 0]
    fill(tmp_path, mask=((0, 1), (2, 1)), palette=palette)
    assert labels_of(opened(tmp_path))[0] == [[0, 1], [2, 1]]
    rows = "{name: green, colour: [0, 200, 0]}, {name: red, colour: [200, 0, 0]}, {name: black, colour: [0, 0, 0]}"
    (tmp_path / "classes.yaml").write_text(f"classes: [{rows}]")
    assert labels_of(opened(tmp_path))[0] == [[2, 1], [0, 1]]


def test_colours_are_inferred_as_classes_in_the_order_of_their_values(tmp_path):
    dataset = opened(fill(tmp_path, mask=[[[9, 8, 7], [0, 0, 0]], [[0, 0, 0], [1, 2, 3]]]))
    assert names_of(dataset) == ["rgb 0,0,0", "rgb 1,2,3", "rgb 9,8,7"]
    assert labels_of(dataset)[0] == [[2, 0], [0, 1]]


# ------------------------------------------------------------------ images, names, splits


@pytest.mark.parametrize("kind", ["jpg", "JPEG", "png", "tif", "bmp", "webp"])
def test_images_of_all_kinds_are_found_in_any_case(tmp_path, kind):
    dataset = opened(fill(tmp_path, kind=kind))
    image_id = dataset.ids("train")[0]
    assert dataset.image(image_id).shape == (2, 2, 3)
    assert dataset.size(image_id) == (2, 2)


def test_spaces_unicode_folders_suffixes_and_links_work(tmp_path):
    real = fill(tmp_path / "real", names=["Köln 1/ä b", "x/y.z"], suffix="_mask")
    (tmp_path / "data").mkdir()
    for name in ("images", "masks"):
        (tmp_path / "data" / name).symlink_to(real / name)
    (real / "images" / "linked").symlink_to(real / "images" / "x")
    (real / "masks" / "linked").symlink_to(real / "masks" / "x")
    dataset = opened(tmp_path / "data", mask_suffix="_mask", fractions={"train": 0.5, "val": 0.5})
    ids = sorted(i for split in dataset.splits() for i in dataset.ids(split))
    assert ids in (["Köln 1__ä b", "linked__y.z"], ["Köln 1__ä b", "x__y.z"])  # each real folder once
    assert all(dataset.image(i).shape == (2, 2, 3) for i in ids)


def test_folders_named_as_splits_are_the_splits(tmp_path):
    dataset = opened(fill(tmp_path, names=["val/a", "train/b", "train/c", "test/a"]))
    assert dataset.splits() == ("train", "val", "test")
    assert {s: dataset.ids(s) for s in dataset.splits()} == {
        "train": ("train__b", "train__c"), "val": ("val__a",), "test": ("test__a",)
    }  # fmt: skip


def test_lists_give_the_splits_and_leave_out_what_they_do_not_name(tmp_path):
    fill(tmp_path)
    (tmp_path / "train.txt").write_text("c\nimages/a.jpg\n\n# b\n")
    (tmp_path / "test.txt").write_text("d.jpg")
    dataset = opened(tmp_path)
    assert {s: dataset.ids(s) for s in dataset.splits()} == {"train": ("a", "c"), "test": ("d",)}


def test_the_first_pattern_that_is_found_decides(tmp_path):
    dataset = opened(
        fill(tmp_path, names=["s1/a", "s1/b", "s2/a"]), split_by="pattern", patterns={"test": "^s2/", "train": "."}
    )
    assert {s: dataset.ids(s) for s in dataset.splits()} == {"train": ("s1__a", "s1__b"), "test": ("s2__a",)}


def test_fractions_share_out_whole_groups_by_the_seed(tmp_path):
    fill(tmp_path, names=[f"cat{group}_{view}" for group in range(20) for view in range(3)])
    options = {"fractions": {"train": 0.5, "val": 0.25, "test": 0.25}, "group": r"^(cat\d+)_"}
    dataset = opened(tmp_path, **options)
    groups = {split: {i.split("_")[0] for i in dataset.ids(split)} for split in dataset.splits()}
    assert {split: len(dataset.ids(split)) for split in groups} == {"train": 30, "val": 15, "test": 15}
    assert not groups["train"] & (groups["val"] | groups["test"])
    assert opened(tmp_path, **options).ids("val") == dataset.ids("val")
    assert opened(tmp_path, seed=1, **options).ids("val") != dataset.ids("val")


def test_a_group_goes_where_most_of_it_belongs():
    # Five groups of ten fill 50 of 54; the middle of the sixth, 55, lies beyond.
    splits = by_fraction([f"g{k}" for k in range(10)] * 10, {"train": 0.54, "val": 0.46}, seed=0, where="folder")
    assert splits.count("train") == 50


def test_no_split_is_empty_where_there_are_as_many_groups_as_splits(tmp_path):
    dataset = opened(fill(tmp_path, names=["a", "b", "c"]), fractions={"train": 0.98, "val": 0.01, "test": 0.01})
    assert [len(dataset.ids(split)) for split in ("train", "val", "test")] == [1, 1, 1]


def test_the_fingerprint_follows_content_options_and_split_but_not_the_place(tmp_path):
    first, second = fill(tmp_path / "1"), tmp_path / "2"
    first.rename(second)
    before = opened(second).fingerprint("train")
    second.rename(tmp_path / "3")
    assert opened(tmp_path / "3").fingerprint("train") == before
    assert opened(tmp_path / "3").fingerprint("val") != before
    image_id = opened(tmp_path / "3").ids("train")[0]
    write(tmp_path / "3" / "masks" / f"{image_id}.png", ((0, 1), (2, 2)))
    assert opened(tmp_path / "3").fingerprint("train") != before


# ------------------------------------------------------------------ usage errors


def refusal(root, **options):
    with pytest.raises(DatasetError) as caught:
        labels_of(opened(root, **options))
    return str(caught.value)


def test_missing_folders_say_where_it_looked_and_what_to_do(tmp_path):
    assert refusal(tmp_path) == (
        f"folder: nothing at {tmp_path / 'images'}. Expected: the folders images/ and masks/ with one mask for each "
        "image. Put your images and masks there. If it lies elsewhere, set the data set's option root."
    )


def test_folders_without_images_are_an_error(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    (tmp_path / "images" / "notes.txt").write_text("-")
    assert refusal(tmp_path).startswith(f"folder: nothing at {tmp_path / 'images'}. Expected: images (jpg, jpeg, png, ")


def test_images_without_masks_are_counted_and_named(tmp_path):
    fill(tmp_path)
    (tmp_path / "masks" / "b.png").unlink()
    assert refusal(tmp_path) == (
        f"folder: 1 of 4 images have no mask, for example {tmp_path / 'images' / 'b.jpg'}; expected "
        f"{tmp_path / 'masks' / 'b.png'} (or tif, tiff, bmp, gif, webp, npy). Add the masks, move the images away, or "
        "set the option mask_suffix."
    )


def test_jpeg_masks_are_pointed_out(tmp_path):
    fill(tmp_path)
    for path in (tmp_path / "masks").glob("*.png"):
        write(path.with_suffix(".jpg"), ((0, 1), (0, 1)))
        path.unlink()
    assert "holds 4 JPEG files: masks must be stored without loss" in refusal(tmp_path)


def test_an_unreadable_image_is_named(tmp_path):
    fill(tmp_path)
    (tmp_path / "images" / "a.jpg").write_bytes(b"no")
    message = refusal(tmp_path)
    assert message == (
        f"{tmp_path / 'images' / 'a.jpg'} cannot be read: it is no image of a known format. Restore the file from its "
        "source, or remove it together with its mask."
    )


def test_a_mask_of_another_size_is_named_with_both_sizes(tmp_path):
    fill(tmp_path)
    write(tmp_path / "masks" / "c.png", np.zeros((3, 5)))
    assert refusal(tmp_path) == (
        f"{tmp_path / 'masks' / 'c.png'}: the mask has 3 × 5 pixels, its image {tmp_path / 'images' / 'c.jpg'} has "
        "2 × 2 (height × width). Make the mask again from the image as shown (EXIF orientation applied), or remove "
        "the pair."
    )


def test_a_label_outside_the_table_is_named_with_its_pixels(tmp_path):
    fill(tmp_path, mask=((0, 9), (9, 1)))
    (tmp_path / "classes.yaml").write_text("[sky, sea]")
    message = refusal(tmp_path)
    assert re.search(r"masks/.\.png has labels outside the table: 9 \(2 pixels\)\. ", message)
    assert message.endswith(
        "classes.yaml knows 0, 1, 255. Add it to classes.yaml as a class or as void, or fix the mask."
    )


def test_a_colour_outside_the_table_is_named_with_its_pixels(tmp_path):
    fill(tmp_path, mask=[[[9, 8, 7], [0, 0, 0]], [[0, 0, 0], [9, 8, 7]]])
    (tmp_path / "classes.yaml").write_text("classes: [{name: x, colour: [0, 0, 0]}]")
    assert re.search(
        r"masks/.\.png has colours outside the table: RGB 9,8,7 \(2 pixels\)\. classes\.yaml knows 0,0,0\.",
        refusal(tmp_path),
    )


def test_a_palette_image_read_as_rgb_is_recognised(tmp_path):
    fill(tmp_path, mask=[[[0, 0, 0], [128, 0, 0]], [[128, 0, 0], [0, 0, 0]]])
    (tmp_path / "classes.yaml").write_text("[sky, sea]")
    assert re.search(
        r"masks/.\.png holds colours, but classes\.yaml tells classes by value\. A palette image was probably read and "
        r"written as RGB \(OpenCV and \.convert\('RGB'\) do that\)\. Write the indices themselves, or give every class "
        r"its colour in classes\.yaml\.",
        refusal(tmp_path),
    )


def test_masks_smoothed_by_resizing_are_recognised(tmp_path):
    smooth = np.linspace(0, 255, 24 * 24 * 3).reshape(24, 24, 3) + RNG.integers(0, 9, (24, 24, 3))
    fill(tmp_path, mask=smooth % 256)
    assert "the masks hold more colours than labels have" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: [{name: a, value: 1}, {name: a, value: 2}]", "the name 'a' is given twice"),
        ("classes: [{name: a, value: 1}, {name: b, value: 1}]", "the value 1 is given twice"),
        ("classes: [{name: a}]", "class 'a' needs a value or a colour"),
        ("classes: [{name: a, valeu: 1}]", "classes.0.valeu: Extra inputs are not permitted"),
        ("classes: [", "cannot be read as YAML"),
    ],
)
def test_a_wrong_class_file_says_what_is_wrong(tmp_path, text, message):
    (fill(tmp_path) / "classes.yaml").write_text(text)
    assert message in refusal(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fractions": {"train": 0.5}}, "must be above 0 and sum to 1"),
        ({"fractions": dict.fromkeys("vwxyz", 0.2)}, "4 images in 4 groups are too few for the splits v, w, x, y, z"),
        ({"group": r"^(\d+)_"}, r"4 of 4 names do not match the option group '^(\\d+)_', for example 'a.jpg'"),
        ({"group": "("}, "is not a regular expression"),
        ({"split_by": "folders"}, "4 images lie in no sub-folder, for example 'a.jpg'"),
        ({"split_by": "lists"}, "train.txt. Expected: lists of images"),
        ({"split_by": "pattern"}, "needs the option patterns"),
        ({"split_by": "pattern", "patterns": {"train": "^a"}}, "3 images match no pattern, for example 'b.jpg'"),
        ({"split_by": "pattern", "patterns": {"train": ".", "val": "^a"}}, "no image falls to 'val'"),
    ],
)
def test_options_that_do_not_split_the_images_are_refused(tmp_path, options, message):
    assert message in refusal(fill(tmp_path), **options)


def test_a_list_that_names_an_image_twice_or_not_at_all_is_an_error(tmp_path):
    fill(tmp_path)
    (tmp_path / "train.txt").write_text("a\nzebra\n")
    assert "train.txt names 'zebra', but there is no such image below" in refusal(tmp_path)
    (tmp_path / "train.txt").write_text("a\nb\n")
    (tmp_path / "val.txt").write_text("b\n")
    assert "val.txt names 'b', which train.txt names too" in refusal(tmp_path)


def test_two_images_with_one_name_are_an_error(tmp_path):
    fill(tmp_path)
    write(tmp_path / "images" / "a.png", np.zeros((2, 2)))
    assert "ids of split" in refusal(tmp_path, fractions={"train": 1.0})


def test_an_unknown_split_or_id_is_told_with_the_known_ones(tmp_path):
    dataset = opened(fill(tmp_path))
    with pytest.raises(DatasetError, match=r"no split named 'trian'\. Did you mean 'train'\? It has: train, val, test"):
        dataset.ids("trian")
    with pytest.raises(DatasetError, match=r"folder: no image 'zebra' in the splits train, val, test"):
        dataset.image("zebra")
