"""What a training reads of a data set, and whose time that is."""

from __future__ import annotations

import threading

from bench.datasets.shapes import Options, open_dataset
from bench.measure import phases
from bench.run.worker.images import LabelledSplit
from tests.bench.builders import make_job


def test_reading_ahead_counts_as_reading_and_what_other_threads_read_beside_the_steps_does_not():
    split = LabelledSplit(open_dataset(Options(train=2)), "train", make_job(kind="train"))
    phases.PHASES.seconds.clear()
    with phases.during("other"):
        beside = threading.Thread(target=split.image, args=(0,))
        beside.start()
        beside.join()
        assert "read" not in phases.PHASES.seconds
        image, labels = split.image(1), split.semantic(1)
    assert image.shape[:2] == labels.shape
    assert phases.PHASES.seconds["read"] > 0
