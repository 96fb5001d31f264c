"""Pictures are equal byte by byte, nothing in them covers anything else, and gaps are told, not drawn."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations

import cv2
import matplotlib as mpl
import numpy as np
import pytest

from bench.records.png import read_png
from bench.report.draw.accuracy_latency import AccuracyPoint, Anchor, Box, accuracy_latency, place
from bench.report.draw.contact_sheet import contact_sheet
from bench.report.draw.figure import STYLE, draw
from bench.report.draw.stage_times import StageBar, stage_times
from bench.report.draw.training_curves import (
    BudgetPoint,
    Curve,
    Series,
    accuracy_budget,
    smoothed,
    training_curve,
    training_curves,
)
from tests.bench.report.draw.figures import CLASSES, drawn, sheet_rows

AXES = {"score_label": "mean IoU (0–1)", "latency_label": "latency (ms per image)"}


def point(label, score, latency_ms, *, front=False, interval=True, group=""):
    low_high = (score - 0.01, score + 0.02, latency_ms * 0.97, latency_ms * 1.04) if interval else (None,) * 4
    return AccuracyPoint(label, score, *low_high[:2], latency_ms, *low_high[2:], front, group)


def near_identical(count, *, name="model/variant"):
    return [point(f"{name}_{i}", 0.8 + 1e-4 * i, 20 + 0.01 * i, front=i == count - 1) for i in range(count)]


def bar(label, preprocess_ms, infer_ms, postprocess_ms, end_to_end_ms, decode_ms=None):
    stages = {"preprocess": preprocess_ms, "infer": infer_ms, "postprocess": postprocess_ms, "decode": decode_ms}
    return StageBar(label, stages, end_to_end_ms)


def curve(label, steps=200):
    seconds = np.linspace(0.1, 30, steps)
    loss = 2 * np.exp(-seconds / 9) + 0.2
    validated = Series([10.0, 20.0, 30.0], [800, 1600, 2400], [0.3, 0.5, 0.6])
    return Curve(
        label,
        Series(seconds.tolist(), (80 * seconds).tolist(), loss.tolist()),
        validated,
        validated,
        score_name="mIoU",
        kept=(30.0, 2400),
    )


def budget_point(label, number):
    way = Series([10.0, 20.0], [800, 1600], [0.4, 0.5 + 0.01 * number])
    return BudgetPoint(label, 30.0 + number, 2400 + 100 * number, 0.6, 0.55, 0.64, way)


DRAW = {
    "accuracy_latency": lambda path, n: draw(path, accuracy_latency, near_identical(n), **AXES),
    "stage_times": lambda path, n: draw(path, stage_times, [bar(f"m{i}", 1.0, 9.0 + i, 0.4, 11.0) for i in range(n)]),
    "training_curves": lambda path, n: draw(path, training_curves, [curve(f"m{i}") for i in range(n)]),
    "training_curve": lambda path, n: draw(path, training_curve, curve("m" * 8 * n)),
    "accuracy_budget": lambda path, n: draw(
        path, accuracy_budget, [budget_point(f"m{i}", i) for i in range(n)], score_label="mIoU (0–1)"
    ),
    "contact_sheet": lambda path, n: draw(path, contact_sheet, sheet_rows(n), classes=CLASSES),
}  # fmt: skip


def accuracy_figure(points, **options):
    with mpl.rc_context(STYLE):
        return accuracy_latency(points, score_label="score", latency_label="ms", **options)


def label_boxes(figure):
    renderer = drawn(figure)
    return [mpl.text.Text.get_window_extent(text, renderer) for text in figure.axes[0].texts]


@pytest.mark.few(3)
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("models", [*(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2)), 12])
@pytest.mark.parametrize("name", DRAW)
def test_a_picture_is_a_large_png_with_many_colours(tmp_path, name, models):
    DRAW[name](tmp_path / "new" / "a.png", models)
    pixels = read_png(tmp_path / "new" / "a.png")
    pixels = cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR) if pixels.shape[2] == 4 else pixels
    assert min(pixels.shape[:2]) >= 250
    assert len(np.unique(pixels.astype(np.int32) @ (1, 256, 65536))) > 20
    assert (pixels[0] == 255).all()  # nothing is cut off at the upper edge


@pytest.mark.few(2)
@pytest.mark.parametrize("name", DRAW)
def test_equal_input_gives_equal_bytes(tmp_path, name):
    DRAW[name](tmp_path / "a.png", 3)
    DRAW[name](tmp_path / "b.png", 3)
    first = (tmp_path / "a.png").read_bytes()
    assert first == (tmp_path / "b.png").read_bytes()
    assert b"tEXt" not in first  # neither a date nor a version


@pytest.mark.parametrize(("count", "name"), [(2, "unet"), (5, "model/variant"), (8, "model/variant"), (12, "long")])
def test_names_of_near_identical_points_cover_neither_each_other_nor_the_frame(count, name):
    figure = accuracy_figure(near_identical(count, name=name))
    boxes = label_boxes(figure)
    assert len(boxes) == count
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    frame = figure.axes[0].get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in boxes)


def test_names_do_not_cover_markers():
    points = [point(f"model {i}", 0.5 + 0.004 * i, 10 + 0.3 * (i % 3)) for i in range(7)]
    figure = accuracy_figure(points)
    axes = figure.axes[0]
    boxes = label_boxes(figure)
    centres = [axes.transData.transform((p.latency_ms, p.score)) for p in points]
    assert not [(box, x) for box in boxes for x, y in centres if box.x0 < x < box.x1 and box.y0 < y < box.y1]


def test_many_or_long_names_are_numbers_with_a_legend_outside_the_axes():
    points = [point("a name that is longer than fits beside a point", 0.7, 10.0), point("b", 0.6, 12.0)]
    figure = accuracy_figure(points)
    renderer = drawn(figure)
    assert [text.get_text() for text in figure.axes[0].texts] == ["1", "2"]
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()][:2] == [f"{i}  {p.label}" for i, p in enumerate(points, 1)]
    assert not legend.get_window_extent(renderer).overlaps(figure.axes[0].get_window_extent(renderer))


@pytest.mark.parametrize(("slowest", "scale"), [(79.0, "linear"), (81.0, "log")])
def test_latencies_more_than_eight_times_apart_get_a_logarithmic_axis(slowest, scale):
    figure = accuracy_figure([point("fast", 0.5, 10.0), point("slow", 0.6, slowest)])
    assert figure.axes[0].get_xscale() == scale


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_the_front_runs_in_steps_through_its_points_and_ends_at_the_right_edge(higher_is_better):
    sign = 1 if higher_is_better else -1
    points = [point("a", 0.5, 10, front=True), point("b", 0.5 + sign * 0.2, 20, front=True), point("c", 0.5, 30)]
    axes = accuracy_figure(points, higher_is_better=higher_is_better).axes[0]
    (front,) = [one for one in axes.lines if one.get_linestyle() == "--"]
    corners = list(zip(*(values.tolist() for values in front.get_data()), strict=True))
    # the score of a holds until b is reached, then that of b up to the edge
    assert [c for i, c in enumerate(corners) if i == 0 or c != corners[i - 1]] == [
        (10, axes.get_ylim()[0 if higher_is_better else 1]),
        (10, 0.5),
        (20, 0.5),
        (20, points[1].score),
        (axes.get_xlim()[1], points[1].score),
    ]


def test_every_group_has_a_front_of_its_own():
    points = [point("a", 0.5, 10, front=True, group="cpu"), point("b", 0.4, 2, front=True, group="cuda")]
    axes = accuracy_figure(points).axes[0]
    assert sum(one.get_linestyle() == "--" for one in axes.lines) == 2


def test_points_without_interval_or_number_are_drawn_without_it_or_left_out(tmp_path):
    points = [point("a", 0.5, 10, interval=False), point("b", float("nan"), 10), point("c", 0.4, float("inf"))]
    assert [text.get_text() for text in accuracy_figure(points).axes[0].texts] == ["a"]
    draw(tmp_path / "empty.png", accuracy_latency, points[1:], **AXES)
    assert (tmp_path / "empty.png").is_file()


def test_stage_values_that_are_unknown_are_told_as_a_dash():
    with mpl.rc_context(STYLE):
        figure = stage_times([bar("a", None, 12.34, 0.5, None), bar("b", 1.0, 2.0, 3.0, 7.0)])
    axes, table = figure.axes
    told = [text.get_text() for text in table.texts]
    assert told[4:8] == ["–", "12.3", "0.500", "–"]
    assert axes.lines[0].get_xdata().tolist() == [7.0]  # one marker: the other has no end to end
    assert [patch.get_width() for patch in axes.containers[0]] == [0.0, 1.0]


def test_decoding_is_the_first_segment_where_any_model_is_timed_from_files():
    with mpl.rc_context(STYLE):
        figure = stage_times([bar("a", 1.0, 2.0, 3.0, 7.5, 1.5), bar("b", 1.0, 2.0, 3.0, 6.0)])
    axes, table = figure.axes
    assert [text.get_text() for text in table.texts[:5]] == [
        "decode",
        "preprocess",
        "infer",
        "postprocess",
        "end to end",
    ]
    assert [patch.get_width() for patch in axes.containers[0]] == [1.5, 0.0]
    assert [patch.get_x() for patch in axes.containers[1]] == [1.5, 0.0]


@pytest.mark.parametrize("decode", [(), (1234.5,)])
def test_the_numbers_and_headings_beside_the_bars_do_not_overlap(decode):
    name = "a rather long name of model number"
    bars = [bar(f"{name} {i}", 1234.5, 0.0123, 1234.5, 99999.0, *decode) for i in range(12)]
    with mpl.rc_context(STYLE):
        figure = stage_times(bars)
    renderer = drawn(figure)
    boxes = [text.get_window_extent(renderer) for text in figure.axes[1].texts]
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    assert max(box.x1 for box in boxes) <= figure.bbox.x1


def overlaid(curves):
    with mpl.rc_context(STYLE):
        return training_curves(curves)


def test_losses_that_are_missing_or_not_finite_are_left_out():
    loss = Series([1.0, 2.0, 3.0, 4.0], [8, 16, 24, 32], [2.0, None, float("nan"), 1.0])
    figure = overlaid([Curve("a", loss, score_name="mIoU", val_score=Series([2.0, 4.0], [16, 32], [None, 0.5]))])
    loss_by_s, loss_by_images, iou_by_s, iou_by_images = figure.axes
    assert loss_by_s.lines[0].get_xydata().tolist() == [[1.0, 2.0], [4.0, 1.0]]
    assert loss_by_images.lines[0].get_xydata().tolist() == [[8.0, 2.0], [32.0, 1.0]]
    assert iou_by_s.lines[0].get_xydata().tolist() == [[4.0, 0.5]]
    assert iou_by_images.lines[0].get_xydata().tolist() == [[32.0, 0.5]]


def test_a_training_without_any_validation_is_drawn_without_an_empty_panel_and_says_so(tmp_path):
    one = Curve("a", Series([1.0], [8], [0.5]))
    draw(tmp_path / "a.png", training_curves, [one])
    assert (tmp_path / "a.png").stat().st_size > 5000
    assert len(overlaid([one]).axes) == 2
    with mpl.rc_context(STYLE):
        figure = training_curve(one)
    assert len(figure.axes) == 2
    assert figure.get_suptitle() == "a (no score was validated)"


def test_each_validated_quantity_has_panels_of_its_own():
    way = Series([1.0], [8], [0.5])
    curves = [
        Curve(label, way, val_score=way, score_name=name)
        for label, name in (("a", "mask AP"), ("b", "mIoU"), ("c", "mask AP"))
    ]
    figure = overlaid([*curves, Curve("d", way)])
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["loss", "mask AP (0–1)", "mIoU (0–1)"]
    assert [len(axes.lines) for axes in figure.axes[2::2]] == [2, 1]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c", "d"]


def test_no_marker_is_cut_in_half_at_the_right_edge():
    # equal budgets end within a tenth of a second of each other
    points = [BudgetPoint(f"m{i}", 30.0 + 0.05 * i, 2400, 0.6, None, None) for i in range(3)]
    with mpl.rc_context(STYLE):
        figure = accuracy_budget(points, score_label="mIoU")
    renderer = drawn(figure)
    for axes, last in zip(figure.axes, (30.1, 2400), strict=True):
        pixels = axes.transData.transform((last, 0.6))[0]
        assert axes.get_window_extent(renderer).x1 - pixels > 8 * figure.dpi / 72 / 2  # half a marker of 8 points


def test_the_loss_is_averaged_over_the_stated_share_of_steps():
    values = np.random.default_rng(0).random(500)
    # 2 % of 500 steps are 10: five before and five after
    expected = [values[max(0, i - 5) : i + 6].mean() for i in range(500)]
    assert smoothed(values) == pytest.approx(expected)
    assert smoothed(values[:50]).tolist() == values[:50].tolist()


def test_models_differ_by_more_than_colour():
    iou = overlaid([curve(f"m{i}") for i in range(12)]).axes[2]
    assert len({one.get_marker() for one in iou.lines}) == 12
    assert len({(one.get_color(), str(one._dash_pattern)) for one in iou.lines}) == 12


@pytest.mark.parametrize(("largest", "scale"), [(29.0, "linear"), (31.0, "log")])
def test_losses_more_than_thirty_times_apart_get_a_logarithmic_axis(largest, scale):
    figure = overlaid([Curve("a", Series([1.0, 2.0], [8, 16], [largest, 1.0]))])
    assert [axes.get_yscale() for axes in figure.axes] == [scale, scale]


def test_a_model_alone_shows_training_and_validation_and_which_weights_are_kept():
    with mpl.rc_context(STYLE):
        figure = training_curve(curve("a"))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "training, averaged", "validation", "weights that are kept",
    ]  # fmt: skip
    kept = [[one.get_xdata()[0] for one in axes.lines if one.get_linestyle() == ":"] for axes in figure.axes]
    assert kept == [[30.0], [2400], [30.0], [2400]]


@pytest.mark.parametrize("models", [1, 12])
def test_the_legend_of_curves_lies_outside_the_axes(models):
    figure = overlaid([curve(f"detectron2/a_rather_long_name_{i}") for i in range(models)])
    renderer = drawn(figure)
    legend = figure.legends[0].get_window_extent(renderer)
    assert not [axes for axes in figure.axes if axes.get_window_extent(renderer).overlaps(legend)]
    assert legend.width < figure.bbox.width


def test_every_model_stands_at_what_its_training_took():
    with mpl.rc_context(STYLE):
        figure = accuracy_budget([budget_point("a", 0), budget_point("b", 3)], score_label="mIoU")
    found = [[float(bar.lines[0].get_xdata()[0]) for bar in axes.containers] for axes in figure.axes]
    assert found == [[30.0, 33.0], [2400.0, 2700.0]]


def test_a_score_without_interval_is_drawn_without_it(tmp_path):
    alone = BudgetPoint("a", 30.0, 2400, 0.6, None, None)
    with mpl.rc_context(STYLE):
        figure = accuracy_budget([alone], score_label="mIoU")
    assert [bar.has_yerr for bar in figure.axes[0].containers] == [False]
    assert "validation" not in figure.axes[0].get_title()


def test_placed_labels_stay_in_the_frame_and_apart_even_in_a_corner():
    anchors = [Anchor(5, 5, 60, 12) for _ in range(4)]
    boxes = place(anchors, frame=Box(0, 0, 300, 200), radius=6, lines=[])
    assert all(box.within(Box(0, 0, 300, 200)) for box in boxes)
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]


def test_importing_the_plots_does_not_import_matplotlib():
    names = {*DRAW, "curves", "recipes"} - {"training_curve", "accuracy_budget"}  # which lie beside others
    modules = ", ".join(f"bench.report.draw.{name}" for name in sorted(names))
    program = f"import sys, {modules}; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_difference_of_a_thousandth_does_not_fill_the_axis():
    flat = Series([1.0, 2.0], [8, 16], [0.876, 0.877])
    figure = overlaid([Curve("a", Series([1.0], [8], [1.0]), val_score=flat, score_name="mIoU")])
    low, high = figure.axes[2].get_ylim()
    assert high - low == pytest.approx(0.05)
    assert (low + high) / 2 == pytest.approx(0.8765)
