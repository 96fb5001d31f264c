"""CVAT's XML gives the masks of its run lengths and polygons; groups are one object, z_order says what is on top."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.datasets.cvat import Options, open_dataset
from bench.errors import DatasetError


def project(root, *shapes, extra="", subset=""):
    (root / "images").mkdir()
    Image.new("RGB", (8, 6)).save(root / "images" / "a.png")
    labels = "".join(f"<label><name>{name}</name></label>" for name in ("rod", "cell"))
    image = f'<image id="0" name="a.png" width="8" height="6"{subset}>{"".join(shapes)}</image>{extra}'
    text = f"<annotations><meta><task><labels>{labels}</labels></task></meta>{image}</annotations>"
    (root / "annotations.xml").write_text(text)
    return root


def opened(root, **options):
    return open_dataset(Options(root=str(root), **options))


CELL = '<polygon label="cell" points="0,0;3,0;3,2;0,2" z_order="1"/>'
# Two rows of three pixels at (row 1, column 2): .## / #..
ROD = '<mask label="rod" rle="1,3,2" left="2" top="1" width="3" height="2" z_order="0"/>'


def test_polygons_and_run_lengths_are_masks_and_the_higher_one_is_on_top(tmp_path):
    dataset = opened(project(tmp_path, CELL, ROD))
    truth = dataset.target("a")
    assert [c.name for c in dataset.classes] == ["background", "rod", "cell"]
    expected = np.zeros((6, 8), int)
    expected[1, 3:5] = expected[2, 2] = 1
    expected[:2, :3] = 2
    assert truth.semantic.labels.tolist() == expected.tolist()
    assert sorted(truth.instances.masks.sum(axis=(1, 2)).tolist()) == [3, 6]


def test_shapes_of_one_group_are_one_object(tmp_path):
    parts = ['<polygon label="cell" group_id="4" points="{0},0;{1},0;{1},2;{0},2"/>'.format(x, x + 2) for x in (0, 5)]
    assert opened(project(tmp_path, *parts)).target("a").instances.masks.sum(axis=(1, 2)).tolist() == [8]


def test_subsets_are_splits(tmp_path):
    assert opened(project(tmp_path, CELL, subset=' subset="Train"')).splits() == ("train",)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ('<box label="cell" xtl="0" ytl="0" xbr="2" ybr="2"/>', "box of cell is no mask.*ignore_labels"),
        ('<mask label="rod" rle="1,3" left="2" top="1" width="3" height="2"/>', "give 4 pixels for a box of 2 × 3"),
        ('<mask label="rod" rle="1,5" left="7" top="1" width="3" height="2"/>', "in a|in \\(6, 8\\)"),
    ],
)
def test_a_shape_that_is_no_mask_is_named(tmp_path, shape, said):
    with pytest.raises(DatasetError, match=said):
        opened(project(tmp_path, shape)).target("a")
    label = "cell" if "cell" in shape else "rod"
    (tmp_path / "b").mkdir()
    assert not len(opened(project(tmp_path / "b", shape), ignore_labels=(label,)).target("a").instances.masks)


def test_a_missing_image_and_a_file_that_is_cut_off_are_named(tmp_path):
    root = project(tmp_path, CELL, extra='<image id="1" name="b.png" width="8" height="6"/>')
    with pytest.raises(DatasetError, match=r"'b\.png' is not there"):
        opened(root)
    (root / "annotations.xml").write_text("<annotations><image")
    with pytest.raises(DatasetError, match="cannot be read as XML"):
        opened(root)
