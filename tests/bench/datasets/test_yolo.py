"""YOLO labels as exported read back as the ground truth but for crowds; paths and lines follow Ultralytics' rules."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from bench.data.exports.yolo import export
from bench.datasets.yolo import Options, open_dataset
from bench.errors import DatasetError
from tests.bench.datasets.comparison import all_ids, objects, reopened, scenes

THINGS = [None, None, None, *range(7)]


@pytest.fixture(scope="module")
def source():
    return scenes(size=(49, 67))


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    return export(source, tmp_path_factory.mktemp("yolo") / "yolo")


def opened(root, **options):
    return open_dataset(Options(root=str(root), **options))


def small(root, text, **document):
    """One image of 4 × 8 pixels with a label file."""
    for folder in ("images/train", "labels/train"):
        (root / folder).mkdir(parents=True)
    Image.new("RGB", (8, 4)).save(root / "images" / "train" / "a b.jpg")
    (root / "labels" / "train" / "a b.txt").write_text(text)
    (root / "data.yaml").write_text(yaml.safe_dump({"train": "images/train", "names": ["cat", "dog"], **document}))
    return root


def test_what_was_exported_reads_back_as_the_ground_truth_but_for_crowds(source, exported):
    loaded = reopened(exported)
    assert [c.name for c in loaded.classes] == [c.name for c in source.classes if c.is_thing]
    for image_id in all_ids(source):
        ground_truth, read = source.target(image_id), loaded.target(exported.ids[image_id])
        assert objects(read.instances) == objects(ground_truth.instances, THINGS, crowds=False)
        assert np.array_equal(source.image(image_id), loaded.image(exported.ids[image_id]))


def test_every_object_is_one_line_of_a_class_and_pairs_within_the_image(source, exported):
    for image_id in source.ids("train"):
        lines = (exported.folder / "labels" / "train" / f"{image_id}.txt").read_text().splitlines()
        instances = source.target(image_id).instances
        assert len(lines) == (~instances.crowd).sum()
        for line in lines:
            numbers = [float(word) for word in line.split()]
            assert len(numbers) >= 7
            assert len(numbers) % 2 == 1
            assert all(0 <= number <= 1 for number in numbers[1:])


def test_a_polygon_covers_the_pixels_whose_centres_it_holds(tmp_path):
    # x from 2 to 6 of 8, y from 1 to 3 of 4
    ground_truth = opened(small(tmp_path, "1 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n\n"), background="none").target(
        "train__a b"
    )
    assert ground_truth.instances.class_ids.tolist() == [1]
    assert ground_truth.semantic.labels.tolist() == [
        [2, 2, 2, 2, 2, 2, 2, 2], [2, 2, 1, 1, 1, 1, 2, 2], [2, 2, 1, 1, 1, 1, 2, 2], [2, 2, 2, 2, 2, 2, 2, 2]
    ]  # fmt: skip


def test_a_missing_label_file_is_an_image_without_objects(exported, tmp_path):
    copy = shutil.copytree(exported.folder, tmp_path / "copy")
    next((copy / "labels" / "val").iterdir()).unlink()
    dataset = opened(copy)
    assert min(len(dataset.target(i).instances.class_ids) for i in dataset.ids("val")) == 0
    shutil.rmtree(copy / "labels" / "val")
    with pytest.raises(DatasetError, match=r"labels/val/.*\.txt\. Expected: labels of 6 images, of which none has any"):
        opened(copy).ids("val")


@pytest.mark.parametrize(
    "document",
    [
        {"path": "."},
        {"path": "elsewhere/on/another/machine"},
        {"train": ["images/train"]},
        {"train": "train.txt"},
        {"names": {0: "cat", 1: "dog"}},
    ],
)
def test_paths_lists_and_names_in_every_form_of_data_yaml(tmp_path, document):
    small(tmp_path, "0 0 0 1 0 1 1", **document)
    (tmp_path / "train.txt").write_text("./images/train/a b.jpg\n")
    dataset = opened(tmp_path)
    assert dataset.ids("train") == ("train__a b",)
    assert [c.name for c in dataset.classes] == ["cat", "dog"]


def test_images_of_one_name_in_folders_above_images_have_ids_of_their_own(tmp_path):
    for split in ("train", "valid"):
        for folder in ("images", "labels"):
            (tmp_path / split / folder).mkdir(parents=True)
        Image.new("RGB", (8, 4)).save(tmp_path / split / "images" / "1.jpg")
        (tmp_path / split / "labels" / "1.txt").write_text("0 0 0 1 0 1 1")
    (tmp_path / "data.yaml").write_text("{train: ./train/images, val: valid/images, names: [cat]}")
    dataset = opened(tmp_path)
    assert (dataset.ids("train"), dataset.ids("val")) == (("train__1",), ("valid__1",))
    assert len(dataset.target("valid__1").instances.class_ids) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.1 0.1", r"a b\.txt:1 has five numbers: a box for detection, not a polygon"),
        ("0 0.1 0.1 0.2 0.2 0.3", r"a b\.txt:1 has 6 numbers\. Expected: a class and three or more pairs"),
        ("2 0 0 1 0 1 1", r"a b\.txt:1 has labels outside the table: class 2; data\.yaml names 0 to 1"),
        ("0.5 0 0 1 0 1 1", r"a b\.txt:1 has labels outside the table: class 0\.5"),
        ("0 0 0 8 0 8 4", r"a b\.txt:1 has coordinates outside 0-1"),
        ("0 0 0 nan 0 1 1", r"a b\.txt:1 has coordinates outside 0-1"),
        ("cat 0 0 1 0 1 1", r"a b\.txt:1 holds something that is no number"),
    ],
)
def test_a_wrong_line_is_named_with_its_number(tmp_path, line, message):
    dataset = opened(small(tmp_path, line))
    with pytest.raises(DatasetError, match=message):
        dataset.target("train__a b")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"names": ["cat", "cat"]}, "names must be a list of different names"),
        ({"names": {1: "cat"}}, "names must be a list of different names"),
        ({"train": None}, "has none of the splits train, val and test"),
        ({"train": "nowhere"}, r"nowhere\. Expected: a folder of images or a \.txt list"),
        ({"train": "photos"}, r"nothing at .*photos/a\.txt\. Expected: labels of 1 images"),
        ({"train": "empty"}, r"empty\. Expected: images"),
    ],
)
def test_a_wrong_data_yaml_says_what_is_wrong(tmp_path, document, message):
    small(tmp_path, "0 0 0 1 0 1 1", **document)
    for folder in ("photos", "empty"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (8, 4)).save(tmp_path / "photos" / "a.jpg")
    with pytest.raises(DatasetError, match=message):
        opened(tmp_path).ids("train")


def test_a_missing_data_yaml_says_where_it_was_sought(tmp_path):
    with pytest.raises(DatasetError, match=r"^yolo: nothing at .*data\.yaml\. Expected: a YAML with names and train"):
        opened(tmp_path)
