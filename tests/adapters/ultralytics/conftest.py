"""One training of each kind, shared by the modules."""

from __future__ import annotations

import pytest

from tests.adapters.rectangles import Recorder


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Return the result of a training by kind; the network of instances finds red and green on every processor."""
    from tests.adapters.ultralytics import yolo

    plans = {
        "instance": yolo.recipe(100, learning_rate=0.01, warmup_fraction=0.1, validate_every=None),
        "semantic": yolo.recipe(60, learning_rate=0.01, validate_every=None),
    }
    done = {}

    def train(kind):
        if kind not in done:
            out = tmp_path_factory.mktemp(kind)
            done[kind] = yolo.built(kind).train(yolo.scenes(kind, train=24), plans[kind], out, Recorder())
            if kind == "instance":
                yolo.make_sure_of_itself(done[kind].weights)
        return done[kind]

    return train
