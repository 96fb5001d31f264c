"""Images and masks are found by patterns of their paths, whatever the naming; what fits nothing is told."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from PIL import Image

from bench.data.formats.folder_classes import Binary
from bench.datasets.folder import Options, open_dataset
from bench.errors import DatasetError
from tests.bench.datasets.comparison import all_ids

SIZE = (6, 8)
ALL = {"all": 1.0}


def picture(root, name):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (SIZE[1], SIZE[0]), (9, 9, 9)).save(root / name)


def drawing(*boxes):
    """Labels, uint8, with (value, rows, columns) painted in order."""
    mask = np.zeros(SIZE, np.uint8)
    for value, rows, columns in boxes:
        mask[rows, columns] = value
    return mask


def mask(root, name, pixels):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".npy"):
        np.save(root / name, pixels)
    else:
        Image.fromarray(pixels).save(root / name)


LEFT, RIGHT, BOTH = drawing((1, slice(0, 2), slice(0, 3))), drawing((1, slice(3, 6), slice(5, 8))), None


def opened(root, **options):
    return open_dataset(Options(root=str(root), **options))


@pytest.mark.parametrize(
    ("image", "its_mask", "patterns"),
    [
        ("{0}.jpg", "{0}_mask.png", ("{id}.jpg", "{id}_mask.png")),
        ("{0}.jpg", "{0}_mask.png", ("{id}.*", "{id}_mask.*")),
        ("{0}.png", "{0}_seg.png", ("{id}.*", "{id}_seg.png")),
        ("{0}.png", "mask_{0}.png", ("{id}.png", "mask_{id}.png")),
        ("img_{0}.png", "lbl_{0}.png", ("img_{id}.png", "lbl_{id}.png")),
        ("x/{0}.tif", "x/{0}_mask.tif", ("{group}/{id}.tif", "{group}/{id}_mask.tif")),
        (
            "stage/{0}/images/{0}.png",
            "stage/{0}/masks/{0}.png",
            ("stage/{id}/images/{id}.*", "stage/{id}/masks/{id}.*"),
        ),
        ("images/{0}.png", "masks/{0}.npy", ("images/{id}.*", "masks/{id}.npy")),
        ("images/sub/{0}.png", "masks/sub/{0}.png", ("images/{id}.*", "masks/{id}.*")),
    ],
)
def test_every_naming_gives_each_image_its_own_mask(tmp_path, image, its_mask, patterns):
    names = [f"a.{number}" for number in range(5)]
    for number, name in enumerate(names):
        picture(tmp_path, image.format(name))
        mask(tmp_path, its_mask.format(name), drawing((1, slice(0, number + 1), slice(0, 2))))
    dataset = opened(tmp_path, images=patterns[0], masks=patterns[1], fractions=ALL)
    areas = {i: int((dataset.target(i).semantic.labels == 1).sum()) for i in all_ids(dataset)}
    assert sorted(areas.values()) == [2, 4, 6, 8, 10]
    assert all(areas[i] == 2 * (int(i[-1]) + 1) for i in areas)


def test_the_split_and_the_group_are_read_from_the_path(tmp_path):
    for split, patient in (("train", "p1"), ("train", "p2"), ("test", "p3")):
        for number in range(2):
            picture(tmp_path, f"{split}/images/{patient}/{number}.png")
            mask(tmp_path, f"{split}/masks/{patient}/{number}.png", LEFT)
    patterns = {"images": "{split}/images/{group}/{id}.*", "masks": "{split}/masks/{group}/{id}.*"}
    dataset = opened(tmp_path, **patterns)
    assert {split: len(dataset.ids(split)) for split in dataset.splits()} == {"train": 4, "test": 2}
    assert {dataset.group(i) for i in dataset.ids("train")} == {"p1", "p2"}


def test_fractions_keep_a_group_of_the_pattern_in_one_split(tmp_path):
    for patient in range(9):
        for number in range(3):
            picture(tmp_path, f"p{patient}/{number}.png")
            mask(tmp_path, f"p{patient}/{number}_mask.png", LEFT)
    dataset = opened(tmp_path, images="{group}/{id}.png", masks="{group}/{id}_mask.png")
    groups = [{dataset.group(i) for i in dataset.ids(split)} for split in dataset.splits()]
    assert sum(map(len, groups)) == 9
    assert len(all_ids(dataset)) == 27


def test_several_masks_of_an_image_are_its_objects(tmp_path):
    picture(tmp_path, "images/a (1).png")
    mask(tmp_path, "masks/a (1)_mask.png", LEFT * 255)
    mask(tmp_path, "masks/a (1)_mask_1.png", RIGHT * 255)
    dataset = opened(tmp_path, images="images/{id}.*", masks="masks/{id}_mask*.png", masks_hold="object", fractions=ALL)
    ground_truth = dataset.target("a (1)")
    assert ground_truth.instances.masks.tolist() == [(LEFT > 0).tolist(), (RIGHT > 0).tolist()]
    assert ground_truth.semantic.labels.tolist() == (LEFT | RIGHT).tolist()


def test_several_masks_of_an_image_are_not_one_of_them_in_silence(tmp_path):
    picture(tmp_path, "images/a.png")
    mask(tmp_path, "masks/a_mask.png", LEFT)
    mask(tmp_path, "masks/a_mask_1.png", RIGHT)
    with pytest.raises(DatasetError, match=r"1 images have several masks.*masks_hold: object"):
        opened(tmp_path, images="images/{id}.*", masks="masks/{id}_mask*.png")


def test_an_image_whose_name_is_the_beginning_of_another_keeps_its_masks_apart(tmp_path):
    for name in ("a", "a_1"):
        picture(tmp_path, f"{name}.jpg")
    mask(tmp_path, "a_2.png", LEFT)
    mask(tmp_path, "a_1_2.png", RIGHT)
    dataset = opened(tmp_path, images="{id}.jpg", masks="{id}_{n}.png", masks_hold="object", fractions=ALL)
    assert dataset.target("a").semantic.labels.tolist() == LEFT.tolist()
    assert dataset.target("a_1").semantic.labels.tolist() == RIGHT.tolist()


def test_numbers_of_objects_are_instances_up_to_16_bits(tmp_path):
    picture(tmp_path, "images/a.png")
    numbers = np.zeros(SIZE, np.uint16)
    numbers[0, 0], numbers[2:4, 2], numbers[5, 5:] = 1, 255, 300
    mask(tmp_path, "masks/a.png", numbers)
    options = {"masks_hold": "instances", "object_class": "cell", "fractions": ALL}
    dataset = opened(tmp_path, images="images/{id}.*", masks="masks/{id}.*", **options)
    ground_truth = dataset.target("a")
    assert [c.name for c in dataset.classes] == ["background", "cell"]
    assert ground_truth.instances.masks.sum(axis=(1, 2)).tolist() == [1, 2, 3]
    assert ground_truth.semantic.labels.tolist() == (numbers > 0).astype(int).tolist()


def test_colours_of_objects_are_instances(tmp_path):
    picture(tmp_path, "images/a.png")
    rgb = np.zeros((*SIZE, 3), np.uint8)
    rgb[0], rgb[3] = (255, 0, 0), (0, 0, 9)
    mask(tmp_path, "masks/a.png", rgb)
    dataset = opened(tmp_path, images="images/{id}.*", masks="masks/{id}.*", masks_hold="instances", fractions=ALL)
    assert dataset.target("a").instances.masks.any(axis=2).sum(axis=0).tolist() == [1, 0, 0, 1, 0, 0]


@pytest.mark.parametrize("pattern", ["masks/{class}/{id}.png", "masks/{id}_{class}.png"])
def test_one_mask_for_each_class_gives_named_classes(tmp_path, pattern):
    for name in ("x", "y"):
        picture(tmp_path, f"images/{name}.jpg")
    for class_name, pixels in (("road", LEFT), ("car", RIGHT)):
        mask(tmp_path, pattern.replace("{class}", class_name).replace("{id}", "x"), pixels * 255)
    mask(tmp_path, pattern.replace("{class}", "car").replace("{id}", "y"), LEFT * 255)
    dataset = opened(tmp_path, images="images/{id}.*", masks=pattern, fractions=ALL)
    assert [c.name for c in dataset.classes] == ["background", "car", "road"]
    assert dataset.target("x").semantic.labels.tolist() == (2 * LEFT + RIGHT).tolist()
    assert dataset.target("y").semantic.labels.tolist() == LEFT.tolist()


def test_a_pixel_in_two_classes_is_refused_until_their_order_is_said(tmp_path):
    picture(tmp_path, "images/x.jpg")
    mask(tmp_path, "masks/a/x.png", drawing((255, slice(0, 3), slice(0, 4))))
    mask(tmp_path, "masks/b/x.png", drawing((255, slice(2, 3), slice(2, 8))))
    patterns = {"images": "images/{id}.*", "masks": "masks/{class}/{id}.png", "fractions": ALL}
    with pytest.raises(DatasetError, match=r"2 pixels are also in another class.*class_order: \[a, b\]"):
        opened(tmp_path, **patterns).target("x")
    dataset = opened(tmp_path, **patterns, class_order=("b", "a"))
    assert [c.name for c in dataset.classes] == ["background", "b", "a"]
    # a (12 pixels) on top of b, of whose 6 it hides 2.
    assert np.bincount(dataset.target("x").semantic.labels.ravel()).tolist() == [32, 4, 12]


def test_greys_in_a_mask_of_yes_and_no_are_refused_until_a_threshold_is_said(tmp_path):
    picture(tmp_path, "images/x.jpg")
    mask(tmp_path, "masks/x_1.png", drawing((255, 0, slice(0, 3)), (40, 0, 3), (200, 0, 4)))
    options = {"images": "images/{id}.*", "masks": "masks/{id}_{n}.png", "masks_hold": "object", "fractions": ALL}
    with pytest.raises(DatasetError, match=r"holds 4 values: 0, 40, 200, 255.*threshold: 128"):
        opened(tmp_path, **options).target("x")
    assert opened(tmp_path, **options, threshold=128).target("x").instances.masks.sum() == 4


def test_the_classes_of_roboflow_and_of_cvat_name_the_values_and_colours(tmp_path):
    for split in ("train", "valid"):
        picture(tmp_path, f"{split}/a_{split}.jpg")
        mask(tmp_path, f"{split}/a_{split}_mask.png", LEFT * 2)
        (tmp_path / split / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat\n2, dog\n")
    patterns = {"images": "{split}/{id}.jpg", "masks": "{split}/{id}_mask.png"}
    dataset = opened(tmp_path, **patterns, classes="{split}/_classes.csv")
    assert [c.name for c in dataset.classes] == ["background", "cat", "dog"]
    assert dataset.target("valid__a_valid").semantic.labels.tolist() == (LEFT * 2).tolist()
    (tmp_path / "valid" / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, dog\n2, cat\n3, cow\n")
    with pytest.raises(DatasetError, match="give other classes"):
        opened(tmp_path, **patterns, classes="{split}/_classes.csv")


def test_a_labelmap_names_colours(tmp_path):
    picture(tmp_path, "i/a.jpg")
    rgb = np.zeros((*SIZE, 3), np.uint8)
    rgb[:2] = (128, 0, 0)
    mask(tmp_path, "m/a.png", rgb)
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\ncell:128,0,0::\n")
    dataset = opened(tmp_path, images="i/{id}.*", masks="m/{id}.*", classes="labelmap.txt", fractions=ALL)
    assert [c.name for c in dataset.classes] == ["background", "cell"]
    assert int(dataset.target("a").semantic.labels.sum()) == 16


def test_what_has_no_partner_is_counted_and_named_and_hidden_files_are_not_read(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path, f"images/{name}.png")
    for name in ("a", "c"):
        mask(tmp_path, f"masks/{name}.png", LEFT)
    for hidden in ("images/.ipynb_checkpoints/z.png", "images/._a.png", "__MACOSX/images/q.png"):
        picture(tmp_path, hidden)
    with pytest.raises(DatasetError) as error:
        opened(tmp_path, images="images/{id}.*", masks="masks/{id}.*")
    assert "1 of 2 images have no mask, images/b.png; 1 masks have no image, masks/c.png" in str(error.value)


def test_files_that_fit_neither_pattern_are_counted_where_the_data_set_is_described(tmp_path):
    picture(tmp_path, "images/a.png")
    mask(tmp_path, "masks/a.png", LEFT)
    picture(tmp_path, "overview.png")
    dataset = opened(tmp_path, images="images/{id}.*", masks="masks/{id}.*", fractions=ALL)
    assert dataset.description.notes == ("1 files fit neither pattern and are not read, overview.png",)


@pytest.mark.parametrize(
    ("images", "masks", "said"),
    [
        ("{name}.png", "{id}_m.png", r"placeholder \{name\}"),
        ("{class}/{id}.png", "{id}_m.png", r"placeholder \{class\}"),
        ("*.png", "{id}_m.png", "does not say where the name of the image is"),
        ("{id}.png", "{id}_m.png", "no image fits the pattern"),
    ],
)
def test_a_pattern_that_cannot_work_is_refused(tmp_path, images, masks, said):
    with pytest.raises(DatasetError, match=said):
        opened(tmp_path, images=images, masks=masks)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((4, 6, 8)), r"shape \(4, 6, 8\)"),
        (np.full(SIZE, 0.5), "float64"),
        (np.full(SIZE, -1), "from -1 to -1"),
        (np.full(SIZE, 70000), "to 70000"),
        (np.array([["a"]]), "<U1"),
    ],
)
def test_an_array_that_is_no_mask_is_refused_by_its_form(tmp_path, array, said):
    picture(tmp_path, "images/a.png")
    np.save(tmp_path / "images" / "a_mask.npy", array)
    with pytest.raises(DatasetError, match=said):
        opened(tmp_path, images="images/{id}.png", masks="images/{id}_mask.npy", fractions=ALL)


def test_an_array_of_objects_is_not_unpickled(tmp_path):
    picture(tmp_path, "images/a.png")
    np.save(tmp_path / "images" / "a_mask.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match="cannot be read as a NumPy array"):
        opened(tmp_path, images="images/{id}.png", masks="images/{id}_mask.npy", fractions=ALL)


# ------------------------------------------------------------------ every option counts with patterns, too


def test_a_range_and_bands_are_taken_from_images_that_patterns_find(tmp_path):
    deep = (np.arange(48, dtype=np.uint16) * 80).reshape(SIZE)
    for number in range(3):
        mask(tmp_path, f"p{number}.tif", deep)
        mask(tmp_path, f"p{number}_mask.png", LEFT)
    with pytest.raises(DatasetError, match=r"16 bits but hold values up to 3760 only.*range: \[0, 4095\]"):
        opened(tmp_path, images="{id}.tif", masks="{id}_mask.png", fractions=ALL)
    dataset = opened(tmp_path, images="{id}.tif", masks="{id}_mask.png", fractions=ALL, range=(0.0, 4095.0))
    assert dataset.image("p1")[..., 0].tolist() == np.round(deep / 4095 * 255).astype(int).tolist()
    assert "0 to 4095 scaled to 0 to 255" in " ".join(dataset.description.inferred)


def test_binary_cuts_greys_and_takes_jpeg_masks_that_patterns_find(tmp_path):
    soft = np.where(LEFT > 0, 200, 10).astype(np.uint8)
    soft[0, 3] = 90
    for number in range(3):
        picture(tmp_path, f"p{number}.png")
        mask(tmp_path, f"p{number}_mask.png", soft)
    with pytest.raises(DatasetError, match="binary"):
        opened(tmp_path, images="{id}.png", masks="{id}_mask.png", fractions=ALL)
    dataset = opened(tmp_path, images="{id}.png", masks="{id}_mask.png", fractions=ALL, binary=Binary(threshold=128))
    assert dataset.target("p0").semantic.labels.tolist() == LEFT.tolist()
    for number in range(3):
        Image.fromarray(soft).save(tmp_path / f"p{number}_mask.jpg", quality=95)
        (tmp_path / f"p{number}_mask.png").unlink()
    again = opened(tmp_path, images="{id}.png", masks="{id}_mask.jpg", fractions=ALL, binary=Binary(threshold=128))
    assert again.target("p0").semantic.labels.tolist() == LEFT.tolist()
    with pytest.raises(DatasetError, match=r"binary says that a mask holds two classes.*threshold: 128"):
        opened(tmp_path, images="{id}.png", masks="{id}_mask*.png", masks_hold="object", binary=Binary(threshold=128))


def test_void_and_what_was_inferred_are_those_of_masks_that_patterns_find(tmp_path):
    with_rim = LEFT.copy()
    with_rim[5, 7] = 255
    for number in range(3):
        picture(tmp_path, f"{number}/x.jpg")
        mask(tmp_path, f"{number}/x_mask.png", with_rim)
    with pytest.raises(DatasetError, match="255 may be void or a class"):
        opened(tmp_path, images="{group}/{id}.jpg", masks="{group}/{id}_mask.png", fractions=ALL)
    dataset = opened(tmp_path, images="{group}/{id}.jpg", masks="{group}/{id}_mask.png", fractions=ALL, void=255)
    assert dataset.target(dataset.ids("all")[0]).semantic.labels.tolist() == with_rim.tolist()
    assert "classes inferred from 3 masks" in " ".join(dataset.description.inferred)


def test_names_that_are_composed_otherwise_belong_together(tmp_path):
    picture(tmp_path, f"images/{unicodedata.normalize('NFC', 'für')}_1.png")
    mask(tmp_path, f"masks/{unicodedata.normalize('NFD', 'für')}_1_seg.png", LEFT)
    dataset = opened(tmp_path, images="images/{id}.*", masks="masks/{id}_seg.png", fractions=ALL)
    assert dataset.target(dataset.ids("all")[0]).semantic.labels.tolist() == LEFT.tolist()
