"""Slices and single images: the scores of groups of images, and what images have in common."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.errors import BenchError
from bench.metric import ImageMetric, load_metric, metric_names
from bench.records import ClassSpec
from bench.records.store.runs import read_run
from bench.report.summary.columns import read_columns
from bench.report.summary.per_image import LISTED, confusion_of, images_of_case, median_latencies
from bench.report.summary.summarise import summarise
from tests.bench.report.conftest import samples

CLASSES = (
    ClassSpec(name="background", colour=(0, 0, 0)),
    ClassSpec(name="disc", is_thing=True, colour=(255, 0, 0)),
    ClassSpec(name="ring", is_thing=True, colour=(0, 255, 0)),
)


def confusion(images: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 50, (images, 3, 4))


@pytest.mark.parametrize("name", ["mean_iou", "dice", "pixel_accuracy", "thing_mean_iou", "recall", "precision"])
def test_a_group_of_images_scores_as_if_there_were_no_others(name):
    metric, counts = load_metric(name), confusion(9, seed=1)
    assert isinstance(metric, ImageMetric)
    groups = np.array([[True] * 9, [True, False, True] * 3, [False] * 8 + [True]])
    expected = [metric.score(counts[chosen], CLASSES, seed=0).value for chosen in groups]
    assert metric.of_groups(counts, CLASSES, groups) == pytest.approx(expected)
    alone = [metric.score(counts[i : i + 1], CLASSES, seed=0).value for i in range(9)]
    assert metric.per_image(counts, CLASSES) == pytest.approx(alone)


@pytest.mark.parametrize(("name", "shape"), [("boundary_iou", (6, 3, 2)), ("panoptic_quality", (6, 3, 4))])
def test_boundaries_and_segments_of_groups_score_as_if_there_were_no_others(name, shape):
    metric, rng = load_metric(name), np.random.default_rng(3)
    statistics = np.sort(rng.integers(1, 20, shape), axis=-1)  # an intersection is no larger than its union
    groups = np.array([[True] * 6, [True, False] * 3])
    expected = [metric.score(statistics[chosen], CLASSES, seed=0).value for chosen in groups]
    assert metric.of_groups(statistics, CLASSES, groups) == pytest.approx(expected)
    alone = [metric.score(statistics[i : i + 1], CLASSES, seed=0).value for i in range(6)]
    assert metric.per_image(statistics, CLASSES) == pytest.approx(alone)


def rows_of_matches() -> np.ndarray:
    """Three images; number, kind (0 image, 1 true, 2 found), class, score, rank, area, matched, ignored."""
    true_positive = (1 << 40) - 1
    return np.array(
        [
            [0, 0, 0, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 500, 0, 0], [0, 2, 1, 0.9, 0, 500, true_positive, 0],
            [1, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 500, 0, 0], [1, 1, 2, 0, 0, 500, 0, 0],
            [1, 2, 1, 0.8, 0, 500, true_positive, 0], [1, 2, 2, 0.7, 0, 500, 0, 0],
            [2, 0, 0, 0, 0, 0, 0, 0],
        ]
    )  # fmt: skip


def test_the_objects_of_an_image_are_told_by_their_f1_and_groups_by_ap():
    metric, rows = load_metric("mask_ap"), rows_of_matches()
    # Only detections from 0.75 on count, where F1 over all is best. Image 0: one object, found. Image 1: two objects
    # and one detection, which is right: 2 * 1 / (1 + 2).
    # Image 2: nothing there and nothing found.
    assert metric.per_image(rows, CLASSES)[:2] == pytest.approx([1.0, 2 / 3])
    assert np.isnan(metric.per_image(rows, CLASSES)[2])
    groups = np.array([[True, True, True], [True, False, False]])
    first = rows[rows[:, 0] == 0]
    expected = [metric.score(rows, CLASSES, seed=0).value, metric.score(first, CLASSES, seed=0).value]
    assert metric.of_groups(rows, CLASSES, groups) == pytest.approx(expected)


OF_WHOLE_SPLITS = {"cityscapes_ap", "error_budget"}
"""What is ranked, or taken apart, over all images together and says nothing about one."""


def test_every_metric_of_ours_tells_single_images_and_groups():
    assert {name for name in metric_names() if not isinstance(load_metric(name), ImageMetric)} == OF_WHOLE_SPLITS


def test_the_latency_of_an_image_is_the_median_of_the_batches_it_was_in():
    one = samples(np.random.default_rng(0), ("a", "b", "c"), infer_ms=4.0)
    medians = median_latencies([one])
    end_to_end = one.clock == 0
    for number, image_id in enumerate(("a", "b", "c")):
        chosen = end_to_end & (one.image_index == number)
        assert medians[image_id] == pytest.approx(np.median(one.total_ns[chosen]) / 1e6)


def test_slices_of_a_run_have_values_and_latencies_and_name_the_worst_with_its_interval(finished):
    summary = summarise(read_run(finished.run))
    (table,) = summary.slices
    present = [one for one in table.slices if one.by == "class present"]
    assert present
    assert all(0 < one.images < 12 for one in present)
    for worst in table.worst:
        values = [one.values[worst.case_id] for one in table.slices if 5 <= one.images < 12]
        assert worst.value == min(value for value in values if value is not None)
        assert worst.low <= worst.value <= worst.high
        assert worst.among == len(values)


def test_columns_of_a_table_make_slices(finished):
    weather = {image_id: "night" if i < 4 else "day" for i, image_id in enumerate(finished.ids)}
    height = {image_id: str(float(i)) for i, image_id in enumerate(finished.ids)}
    run = read_run(finished.run)
    (table,) = summarise(run, {"": {"weather": weather, "height": height}}).slices
    by = {name: [one for one in table.slices if one.by == name] for name in ("weather", "height")}
    assert [(one.name, one.images) for one in by["weather"]] == [("day", 8), ("night", 4)]
    case = images_of_case(run.cases[0], ["mean_iou"])
    counts = case.statistics.arrays["confusion"][:4]
    expected = load_metric("mean_iou").score(counts, finished.task.classes, seed=0).value
    assert by["weather"][1].values[case.case_id] == pytest.approx(expected)
    # Twelve numbers are few enough for a slice each.
    assert len(by["height"]) == 12


def test_many_numbers_are_cut_into_thirds_and_many_words_are_told_to_be_no_slices(finished):
    from bench.report.summary import slices

    values = [str(i) for i in range(99)]
    (thirds,) = slices._by_value("age", values)
    assert [int(members.sum()) for members in thirds.members] == [33, 33, 33]
    assert slices._by_value("name", [f"patient {i}" for i in range(99)]) == []


def test_a_table_is_read_by_ids_and_by_names_of_files(tmp_path):
    file = tmp_path / "meta.csv"
    file.write_text("weather,image\nrain,a.png\nsun,folder/b.jpg\nfog,unknown\n", encoding="utf-8-sig")
    assert read_columns(file, ["a", "b"]) == {"weather": {"a": "rain", "b": "sun"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,weather\na,rain\n", "no column says which image"),
        ("image,weather\nzzz,rain\n", "names none of the 2 images"),
        ("image,weather\na,rain\na.png,sun\n", "lines 2 and 3"),
        (None, "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_what_to_do(tmp_path, text, said):
    file = tmp_path / "meta.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BenchError, match=said):
        read_columns(file, ["a", "b"])


def test_confusions_are_the_counts_of_all_images_with_those_that_feed_each_cell(finished):
    case = images_of_case(read_run(finished.run).cases[1], ["mean_iou"])
    table = confusion_of(case)
    counts = case.statistics.arrays["confusion"]
    assert np.array_equal(np.array(table.counts), counts.sum(axis=0))
    assert 0 < len(table.pairs) <= LISTED
    for pair in table.pairs:
        row, column = table.rows.index(pair.true), table.columns.index(pair.predicted)
        assert row != column
        assert pair.pixels == counts[:, row, column].sum()
        image_id, pixels = pair.images[0]
        assert pixels == counts[:, row, column].max() == counts[case.image_ids.index(image_id), row, column]
    assert [pair.pixels for pair in table.pairs] == sorted((pair.pixels for pair in table.pairs), reverse=True)


def test_of_a_large_label_space_the_matrix_shows_the_largest_classes_and_loses_no_pixel(finished):
    from bench.report.summary import per_image as module

    counts = np.random.default_rng(0).integers(0, 9, (3, 60, 61))
    folded, names = module._folded(counts, [f"class {i}" for i in range(60)])
    assert folded.shape == (3, module.MOST_CLASSES, module.MOST_CLASSES + 1)
    assert names[-1] == module.OTHERS
    assert folded.sum() == counts.sum()
    assert np.array_equal(folded[:, :, -1].sum(), counts[:, :, -1].sum())


def test_a_table_that_the_suite_names_makes_slices_and_one_that_is_gone_makes_a_note(finished, tmp_path):
    file = tmp_path / "meta.csv"
    file.write_text("image,site\n" + "".join(f"{one},{'ab'[i % 2]}\n" for i, one in enumerate(finished.ids)))
    run = read_run(finished.run)
    run = replace(run, plan=run.plan.model_copy(update={"columns": {"shapes": str(file)}}))
    (table,) = summarise(run).slices
    assert [(one.name, one.images) for one in table.slices if one.by == "site"] == [("a", 6), ("b", 6)]
    file.unlink()
    (table,) = summarise(run).slices
    assert not [one for one in table.slices if one.by == "site"]
    assert any("meta.csv cannot be read" in note for note in table.notes)
