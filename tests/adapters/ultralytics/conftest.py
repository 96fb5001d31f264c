"""One training of each kind, shared by the modules."""

from __future__ import annotations

import pytest

from tests.adapters.rectangles import Recorder


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Return the result of a training that finds red and green, by kind.

    After half of the steps, what it finds hangs on the order in which the processor at hand adds up.
    """
    from tests.adapters.ultralytics import yolo

    plans = {
        "instance": yolo.recipe(200, learning_rate=0.01, warmup_fraction=0.1, validate_every=None),
        "semantic": yolo.recipe(60, learning_rate=0.01, validate_every=None),
    }
    done = {}

    def train(kind):
        if kind not in done:
            out = tmp_path_factory.mktemp(kind)
            done[kind] = yolo.built(kind).train(yolo.scenes(kind, train=24), plans[kind], out, Recorder())
        return done[kind]

    return train
