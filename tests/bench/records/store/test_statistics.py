"""Statistics of images with as many rows as objects keep their images through disk and re-ordering."""

from __future__ import annotations

import numpy as np

from bench.metric import Rows
from bench.records.store.statistics import Collector, load_statistics, save_statistics

ROWS = {"a": [[1.0, 10.0]], "b": [[2.0, 20.0], [3.0, 30.0]], "c": [[4.0, 40.0]]}


def collected(order):
    collector = Collector(len(order))
    for number, image_id in enumerate(order):
        collector.add("matches", number, Rows(np.array(ROWS[image_id])))
        collector.add("counts", number, np.array([ord(image_id)]))
    return collector.statistics(order)


def test_rows_of_all_images_lie_below_one_another_with_the_number_of_their_image():
    found = collected("abc").arrays["matches"]
    assert found.tolist() == [[0, 1, 10], [1, 2, 20], [1, 3, 30], [2, 4, 40]]


def test_rows_beyond_the_room_that_there_is_keep_those_before_them():
    collector, random = Collector(60), np.random.default_rng(0)
    tables = [random.random((int(count), 3)) for count in random.integers(0, 40, 60)]
    for number, table in enumerate(tables):
        collector.add("matches", number, Rows(table))
    numbers = np.repeat(np.arange(60), [len(table) for table in tables])
    expected = np.column_stack([numbers, np.concatenate(tables)])
    np.testing.assert_array_equal(collector.statistics([str(n) for n in range(60)]).arrays["matches"], expected)


def test_the_images_of_another_order_give_what_that_order_would_have_given():
    for name in ("matches", "counts"):
        for order in ("abc", "cab", "bca"):
            np.testing.assert_array_equal(collected("abc").in_order_of(order, name), collected(order).arrays[name])


def test_tables_come_back_from_disk_as_tables(tmp_path):
    save_statistics(collected("bca"), tmp_path / "case.npz")
    stored = load_statistics(tmp_path / "case.npz")
    assert stored.tables == {"matches"}
    np.testing.assert_array_equal(stored.in_order_of("abc", "matches"), collected("abc").arrays["matches"])


def test_groups_come_back_from_disk(tmp_path):
    collector = Collector(4)
    for number in range(4):
        collector.add("counts", number, np.array([number]))
    save_statistics(collector.statistics("abcd", ["p2", "p1", "p2", "p1"]), tmp_path / "case.npz")
    stored = load_statistics(tmp_path / "case.npz")
    assert stored.groups == ("p2", "p1", "p2", "p1")
    assert stored.arrays.keys() == {"counts"}


def test_images_without_groups_are_each_alone():
    assert collected("bca").groups == ()
