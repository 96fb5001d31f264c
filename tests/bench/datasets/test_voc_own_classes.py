"""VOC's layout with other classes than VOC's is told from VOC's, refused with the lines to write, and read by them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.data.detect import detect, report
from bench.data.formats.by_name import open_dataset
from bench.data.formats.label_tables import palette_colour
from bench.errors import DatasetError

SIZE = (12, 16)
VOCS = [channel for index in range(256) for channel in palette_colour(index)]


def write(root, masks, *, xml=None, palettes=None, lists=("train", "val"), suffix=".jpg", objects=False):
    """A project in VOC's layout; `masks` is name -> indices present, each a row, and `xml` name -> names of objects."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation", "Annotations"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number, (name, indices) in enumerate(masks.items()):
        Image.new("RGB", SIZE[::-1], (number, 0, 0)).save(root / "JPEGImages" / f"{name}{suffix}")
        pixels = np.zeros(SIZE, dtype=np.uint8)
        for row, index in enumerate(indices):
            pixels[2 * row] = index
        for folder in ("SegmentationClass", *(["SegmentationObject"] if objects else [])):
            image = Image.fromarray(pixels, mode="P")
            image.putpalette((palettes or {}).get(name, VOCS))
            (root / folder).mkdir(exist_ok=True)
            image.save(root / folder / f"{name}.png")
        if xml is not None:
            rows = "".join(f"<object><name>{one}</name></object>" for one in xml[name])
            (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{rows}</annotation>")
    names = list(masks)
    for at, split in enumerate(lists):
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(names[at :: len(lists)]) + "\n")
    return {"root": str(root)}


MASKS = {"a": [1], "b": [2], "c": [1, 2, 255], "d": [2]}
OBJECTS = {"a": ["bolt"], "b": ["nut"], "c": ["nut", "bolt"], "d": ["nut"]}


@pytest.mark.parametrize(
    ("masks", "xml", "said"),
    [
        (
            MASKS,
            None,
            r"no image has a name as VOC's.*the indices 0, 1, 2\..*classes: \[background, class 1, class 2\]",
        ),
        (MASKS, OBJECTS, r"objects that VOC does not have: bolt, nut.*classes: \[background, bolt, nut\]"),
        # VOC's names under other numbers: the cat of the mask would be an aeroplane.
        (
            MASKS,
            {"a": ["cat"], "b": ["dog"], "c": ["cat", "dog"], "d": ["dog"]},
            r"would show aeroplane.*\[background, cat, dog\]",
        ),
        (
            {f"2007_00000{n}": [1] for n in range(4)},
            {f"2007_00000{n}": ["bolt"] for n in range(4)},
            "does not have: bolt",
        ),
    ],
)
def test_classes_that_are_not_vocs_are_refused_with_the_lines_that_name_them(tmp_path, masks, xml, said):
    options = write(tmp_path, masks, xml=xml)
    with pytest.raises(DatasetError, match="most likely not VOC's 20 classes") as error:
        open_dataset("voc", options)
    assert error.match(said)


@pytest.mark.parametrize(
    ("masks", "xml"),
    [
        ({f"2007_00000{n}": [1, 255] for n in range(4)}, None),
        ({"a": [1], "b": [15]}, {"a": ["aeroplane"], "b": ["person", "chair"]}),
    ],
)
def test_names_of_images_or_of_objects_as_vocs_are_enough(tmp_path, masks, xml):
    dataset = open_dataset("voc", write(tmp_path, masks, xml=xml))
    assert dataset.classes[15].name == "person"
    assert 1 in dataset.target(next(iter(masks))).semantic.labels


def test_the_option_settles_whose_classes_they_are(tmp_path):
    options = write(tmp_path, MASKS, lists=("train", "valid"), suffix=".png", objects=True)
    dataset = open_dataset("voc", {**options, "classes": ["background", "bolt", "nut"]})
    assert dataset.splits() == ("train", "valid")
    assert [(c.name, c.is_thing, c.is_background) for c in dataset.classes] == [
        ("background", False, True),
        ("bolt", True, False),
        ("nut", True, False),
    ]
    expected = np.zeros(SIZE, dtype=np.uint8)
    expected[0], expected[2], expected[4] = 1, 2, 255
    truth = dataset.target("c")
    assert truth.semantic.labels.tolist() == expected.tolist()
    assert truth.instances.class_ids.tolist() == [1, 2]
    (tmp_path / "class_names.txt").write_text("_background_\nbolt\nnut\n")
    assert [c.name for c in open_dataset("voc", options).classes] == ["_background_", "bolt", "nut"]


def test_a_list_of_images_without_masks_is_no_split_and_told(tmp_path):
    options = write(tmp_path, MASKS)
    (tmp_path / "ImageSets" / "Segmentation" / "test.txt").write_text("q\n")
    dataset = open_dataset("voc", {**options, "classes": ["background", "bolt", "nut"]})
    assert dataset.splits() == ("train", "val")
    assert dataset.description.notes == ("test: none of its images looked at has a mask; the split is left out",)


def test_palettes_that_differ_in_order_and_names_that_are_too_few_are_refused(tmp_path):
    swapped = [*VOCS[:3], *VOCS[6:9], *VOCS[3:6], *VOCS[9:]]
    options = {**write(tmp_path, MASKS, palettes={"c": swapped}), "classes": ["background", "bolt", "nut"]}
    with pytest.raises(
        DatasetError, match=r"palettes differ in order.*labelmap\.txt with lines such as NAME:0,128,0::"
    ):
        open_dataset("voc", options).target("c")
    with pytest.raises(DatasetError, match=r"has labels outside the table: 2 .*the option classes names 2 classes"):
        open_dataset("voc", {**options, "classes": ["background", "bolt"]}).target("b")
    with pytest.raises(DatasetError, match="expected 2 to 255 different names"):
        open_dataset("voc", {**options, "classes": ["cell", "cell"]})


def test_masks_of_colours_are_refused_with_a_labelmap_to_write(tmp_path):
    options = write(tmp_path, MASKS)
    for path in (tmp_path / "SegmentationClass").iterdir():
        Image.open(path).convert("RGB").save(path)
    with pytest.raises(
        DatasetError, match=r"labelmap\.txt with a line for each.*background:0,0,0:: and.*NAME:128,0,0::"
    ):
        open_dataset("voc", options)
    with pytest.raises(DatasetError, match="holds colours, no indices as others of its folder"):
        open_dataset("voc", {**options, "classes": ["background", "bolt", "nut"]}).target("a")


def test_detect_proposes_the_classes_and_tells_of_a_missing_image_before_anything_else(tmp_path):
    write(tmp_path, MASKS, xml=OBJECTS)
    first = detect(tmp_path)[0]
    assert (first.guess.name, first.guess.options, first.trouble) == (
        "voc",
        {"classes": ["background", "bolt", "nut"]},
        "",
    )
    (tmp_path / "JPEGImages" / "d.jpg").unlink()
    found = detect(tmp_path)
    assert found[0].guess.name == "voc"
    assert "1 files of the 2 images in val.txt are missing" in " ".join(one.trouble for one in found)
    assert "looks like, but does not open as, voc" in report(found, tmp_path)
