"""Refusals of readers that no other test comes by: each says what is there and what was expected."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import cv2
import nibabel as nib
import nrrd
import numpy as np
import pytest
import tifffile
from pydantic import AfterValidator, TypeAdapter

from bench.data.formats.arrays import read_array
from bench.data.formats.bands import BandReading, Percentiles, measured_ranges
from bench.data.formats.by_name import Resplit, resplit
from bench.data.formats.coco_classes import _by_name as classes_by_name
from bench.data.formats.coco_ground_truth import listed_segments
from bench.data.formats.coco_rows import OddValue, nested
from bench.data.formats.documents import LimitError, read_json_object, read_limited
from bench.data.formats.drawn_shapes import decode_embedded, unpacked
from bench.data.formats.entries import Entry
from bench.data.formats.hf_tables import find_tables
from bench.data.formats.label_studio_tasks import _image_of, _regions, _results
from bench.data.formats.label_tables import MAX_CLASSES
from bench.data.formats.pattern_folder import _class_names, _table
from bench.data.formats.pattern_ground_truth import PatternOptions
from bench.data.formats.patterns import check_pattern
from bench.data.formats.rasters import read_segment_map
from bench.data.formats.typed import as_typed
from bench.data.formats.voc_labelmap import _colours, read_labelmap
from bench.data.formats.volume_arrays import Volume, read_nifti, read_npy_volume, read_nrrd, read_tiff_stack
from bench.data.formats.volume_places import cases_in
from bench.data.formats.volume_slices import Grey, Slices
from bench.data.labels.selection import _spoken_for
from bench.datasets.folder import Options as FolderOptions
from bench.datasets.folder import open_dataset as open_folder
from bench.errors import BenchError, DatasetError
from bench.records import Labels, Size
from bench.records.png import encode_png

FILE = Path("a.json")
PNG = encode_png(np.zeros((8, 8), np.uint8))


@pytest.mark.parametrize("value", [-1, 65536])
def test_labels_of_an_array_that_no_mask_holds(tmp_path, value):
    np.save(tmp_path / "a.npy", np.full((2, 2), value))
    with pytest.raises(DatasetError, match=rf"holds values from {value} to {value}; labels lie within 0 and 65535"):
        read_array(tmp_path / "a.npy")


def test_a_list_in_the_place_of_an_object(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(DatasetError, match="holds a list where an object is expected"):
        read_json_object(tmp_path / "a.json")


def test_a_grey_png_in_the_place_of_a_map_of_segments(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((2, 2), np.uint8))
    with pytest.raises(DatasetError, match=r"is not RGB; a panoptic PNG holds ids as R \+ 256 G \+ 65536 B"):
        read_segment_map(tmp_path / "a.png")


def test_a_label_map_of_the_background_alone(tmp_path):
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\n")
    with pytest.raises(DatasetError, match="names 1 classes; 2 to 255 are expected"):
        read_labelmap(tmp_path / "labelmap.txt")


def test_numbers_among_the_polygons_of_an_object():
    with pytest.raises(OddValue, match="mixes numbers and lists of numbers"):
        nested([[0, 0, 1, 0, 1, 1], 4])


# ------------------------------------------------------------------ refusals that need no file, or a small one


def refused(call, *arguments, **named) -> str:
    with pytest.raises(BenchError) as found:
        call(*arguments, **named)
    return str(found.value)


def test_a_segment_list_that_is_none_or_says_one_id_twice():
    row = {"image_id": "1", "segments_info": None}
    assert "is None, where a list of segments is expected" in refused(listed_segments, row, FILE)
    row["segments_info"] = [{"id": 7}, {"id": 7}]
    assert "has the id 7 twice. Fix the file" in refused(listed_segments, row, FILE)


def test_a_file_of_coco_without_categories():
    assert "has no categories. Add them to the file" in refused(classes_by_name, [], FILE)


def test_a_region_of_two_labels_and_a_task_of_two_images():
    region = {"id": "r", "value": {"polygonlabels": ["a", "b"], "points": [[0, 0], [1, 0], [1, 1]]}}
    assert "a region has 2 labels (a, b); one is expected" in refused(lambda: list(_regions([region], "task 1")))
    task = {"data": {"one": "a.png", "two": "b.png"}}
    assert "task 3 has 2 fields that name an image; one is expected" in refused(_image_of, task, FILE, "3")


def test_an_order_of_classes_that_is_not_that_of_the_masks():
    options = SimpleNamespace(class_order=("a", "b"))
    assert "class_order names a, b, but the masks are of a, c" in refused(_class_names, {"a": 1, "c": 1}, options)


def test_a_place_for_classes_that_takes_as_many_values_as_there_are_files():
    options = SimpleNamespace(class_order=None, masks="{class}/{id}.png")
    said = refused(_class_names, {str(n): 1 for n in range(MAX_CLASSES)}, options)
    assert f"{{class}} in masks: '{{class}}/{{id}}.png' takes {MAX_CLASSES} values, for example 0, 1, 10" in said
    assert "these are no classes. Put the placeholder elsewhere" in said


def test_classes_that_differ_from_split_to_split(tmp_path):
    for split, names in (("train", "[a, b]"), ("val", "[a, c]")):
        (tmp_path / f"{split}.yaml").write_text(names)
    options = PatternOptions(root=str(tmp_path), images="i/{id}.png", masks="m/{id}.png", classes="{split}.yaml")
    said = refused(_table, [], tmp_path, options, ["train", "val"])
    assert "give other classes; all splits need the same. Make them agree" in said


@pytest.mark.parametrize("pattern", ["images/*.png", "images/{nmae}.png"])
def test_a_pattern_that_cannot_tell_images_apart(pattern):
    said = refused(check_pattern, pattern, "images", allowed=["id", "split"])
    assert said.startswith(f"folder: option images: {pattern!r} ")
    assert "It takes {id}, {split} and *, and needs {id}, for example" in said


def test_a_pool_of_a_split_that_there_is_not(tmp_path):
    for split in ("images", "masks"):
        (tmp_path / split / "train").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / split / "train" / "a.png"), np.eye(4, dtype=np.uint8))
    whole = open_folder(FolderOptions(root=str(tmp_path)))
    said = refused(resplit, whole, Resplit(split_by="fraction", pool=("tarin",)), str(tmp_path))
    assert "pool names 'tarin'. Did you mean 'train'?" in said
    assert "It has: train" in said


def test_a_document_that_is_nested_without_end():
    def nested_for_ever(value: object) -> object:
        return nested_for_ever(value)

    adapter = TypeAdapter(Annotated[list, AfterValidator(nested_for_ever)])
    assert refused(as_typed, adapter, [], "a.json", "Mend it.") == "a.json: it is nested too deeply. Mend it."


def test_percentiles_between_which_a_band_has_no_values(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 4), 7, np.uint8))
    wanted = Percentiles(percentiles=(2.0, 98.0))
    said = refused(measured_ranges, BandReading(bands=(1,)), [tmp_path / "a.png"], wanted)
    assert "of a band are one value; widen them" in said


def test_more_windows_than_a_volume_has_channels(tmp_path):
    slices = Slices("stored", Grey(windows=((0, 1), (0, 2), (0, 3))), {})
    volume = Volume(np.zeros((2, 2, 2, 2), np.uint8), None, None, "", "")
    said = refused(slices._planes, np.zeros((2, 2, 2), np.uint8), tmp_path / "a.nii", volume)
    assert said.endswith("a.nii has 2 channels, but there are 3 windows.")


def test_a_saved_table_that_lacks_one_of_its_splits(tmp_path):
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    said = refused(find_tables, tmp_path)
    assert "names the split 'train', but" in said
    assert "holds no state.json. Save it again" in said


def test_channels_of_volumes_without_a_place_in_the_pattern(tmp_path):
    said = refused(cases_in, tmp_path, "{id}.nii.gz", "{id}_mask.nii.gz", ["t1"])
    assert "{channel} in images and the option channels belong together" in said


def test_a_class_that_two_words_of_a_suite_place():
    labels = Labels(classes=("a",), drop=("a",))
    assert "labels.drop: class 'a' has been given a place before; name it once" in refused(_spoken_for, labels, ["a"])


def test_a_nul_in_yaml():
    with pytest.raises(LimitError, match="holds a NUL character or half of a surrogate pair"):
        read_limited('a: "x\\0y"')


@pytest.mark.parametrize(
    ("axes", "told"),
    [("TYX", "has the axes TYX of sizes"), ("ZTYX", "Write one file for each time point")],
)
def test_a_stack_of_time_points(tmp_path, axes, told):
    shape = (2, 3, 4, 5)[-len(axes) :]
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, np.uint8), metadata={"axes": axes}, ome=True)
    assert told in refused(read_tiff_stack, tmp_path / "a.tif", pixels=True)


def test_volumes_of_other_numbers_of_dimensions(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2, 2, 2), np.uint8), np.eye(4)), tmp_path / "a.nii")
    assert "has 5 dimensions, (2, 2, 2, 2, 2); 3 are expected" in refused(read_nifti, tmp_path / "a.nii", pixels=True)
    nrrd.write(str(tmp_path / "a.nrrd"), np.zeros((2, 2, 2)), {"kinds": ["list", "list", "domain"]})
    said = refused(read_nrrd, tmp_path / "a.nrrd", pixels=True)
    assert "three of space are expected, and at most one of channels" in said
    np.save(tmp_path / "a.npy", np.zeros(3))
    assert "(slice, row, column[, channel]) is expected" in refused(read_npy_volume, tmp_path / "a.npy", pixels=True)


def test_the_objects_and_classes_of_labelmaps(tmp_path):
    (tmp_path / "labelmap.txt").write_text("cell:250,50,83::\n")
    space = read_labelmap(tmp_path / "labelmap.txt")
    cv2.imwrite(str(tmp_path / "grey.png"), np.zeros((2, 2), np.uint8))
    assert "holds grey values, no colours of labelmap.txt" in refused(_colours, tmp_path / "grey.png")
    cv2.imwrite(str(tmp_path / "objects.png"), np.full((2, 2, 3), 9, np.uint8))
    cv2.imwrite(str(tmp_path / "classes.png"), np.zeros((2, 2, 3), np.uint8))
    said = refused(space.ground_truth, Entry("a", tmp_path, (tmp_path / "classes.png", tmp_path / "objects.png")))
    assert "object of colour (9, 9, 9) lies on background or border in SegmentationClass" in said
    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((2, 3, 3), np.uint8))
    said = refused(space.ground_truth, Entry("a", tmp_path, (tmp_path / "wide.png", tmp_path / "objects.png")))
    assert "has 2 × 2 pixels, the mask of classes 2 × 3 (height × width)" in said


def test_pictures_within_annotations_that_are_none_or_far_too_large():
    size = Size(8, 8)
    for content, told in (
        (b"", "it holds no image"),
        (encode_png(np.zeros((5000, 5000), np.uint8)), "is far larger than its image of (8, 8)"),
        (PNG[:33] + b"\x7f\xff\xff\xff" + PNG[37:], "claims"),
    ):
        with pytest.raises(ValueError, match=re.escape(told)):
            decode_embedded(content, size, cv2.IMREAD_UNCHANGED)
    assert decode_embedded(encode_png(np.ones((4, 6), np.uint8)), size, cv2.IMREAD_UNCHANGED).shape == (4, 6)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (lambda: zlib.compress(bytes(2**28 + 1)), "it unpacks to more than"),
        (lambda: zlib.compress(b"abc" * 99)[:-5], "it ends before"),
        (lambda: b"x", "it ends before"),
    ],
)
def test_what_is_packed_within_annotations_is_unpacked_within_bounds(content, told):
    with pytest.raises(ValueError, match=told):
        unpacked(content())


@pytest.mark.parametrize("row", [{"annotations": 7}, {"annotations": [{"result": 7}]}, {"completions": "x"}])
def test_results_of_a_task_that_are_no_list(row):
    assert "is no list, but" in refused(_results, {"id": 3, **row}, 0)
