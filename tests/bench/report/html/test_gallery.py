"""The small pictures: which pixels are errors of which kind, and which images are chosen."""

from __future__ import annotations

import numpy as np
import pytest

from bench.records import ClassSpec
from bench.records.store.runs import read_run
from bench.report.draw.contact_sheet import Tile
from bench.report.facts import facts_of
from bench.report.html.gallery import (
    CONFUSED,
    EXTRA,
    MISSED,
    SIDE,
    chosen_images,
    error_map,
    further_images,
    small,
    small_tile,
)
from bench.report.summary.summarise import summarise

WITH_BACKGROUND = tuple(ClassSpec(name=name, colour=(1, 2, 3)) for name in ("background", "disc", "ring"))
STUFF = tuple(ClassSpec(name=name, colour=(1, 2, 3)) for name in ("sky", "ground", "water"))
VOID = 255

TRUTH = np.array([[0, 1, 1, 2, 0, VOID]], dtype=np.uint8)
PREDICTED = np.array([[0, 0, 2, VOID, 1, 1]], dtype=np.uint8)
# right, missed, confused, missed, extra, not judged


def kinds(classes) -> tuple[list[str], float]:
    painted, wrong = error_map(np.full((1, 6, 3), 200, dtype=np.uint8), TRUTH, PREDICTED, classes)
    names = {MISSED: "missed", EXTRA: "extra", CONFUSED: "confused", (60, 60, 60): "void"}
    return [names.get(tuple(int(v) for v in pixel), "right") for pixel in painted[0]], wrong


def test_an_object_that_is_not_found_one_where_there_is_none_and_another_class_are_told_apart():
    assert kinds(WITH_BACKGROUND) == (["right", "missed", "confused", "missed", "extra", "void"], 4 / 5)


def test_without_a_background_only_pixels_of_no_class_are_missed():
    assert kinds(STUFF) == (["right", "confused", "confused", "missed", "confused", "void"], 4 / 5)


def test_an_image_of_which_nothing_is_judged_has_no_share_of_wrong_pixels():
    void = np.full((2, 2), VOID, dtype=np.uint8)
    assert error_map(np.zeros((2, 2, 3), dtype=np.uint8), void, np.zeros_like(void), STUFF)[1] is None


@pytest.mark.parametrize("shape", [(1000, 500), (20, 3000), (10, 10)])
def test_small_pictures_keep_their_shape_and_label_maps_their_labels(shape):
    labels = np.random.default_rng(0).choice([3, 200], shape).astype(np.uint8)
    reduced = small(labels, smooth=False)
    assert max(reduced.shape) == min(SIDE, max(shape))
    assert set(np.unique(reduced)) <= {3, 200}


def test_rims_of_objects_are_drawn_in_the_small_picture():
    objects = np.zeros((1000, 1000), dtype=np.int32)
    objects[200:700, 300:800] = 1
    tile = small_tile(Tile((objects > 0).astype(np.uint8), objects > 5, objects, np.array([1])))
    assert tile.outlines.any(axis=0).sum() > 100  # a rim of one pixel of the large picture would be lost


def test_images_are_chosen_for_disagreement_and_for_being_the_worst_of_a_model(finished):
    run = read_run(finished.run)
    facts = facts_of(run, summarise(run))
    better, faster = facts.images
    chosen = chosen_images(facts.images, facts, most=6)
    assert len(chosen) == 6
    differ = np.abs(better.scores["mean_iou"] - faster.scores["mean_iou"])
    assert "models disagree" in chosen[better.image_ids[int(differ.argmax())]]
    for case in (better, faster):
        worst = case.image_ids[int(np.nanargmin(case.scores["mean_iou"]))]
        assert f"among the worst of {facts.name_of[case.case_id]}" in chosen[worst]


def test_each_image_that_a_list_names_is_shown_under_the_models_it_names_until_pictures_run_out(finished):
    run = read_run(finished.run)
    facts = facts_of(run, summarise(run))
    better, faster = facts.images
    ahead = better.scores["mean_iou"] - faster.scores["mean_iou"]
    every = {one.image_id: one for one in further_images(facts.images, facts, (), pictures=1000)}
    names = [facts.name_of[case.case_id] for case in facts.images]
    for image in np.argsort(-ahead, kind="stable")[:8]:
        if ahead[image] > 0:
            assert f"{names[0]} beats {names[1]}" in every[better.image_ids[image]].why
    for case, name in zip(facts.images, names, strict=True):
        for image in np.argsort(case.scores["mean_iou"], kind="stable")[:5]:
            one = every[case.image_ids[image]]
            assert f"among the worst of {name}" in one.why
            assert case.case_id in one.case_ids
    shown = next(iter(every))
    assert shown not in {one.image_id for one in further_images(facts.images, facts, [shown], pictures=1000)}
    few = further_images(facts.images, facts, (), pictures=13)
    assert sum(2 + 2 * len(one.case_ids) for one in few) <= 13
    assert few[0].image_id == shown


def test_of_too_many_images_those_with_the_largest_distances_are_kept_as_the_worst(monkeypatch):
    from types import SimpleNamespace

    from bench.records.store.statistics import Statistics
    from bench.report.html import images
    from bench.report.summary.per_image import CaseImages

    monkeypatch.setattr(images, "MOST_VALUES", 1)  # the least that is kept is 100
    ids = tuple(f"{number:03d}" for number in range(150))
    distances = np.random.default_rng(0).permutation(150).astype(np.float64)
    view = SimpleNamespace(case=SimpleNamespace(id="a"))
    case = CaseImages(view, Statistics(ids, {}), {"hd95": distances}, np.full(150, np.nan))
    shown = images._data("data", [case], SimpleNamespace(name_of={"a": "model"}), {})
    assert len(shown["ids"]) == 100
    assert {int(i) for i in shown["ids"]} == set(np.argsort(-distances)[:100].tolist())
    assert shown["quantities"][0]["label"] == "HD95"


def test_images_of_objects_are_listed_by_what_the_metric_says_of_one_image():
    from bench.report.html.images import _label

    assert _label("mask_ap") == "object F1"
    assert _label("count_error") != "object F1"
