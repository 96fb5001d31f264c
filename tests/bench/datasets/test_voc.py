"""Pascal VOC as exported reads back as the ground truth; its palette and lists are VOC's."""

from __future__ import annotations

import shutil
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.data.exports.voc import export
from bench.data.info import published_counts
from bench.data.opening import Choice, opened
from bench.datasets.voc import Options, open_dataset
from bench.errors import DatasetError
from tests.bench.datasets.comparison import all_ids, labels, objects, reopened, scenes

# sky, ground and water are background; disc, square, … the classes from aeroplane to car.
CLASSES = [0, 0, 0, 1, 2, 3, 4, 5, 6, 7]


@pytest.fixture(scope="module")
def source():
    return scenes()


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    return export(source, tmp_path_factory.mktemp("voc") / "VOC2012")


def test_what_was_exported_reads_back_as_the_ground_truth_but_for_crowds(source, exported):
    loaded = reopened(exported)
    assert {s: len(loaded.ids(s)) for s in loaded.splits()} == {"train": 20, "val": 6, "test": 4}
    for image_id in all_ids(source):
        ground_truth, read = source.target(image_id), loaded.target(image_id)
        assert labels(read) == labels(ground_truth, CLASSES)
        assert objects(read.instances) == objects(ground_truth.instances, CLASSES, crowds=False)
        difference = source.image(image_id).astype(int) - loaded.image(image_id)
        assert np.abs(difference).mean() < 14  # JPEG of noise; another scene differs by 40 and more


def test_masks_are_palette_pngs_with_the_colours_of_voc(exported):
    # Written out from the table on the VOC page, not from our rule.
    first = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    for folder in ("SegmentationClass", "SegmentationObject"):
        for path in (exported.folder / folder).iterdir():
            with Image.open(path) as image:
                assert (image.format, image.mode) == ("PNG", "P")
                palette = image.getpalette()
            assert [tuple(palette[3 * i : 3 * i + 3]) for i in range(7)] == first
            assert palette[3 * 20 : 3 * 20 + 3] == [0, 64, 128]  # tvmonitor
            assert palette[3 * 255 :] == [224, 224, 192]


def test_boxes_in_the_xml_count_from_one_and_hold_their_objects(source, exported):
    image_id = source.ids("train")[0]
    root = ElementTree.parse(exported.folder / "Annotations" / f"{image_id}.xml")
    with Image.open(exported.folder / "SegmentationObject" / f"{image_id}.png") as image:
        numbers = np.asarray(image)
    boxes = [[int(box.find(tag).text) for tag in ("xmin", "ymin", "xmax", "ymax")] for box in root.iter("bndbox")]
    expected = []
    for number in range(1, int(numbers[numbers < 255].max()) + 1):
        rows, columns = np.nonzero(numbers == number)
        expected.append([columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1])
    assert boxes == expected


def test_trainaug_is_used_when_asked_for_and_missed_when_absent(exported, tmp_path):
    copy = shutil.copytree(exported.folder, tmp_path / "VOC2012")
    with pytest.raises(DatasetError, match=r"SegmentationClassAug\. Expected: .* Add SegmentationClassAug"):
        open_dataset(Options(root=str(copy), augmented=True))
    shutil.copytree(copy / "SegmentationClass", copy / "SegmentationClassAug")
    sets = copy / "ImageSets" / "Segmentation"
    lines = (sets / "train.txt").read_text().split()
    rows = [f"/JPEGImages/{n}.jpg /SegmentationClassAug/{n}.png\n" for n in lines[:5]]
    (sets / "trainaug.txt").write_text("".join(rows))
    dataset = open_dataset(Options(root=str(copy), augmented=True))
    assert list(dataset.ids("train")) == lines[:5]
    assert dataset.tasks == ("semantic",)
    assert dataset.target(lines[0]).instances is None


def test_the_official_list_of_test_images_without_masks_is_no_split(exported, tmp_path):
    copy = shutil.copytree(exported.folder, tmp_path / "VOC2012")
    (copy / "ImageSets" / "Segmentation" / "test.txt").write_text("2008_000006\n")
    assert open_dataset(Options(root=str(copy))).splits() == ("train", "val")


def test_a_mask_read_and_written_by_opencv_is_recognised(exported, tmp_path):
    copy = shutil.copytree(exported.folder, tmp_path / "VOC2012")
    dataset = open_dataset(Options(root=str(copy)))
    entry = dataset.entry(dataset.ids("val")[0])
    cv2.imwrite(str(entry.ground_truths[0]), cv2.imread(str(entry.ground_truths[0])))
    with pytest.raises(
        DatasetError, match=r"\.png holds colours, not palette indices; it was probably converted to RGB"
    ):
        dataset.target(entry.image_id)


def test_a_label_outside_the_table_is_named(exported, tmp_path):
    copy = shutil.copytree(exported.folder, tmp_path / "VOC2012")
    dataset = open_dataset(Options(root=str(copy)))
    entry = dataset.entry(dataset.ids("val")[0])
    size = dataset.size(entry.image_id)
    Image.fromarray(np.full(size, 21, np.uint8)).save(entry.ground_truths[0])
    with pytest.raises(
        DatasetError, match=r"labels outside the table: 21 \(3072 pixels\)\. VOC has the indices 0 to 20 and 255"
    ):
        dataset.target(entry.image_id)


def test_missing_folders_lists_and_files_are_told_with_the_way_to_get_them(exported, tmp_path):
    with pytest.raises(
        DatasetError, match=r"^voc: nothing at .*/JPEGImages\. Expected: .* unpack VOCtrainval_11-May-2012"
    ):
        open_dataset(Options(root=str(tmp_path)))
    copy = shutil.copytree(exported.folder, tmp_path / "VOC2012")
    next((copy / "JPEGImages").glob("*-val-*")).unlink()
    with pytest.raises(
        DatasetError, match=r"JPEGImages/.*\.jpg\. Expected: 1 files of the 6 images in val\.txt are missing"
    ):
        open_dataset(Options(root=str(copy))).ids("val")
    (copy / "ImageSets" / "Segmentation" / "val.txt").unlink()
    with pytest.raises(DatasetError, match=r"val\.txt\. Expected: a list of image names"):
        open_dataset(Options(root=str(copy)))


def test_no_published_number_of_images_is_expected_of_a_project_with_classes_of_its_own(tmp_path):
    for folder, pixels in (("JPEGImages", np.zeros((4, 5, 3))), ("SegmentationClass", np.full((4, 5, 3), (128, 0, 0)))):
        (tmp_path / folder).mkdir()
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / folder / "a.png")
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Segmentation" / "train.txt").write_text("a\n")
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\ncell:128,0,0::\n")
    choice = Choice("voc", "voc", {"root": str(tmp_path)})
    assert published_counts(choice, opened(choice)) == {}
    assert published_counts(choice)["train"] > 1000
