"""Refusals of readers that no other test comes by: each says what is there and what was expected."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bench.data.formats.arrays import read_array
from bench.data.formats.coco_rows import OddValue, nested
from bench.data.formats.documents import read_json_object
from bench.data.formats.segments import read_segment_map
from bench.data.formats.voc_labelmap import read_labelmap
from bench.errors import DatasetError


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
