from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("detectron2", reason="Detectron2 is not installed; make install")

from adapters.detectron2.labels import LabelSpace
from bench.records import ClassSpec, TaskSpec

THING = (False, True, False, True, True)
"""Sky, person, road, car, dog."""


def space(kind):
    names = ("sky", "person", "road", "car", "dog")
    classes = tuple(ClassSpec(name=n, is_thing=t, colour=(0, 0, 0)) for n, t in zip(names, THING, strict=True))
    return LabelSpace.of(TaskSpec(kind=kind, classes=classes))


@pytest.mark.parametrize("kind", ["semantic", "instance"])
def test_semantic_numbers_are_the_tasks_own_outside_panoptic_tasks(kind):
    labels = np.array([[0, 1, 2], [3, 4, 255]], dtype=np.uint8)
    assert space(kind).semantic.tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(space(kind).semantic_numbers(labels), labels)


def test_a_panoptic_semantic_head_has_all_things_first_and_then_the_stuff():
    labels = np.array([[0, 1, 2], [3, 4, 255]], dtype=np.uint8)
    assert space("panoptic").semantic.tolist() == [-1, 0, 2]
    assert space("panoptic").semantic_numbers(labels).tolist() == [[1, 0, 2], [0, 0, 255]]


@pytest.mark.parametrize("kind", ["semantic", "instance", "panoptic"])
def test_a_label_outside_the_task_is_void(kind):
    assert space(kind).semantic_numbers(np.array([[5, 254, 255]], dtype=np.uint8)).tolist() == [[255, 255, 255]]


@pytest.mark.parametrize("kind", ["instance", "panoptic"])
def test_things_are_numbered_without_gaps_and_found_again(kind):
    numbers = space(kind).thing_numbers(np.array([4, 1, 3, 1]))
    assert numbers.tolist() == [2, 0, 1, 0]
    assert space(kind).things[numbers].tolist() == [4, 1, 3, 1]


def test_the_stuff_of_a_panoptic_map_comes_back_and_things_are_marked():
    labels = np.arange(5, dtype=np.uint8)[None]
    found = space("panoptic").semantic[space("panoptic").semantic_numbers(labels)]
    assert found.tolist() == [[0, -1, 2, -1, -1]]
