"""Contact sheets: classes in their colours, void in none, and headings that cover nothing."""

from __future__ import annotations

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest

from bench.records import ClassSpec
from bench.report.draw import contact_sheet as _contact_sheet
from bench.report.draw.contact_sheet import SheetRow, Tile
from bench.report.draw.figure import STYLE
from tests.bench.report.draw.figures import CLASSES, drawn, sheet_row, sheet_rows


def test_a_model_and_its_target_stand_on_lines_of_their_own_in_a_heading():
    rows = [SheetRow("a", np.zeros((8, 8, 3), np.uint8), Tile(np.zeros((8, 8), np.uint8)), [
        ("ours\ncpu fp32 b1 96x96", Tile(np.zeros((8, 8), np.uint8))),
    ])]  # fmt: skip
    with mpl.rc_context(STYLE):
        figure = _contact_sheet.contact_sheet(rows, classes=CLASSES)
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["image", "ground truth", "ours\ncpu fp32 b1 96x96"]


@pytest.mark.parametrize("models", [2, 12])
def test_sheet_headings_overlap_neither_each_other_nor_the_legend(models):
    rows = sheet_rows(models, name="pytorch/deeplabv3_mobilenet_v3_large")
    with mpl.rc_context(STYLE):
        figure = _contact_sheet.contact_sheet(rows, classes=CLASSES)
    renderer = drawn(figure)
    headings = [axes.texts[0].get_window_extent(renderer) for axes in figure.axes[: models + 2]]
    assert not [pair for pair in combinations(headings, 2) if pair[0].overlaps(pair[1])]
    assert max(box.y1 for box in headings) <= figure.bbox.y1
    legend = figure.legends[0].get_window_extent(renderer)
    assert not [axes for axes in figure.axes if axes.get_window_extent(renderer).overlaps(legend)]
    assert legend.width < figure.bbox.width


def test_a_sheet_shows_classes_in_their_colours_and_void_in_none_of_them():
    row = sheet_row("a", 64, 64, 1)
    painted = _contact_sheet.painted_map(row.ground_truth, CLASSES)
    for label, spec in enumerate(CLASSES):
        assert (painted[row.ground_truth.labels == label] == spec.colour).all()
    void = {tuple(rgb) for rgb in painted[row.ground_truth.labels == 255].tolist()}
    assert void == {(255, 255, 255), (150, 150, 150)}


def test_a_white_class_has_no_stripes():
    white = ClassSpec(name="white", colour=(255, 255, 255))
    painted = _contact_sheet.painted_map(Tile(np.zeros((40, 40), np.uint8)), [white])
    assert (painted == 255).all()


def test_outlines_are_drawn_dark_over_the_colours():
    rim = np.zeros((40, 40), bool)
    rim[5, 5:9] = True
    painted = _contact_sheet.painted_map(Tile(np.zeros((40, 40), np.uint8), rim), CLASSES)
    assert (painted[rim] == _contact_sheet.OUTLINE).all()
    assert (painted[~rim] == CLASSES[0].colour).all()


def test_a_missing_prediction_is_told_in_its_tile():
    row = sheet_row("a", 64, 64, 2)
    row = SheetRow(row.image_id, row.image, row.ground_truth, [("one", row.ground_truth), ("two", None)])
    with mpl.rc_context(STYLE):
        figure = _contact_sheet.contact_sheet([row], classes=CLASSES)
    assert [len(axes.images) for axes in figure.axes] == [1, 1, 1, 0]
    assert any(text.get_text() == "no\nprediction" for text in figure.axes[3].texts)


def test_a_row_of_a_large_image_keeps_labels_objects_and_rims_in_the_pixels_that_are_shown():
    labels = np.zeros((900, 1600), np.uint8)
    labels[:, 800:] = 3
    rims = np.zeros(labels.shape, bool)
    rims[:, 801] = True
    tile = Tile(labels, rims, (labels > 0).astype(np.int32), np.array([3]))
    image = np.dstack([labels * 50] * 3)
    row = SheetRow("a", image, tile, [("one", tile), ("two", None)]).shrunk()
    assert row.image.shape == (225, 400, 3)
    for found in (row.ground_truth, row.predictions[0][1]):
        assert found.labels.tolist() == [[0] * 200 + [3] * 200] * 225
        assert (found.objects == (found.labels > 0)).all()
        assert found.outlines[:, 200].all()
        assert found.outlines.sum() == 225
    assert row.predictions[1][1] is None


def test_a_row_of_a_small_image_is_left_as_it_is():
    row = sheet_row("a", 300, 400, 1)
    assert row.shrunk() is row


def test_of_many_classes_those_that_occur_are_listed():
    classes = [ClassSpec(name=f"class {n}", colour=(n, n, n)) for n in range(80)]
    labels = np.zeros((8, 8), np.uint8)
    labels[0], labels[1] = 41, 255
    row = SheetRow("a", np.zeros((8, 8, 3), np.uint8), Tile(labels), [("one", Tile(labels + 7)), ("two", None)])
    with mpl.rc_context(STYLE):
        figure = _contact_sheet.contact_sheet([row], classes=classes)
    listed = [text.get_text() for text in figure.legends[0].get_texts()]
    assert listed == ["class 0", "class 6", "class 7", "class 41", "class 48", "void, no class"]
