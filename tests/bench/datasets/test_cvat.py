"""CVAT's XML gives the masks of its run lengths and polygons; groups are one object, z_order says what is on top."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from bench.data.exports.cvat import export, mask_element
from bench.data.formats.typed import CVAT_SHAPE, as_typed
from bench.datasets.cvat import Options, open_dataset, shape_mask
from bench.errors import DatasetError
from bench.records import Size
from tests.bench.datasets.comparison import assert_the_same_shapes, reopened, scenes


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
    ground_truth = dataset.target("a")
    assert [c.name for c in dataset.classes] == ["background", "rod", "cell"]
    expected = np.zeros((6, 8), int)
    expected[1, 3:5] = expected[2, 2] = 1
    expected[:2, :3] = 2
    assert ground_truth.semantic.labels.tolist() == expected.tolist()
    assert sorted(ground_truth.instances.masks.sum(axis=(1, 2)).tolist()) == [3, 6]


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


def test_an_export_reads_back_as_the_ground_truth(tmp_path):
    source = scenes()
    exported = export(source, tmp_path / "x")
    dataset = reopened(exported)
    assert dataset.splits() == source.splits()
    assert_the_same_shapes(source, dataset, exported)


def drawn(shape: ElementTree.Element, size: Size) -> np.ndarray:
    """Mask of a shape as the reader draws it."""
    return shape_mask(shape.tag, as_typed(CVAT_SHAPE, shape.attrib, "here", "Correct it."), size, "here")


@pytest.mark.parametrize("seed", range(4))
def test_run_lengths_are_those_of_cvats_own_library(seed):
    masks = pytest.importorskip("cvat_sdk.masks")
    rng = np.random.default_rng(seed)
    mask = np.zeros((14, 19), bool)
    mask[3:11, 4:17] = rng.random((8, 13)) < (0.1, 0.5, 0.9, 1.0)[seed]
    *runs, left, top, right, bottom = masks.encode_mask(mask)
    ours = mask_element("cell", mask, 0)
    assert [int(text) for text in ours.get("rle").split(",")] == runs
    assert [int(ours.get(key)) for key in ("left", "top", "width", "height")] == [
        left, top, right - left + 1, bottom - top + 1,
    ]  # fmt: skip
    assert drawn(ours, Size(14, 19)).tolist() == mask.tolist()


@pytest.mark.slow
def test_polygons_groups_and_order_are_those_that_datumaro_reads(tmp_path):
    components = pytest.importorskip("datumaro.components.dataset")
    shapes = [
        '<polygon label="cell" points="0,0;5,0;5,3;0,3" z_order="2" group_id="3"/>',
        '<polygon label="rod" points="2.5,1.5;8,2;7,6" z_order="5" group_id="0"/>',
        '<polygon label="cell" points="0,4;3,4;3,6;0,6" z_order="1" group_id="3"/>',
    ]
    root = project(tmp_path, *shapes)
    read = components.Dataset.import_from(str(root / "annotations.xml"), "cvat")
    read.transform("polygons_to_masks")
    names = [label.name for label in read.categories()[read_label_type()]]
    (item,) = read
    expected = np.zeros((6, 8), int)
    groups = {}
    dataset = opened(root)
    ours = [c.name for c in dataset.classes]
    for one in sorted(item.annotations, key=lambda a: a.z_order):
        expected[one.image.astype(bool)] = ours.index(names[one.label])
        groups.setdefault(one.group or id(one), np.zeros((6, 8), bool))[one.image.astype(bool)] = True
    ground_truth = dataset.target("a")
    assert ground_truth.semantic.labels.tolist() == expected.tolist()
    assert {mask.tobytes() for mask in ground_truth.instances.masks} == {mask.tobytes() for mask in groups.values()}


def test_what_datumaro_writes_as_cvat_is_read_as_it_was(tmp_path):
    pytest.importorskip("datumaro.components.dataset")
    from datumaro.components.annotation import Polygon
    from datumaro.components.dataset import Dataset
    from datumaro.components.dataset_base import DatasetItem
    from datumaro.components.media import Image as Picture

    corners = [1.0, 1.0, 6.0, 1.0, 6.0, 5.0, 1.0, 5.0]
    image = Picture(data=np.zeros((6, 8, 3), np.uint8))
    item = DatasetItem(id="a", subset="train", media=image, annotations=[Polygon(corners, label=1)])
    Dataset.from_iterable([item], categories=["rod", "cell"]).export(str(tmp_path), "cvat", save_media=True)
    file = next(tmp_path.rglob("*.xml"))
    dataset = opened(file.parent, file=file.name)
    (image_id,) = dataset.ids(dataset.splits()[0])
    ground_truth = dataset.target(image_id)
    expected = np.zeros((6, 8), int)
    expected[1:5, 1:6] = 2
    assert ground_truth.semantic.labels.tolist() == expected.tolist()
    assert len(ground_truth.instances.masks) == 1


def read_label_type():
    from datumaro.components.annotation import AnnotationType

    return AnnotationType.label


def test_a_group_of_zero_is_no_group_and_a_tag_of_the_image_is_no_shape(tmp_path):
    parts = ['<polygon label="cell" group_id="0" points="{0},0;{1},0;{1},2;{0},2"/>'.format(x, x + 2) for x in (0, 5)]
    ground_truth = opened(project(tmp_path, *parts, '<tag label="rod" source="manual"/>')).target("a")
    assert ground_truth.instances.masks.sum(axis=(1, 2)).tolist() == [4, 4]


@pytest.mark.parametrize(
    "changes",
    [
        {"rle": f"{10**30}"},
        {"rle": "1000000000000,5"},
        {"rle": "-4,10"},
        {"left": "inf"},
        {"width": "1e400"},
        {"rle": ""},
    ],
)
def test_numbers_that_no_mask_has_are_refused_and_cost_no_memory(changes):
    box = {"label": "cell", "left": "1", "top": "1", "width": "2", "height": "3", "rle": "1,5"}
    assert drawn(ElementTree.Element("mask", box), Size(6, 6)).sum() == 5
    with pytest.raises(DatasetError, match=r"cannot be drawn|should be a"):
        drawn(ElementTree.Element("mask", {**box, **changes}), Size(6, 6))
