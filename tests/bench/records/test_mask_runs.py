"""Masks as runs: the same as drawn ones, by pycocotools and by pixel."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from bench.records import Size
from bench.records.instances import EncodedInstances, Instances
from bench.records.mask_runs import MaskRuns, lengths_of_texts, run_lengths, texts_of_lengths
from bench.records.predictions import load_prediction, save_prediction
from bench.records.store.prediction_index import AlteredPrediction, load_verified

STACKS = arrays(bool, st.tuples(st.integers(0, 4), st.integers(1, 7), st.integers(1, 8)))


@given(STACKS)
def test_masks_come_back_from_runs_lengths_and_texts_and_have_their_areas(masks):
    runs = MaskRuns.of_masks(masks)
    size = Size(*masks.shape[1:])
    for again in (runs, MaskRuns.of_lengths(*runs.lengths(), size), MaskRuns.of_texts(runs.texts(), size)):
        assert np.array_equal(again.drawn(), masks)
        assert np.array_equal(again.edges, runs.edges)
        assert again.areas.tolist() == masks.sum(axis=(1, 2)).tolist()


@given(STACKS)
def test_texts_are_those_that_pycocotools_writes(masks):
    for mask, text in zip(masks, MaskRuns.of_masks(masks).texts(), strict=True):
        assert coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode() == text


@given(st.lists(st.lists(st.integers(0, 2**40), max_size=9), max_size=5))
def test_numbers_of_any_size_come_back_from_texts(rows):
    lengths, ends = (
        np.array([number for row in rows for number in row], dtype=np.int64),
        np.cumsum([len(row) for row in rows], dtype=np.int64),
    )
    again, its_ends = lengths_of_texts(texts_of_lengths(lengths, ends))
    assert (again.tolist(), its_ends.tolist()) == (lengths.tolist(), ends.tolist())


@given(STACKS, st.randoms())
def test_chosen_and_joined_masks_are_those_of_the_stack(masks, random):
    runs = MaskRuns.of_masks(masks)
    order = np.array([random.randrange(len(masks)) for _ in range(3)] if len(masks) else [], dtype=np.int64)
    assert np.array_equal(runs.chosen(order).drawn(), masks[order])
    kept = np.array([random.random() < 0.5 for _ in masks], dtype=bool)
    assert np.array_equal(runs.chosen(kept).drawn(), masks[kept])
    assert np.array_equal(
        MaskRuns.joined([runs, runs.chosen(order)], runs.size).drawn(), np.concatenate([masks, masks[order]])
    )


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 12)), max_size=8))
def test_intervals_of_a_mask_are_joined_wherever_they_touch_or_overlap(intervals):
    size = Size(3, 4)
    expected = np.zeros((3, 12), dtype=bool)
    for owner, a, b in intervals:
        expected[owner, min(a, b) : max(a, b)] = True
    table = np.array([(o, min(a, b), max(a, b)) for o, a, b in intervals], dtype=np.int64).reshape(-1, 3)
    table = table[np.argsort(table[:, 0], kind="stable")]
    runs = MaskRuns.of_intervals(table[:, 1], table[:, 2], table[:, 0], 3, size)
    assert np.array_equal(runs.drawn(), expected.reshape(3, 4, 3).transpose(0, 2, 1))
    assert np.array_equal(runs.edges, MaskRuns.of_masks(runs.drawn()).edges)


@pytest.mark.parametrize(
    ("lengths", "told"),
    [([5], "fill 5 of 6"), ([7], "a run length is 7"), ([8, -2], "a run length is 8"), ([], "fill 0 of 6")],
)
def test_run_lengths_that_do_not_fill_the_image_are_refused(lengths, told):
    with pytest.raises(ValueError, match=told):
        MaskRuns.of_lengths(np.array(lengths, dtype=np.int64), np.array([len(lengths)]), Size(2, 3))


@pytest.mark.parametrize("text", ["o", "0o", "€", "\x00", "b'0'", "oooooooooooooo0"])
def test_texts_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match=r"damaged|decode\(\)"):
        lengths_of_texts(["06", text])


def both_forms(random: np.random.Generator, count: int) -> tuple[Instances, EncodedInstances]:
    drawn = Instances(
        random.random((count, 6, 9)) < 0.4,
        random.integers(0, 3, count),
        random.random(count).round(3),
        np.zeros(count, dtype=bool),
    )
    return drawn, EncodedInstances(drawn.as_runs(), drawn.class_ids, drawn.scores, drawn.crowd)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_instances_are_the_same_drawn_and_as_runs(count):
    drawn, encoded = both_forms(np.random.default_rng(count), count)
    assert encoded.content_hash() == drawn.content_hash()
    assert encoded.content_hash_of_pixels() == drawn.content_hash_of_pixels()
    assert encoded.size == drawn.size
    assert "masks" not in vars(encoded) or vars(encoded)["masks"] is encoded.masks
    some = np.arange(count)[::-1][: max(0, count - 1)]
    assert encoded.chosen(some).content_hash() == drawn.chosen(some).content_hash()
    assert isinstance(encoded.changed(unchecked=(2,)), EncodedInstances)
    assert encoded.changed(unchecked=(2,)).unchecked == (2,)


def test_nothing_is_drawn_before_it_is_asked_for():
    _, encoded = both_forms(np.random.default_rng(0), 3)
    encoded.chosen(np.array([0])).content_hash()
    encoded.changed(spacing=None)
    assert "masks" not in vars(encoded)


def test_predictions_stored_by_an_earlier_version_are_read_and_verified(tmp_path):
    drawn, _ = both_forms(np.random.default_rng(1), 3)
    rows = [
        {"class_id": int(c), "score": float(s), "crowd": False, "counts": run_lengths(m)}
        for m, c, s in zip(drawn.masks, drawn.class_ids, drawn.scores, strict=True)
    ]
    (tmp_path / "a.json").write_text(json.dumps({"size": [6, 9], "instances": rows}))
    assert np.array_equal(
        load_verified("instance", tmp_path, "a", {"a": drawn.content_hash_of_pixels()}).masks, drawn.masks
    )
    save_prediction(drawn, tmp_path, "b")
    assert load_verified("instance", tmp_path, "b", {"b": drawn.content_hash()}).content_hash() == drawn.content_hash()
    with pytest.raises(AlteredPrediction, match="is not the one that was stored"):
        load_verified("instance", tmp_path, "b", {"b": "0" * 64})
    assert '"counts":"' in (tmp_path / "b.json").read_text()
    assert isinstance(load_prediction("instance", tmp_path, "b"), EncodedInstances)
