"""Predictions that lie in one piece of memory are refused by the rule that they break."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import ShapeError
from bench.measure.outputs import checked, refuse_overwritten
from bench.records import ClassSpec, TaskSpec
from bench.records.predictions import SemanticMap


class Named:
    """What of a job is read."""

    label = "own/buffer"


class JobOfTwoClasses:
    model = Named()
    task = TaskSpec(kind="semantic", classes=tuple(ClassSpec(name=n, colour=(0, 0, 0)) for n in "ab"))


IMAGES = [np.zeros((4, 6, 3), np.uint8), np.ones((4, 6, 3), np.uint8)]


def test_one_buffer_for_the_images_of_a_batch_is_refused():
    buffer = np.zeros((4, 6), np.uint8)
    with pytest.raises(ShapeError, match=r"one piece of memory for the images 'x' and 'y' .*rule 7"):
        checked([SemanticMap(buffer), SemanticMap(buffer[:])], IMAGES, ["x", "y"], JobOfTwoClasses())


def test_rows_of_one_array_are_taken_also_where_they_interleave():
    rows, planes = np.zeros((2, 4, 6), np.uint8), np.zeros((4, 6, 2), np.uint8)
    for batch in ([rows[0], rows[1]], [planes[..., 0], planes[..., 1]]):
        assert len(checked([SemanticMap(labels) for labels in batch], IMAGES, ["x", "y"], JobOfTwoClasses())) == 2


def test_a_buffer_that_a_later_call_writes_again_is_refused():
    buffer = np.zeros((4, 6), np.uint8)
    with pytest.raises(ShapeError, match=r"in the memory of those of the call before.*rule 7"):
        refuse_overwritten([SemanticMap(buffer)], [SemanticMap(buffer)], IMAGES[:1], JobOfTwoClasses())
    refuse_overwritten([SemanticMap(buffer)], [SemanticMap(buffer.copy())], IMAGES[:1], JobOfTwoClasses())
