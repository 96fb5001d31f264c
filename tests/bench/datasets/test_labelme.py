"""LabelMe's JSON gives the masks that LabelMe draws; what cannot be drawn or found is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from bench.data.exports.labelme import export
from bench.datasets.labelme import Options, open_dataset, shape_mask
from bench.errors import DatasetError
from bench.records import Size
from tests.bench.datasets.comparison import assert_the_same_shapes, reopened, scenes

ALL = {"all": 1.0}


def annotated(root, *shapes, name="a", image_path=None, size=(6, 8)):
    root.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size[1], size[0])).save(root / f"{name}.png")
    document = {"shapes": list(shapes), "imagePath": image_path or f"{name}.png"}
    document |= {"imageHeight": size[0], "imageWidth": size[1]}
    (root / f"{name}.json").write_text(json.dumps(document))
    return root


def shape(label, points, kind="polygon", group=None):
    return {"label": label, "points": points, "shape_type": kind, "group_id": group}


def opened(root, **options):
    return open_dataset(Options(root=str(root), fractions=ALL, **options))


def test_an_export_reads_back_as_the_ground_truth(tmp_path):
    source = scenes()
    exported = export(source, tmp_path / "x")
    dataset = reopened(exported)
    assert_the_same_shapes(source, dataset, exported)


DRAWN_BY_LABELME = [
    ("polygon", [[1, 1], [6.5, 1.2], [4, 4.7]], """
        ...........
        .######....
        ..####.....
        ...###.....
        ....#......
        ...........
        ...........
        ...........
        ..........."""),
    ("polygon", [[2, 1], [9, 2], [7, 7], [5, 4], [1, 6]], """
        ...........
        ..#........
        ..########.
        ..########.
        .########..
        .###..###..
        .#....##...
        .......#...
        ..........."""),
    ("rectangle", [[5, 4], [2, 1]], """
        ...........
        ..####.....
        ..####.....
        ..####.....
        ..####.....
        ...........
        ...........
        ...........
        ..........."""),
    ("rectangle", [[1.4, 2.6], [4.5, 5.2]], """
        ...........
        ...........
        .####......
        .####......
        .####......
        .####......
        ...........
        ...........
        ..........."""),
    ("circle", [[4, 3], [5.5, 4]], """
        ...........
        ...##......
        ..####.....
        ..####.....
        ...##......
        ...........
        ...........
        ...........
        ..........."""),
    ("oriented_rectangle", [[3, 1], [8, 3], [6.5, 7], [1.5, 5]], """
        ...........
        ...#.......
        ...###.....
        ..#######..
        ..######...
        .#######...
        ....###....
        ......#....
        ..........."""),
]  # fmt: skip
"""What `labelme.utils.shape_to_mask` of labelme 6.3.1 returned for these shapes on 9 × 11 pixels."""


@pytest.mark.parametrize(("kind", "points", "drawn"), DRAWN_BY_LABELME)
def test_shapes_are_drawn_as_labelme_draws_them(kind, points, drawn):
    expected = [[sign == "#" for sign in row] for row in drawn.split()]
    assert shape_mask(shape("a", points, kind), Size(9, 11), "here").tolist() == expected


def test_later_shapes_lie_on_top_as_labelmes_shapes_to_label_has_them(tmp_path):
    root = annotated(
        tmp_path,
        shape("a", [[1, 1], [5, 1], [5, 4], [1, 4]]),
        shape("b", [[4, 3], [8, 3], [8, 6], [4, 6]], group=2),
        shape("b", [[0, 7], [2, 8]], "rectangle", 2),
        size=(9, 11),
    )
    # Of labelme 6.3.1, with the values _background_: 0, a: 1, b: 2; the map of instances was the same.
    expected = """
        00000000000
        01111100000
        01111100000
        01112222200
        01112222200
        00002222200
        00002222200
        22200000000
        22200000000"""
    ground_truth = opened(root).target("a")
    assert ground_truth.semantic.labels.tolist() == [list(map(int, row)) for row in expected.split()]
    assert ground_truth.instances.class_ids.tolist() == [1, 2]


def test_a_rectangle_holds_its_corners_and_parts_of_a_group_are_one_object(tmp_path):
    root = annotated(
        tmp_path,
        shape("cell", [[0, 0], [1, 1]], "rectangle", 1),
        shape("cell", [[4, 4], [5, 5]], "rectangle", 1),
        shape("rod", [[5, 5], [7, 5]], "rectangle"),
    )
    dataset = opened(root)
    ground_truth = dataset.target("a")
    assert [c.name for c in dataset.classes] == ["background", "cell", "rod"]
    assert ground_truth.instances.masks.sum(axis=(1, 2)).tolist() == [8, 3]
    assert np.bincount(ground_truth.semantic.labels.ravel()).tolist() == [48 - 10, 7, 3]


def test_an_image_path_of_another_system_leads_to_the_image_beside(tmp_path):
    root = annotated(tmp_path, shape("cell", [[0, 0], [2, 2]], "rectangle"), image_path="..\\images\\a.png")
    assert opened(root).entry("a").image == root / "a.png"


def test_labels_that_number_objects_of_one_class_are_told_with_the_lines_that_join_them(tmp_path):
    shapes = [shape(label, [[0, 0], [2, 2]], "rectangle") for label in ("cell-1", "cell-2", "x-1", "rod")]
    (note,) = opened(annotated(tmp_path, *shapes)).description.notes
    assert "cell-1, cell-2 are a class each" in note
    assert "labels: {merge: {cell: [cell-1, cell-2]}, rest: keep}" in note


def test_a_missing_image_is_named(tmp_path):
    root = annotated(tmp_path, shape("cell", [[0, 0], [2, 2]], "rectangle"))
    (root / "a.png").unlink()
    with pytest.raises(DatasetError, match=r"a\.json: its image a\.png is not there"):
        opened(root)


def test_images_that_were_not_annotated_are_counted(tmp_path):
    root = annotated(tmp_path, shape("cell", [[0, 0], [2, 2]], "rectangle"))
    Image.new("RGB", (3, 3)).save(root / "b.png")
    assert "1 images without a JSON file are left out" in opened(root).source


def test_a_shape_without_an_area_is_refused_until_its_label_is_ignored(tmp_path):
    root = annotated(tmp_path, shape("p", [[1, 1]], "point"), shape("cell", [[0, 0], [2, 2]], "rectangle"))
    with pytest.raises(DatasetError, match=r"shape 1, p: it cannot be drawn.*ignore_labels"):
        opened(root).target("a")
    dataset = opened(root, ignore_labels=("p",))
    assert [c.name for c in dataset.classes] == ["background", "cell"]
    assert dataset.target("a").instances.masks.sum() == 9


def test_a_label_with_a_typing_error_is_not_a_class(tmp_path):
    root = annotated(tmp_path, shape("cel", [[0, 0], [2, 2]], "rectangle"))
    with pytest.raises(DatasetError, match="Did you mean 'cell'"):
        opened(root, classes=("cell",))


def test_a_json_file_that_names_the_image_of_another_name_is_refused_until_it_is_said_which_counts(tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        annotated(tmp_path, shape(name, [[0, 0], [2, 2]], "rectangle"), name=name, image_path=f"{other}.png")
    with pytest.raises(DatasetError, match=r"2 of 2 JSON files name another image than the one of their own name"):
        opened(tmp_path)
    assert opened(tmp_path, image_by="path").entry("a").image == tmp_path / "b.png"
    assert opened(tmp_path, image_by="name").entry("a").image == tmp_path / "a.png"
