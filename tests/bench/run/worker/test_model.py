"""A job's model is built with the weights that it names, or not at all."""

from __future__ import annotations

import pytest

from bench.adapter import load_adapter
from bench.errors import BenchError
from bench.run.worker.model import built
from tests.bench.builders import make_job, make_model

ADDRESS = "https://example.org/weights.pt"


def test_an_address_is_refused_by_an_adapter_that_would_run_without_it(tmp_path):
    job = make_job(model=make_model(weights=ADDRESS), weights=ADDRESS)
    with pytest.raises(BenchError) as caught:
        built(job, tmp_path)
    assert str(caught.value) == (
        f"fake/perfect: nothing is fetched from '{ADDRESS}' by adapter fake; download the file yourself and set "
        "'weights' to where it lies"
    )


def test_detectron2_fetches_the_weights_of_its_zoo():
    pytest.importorskip("detectron2", reason="detectron2 is not installed; make install")
    assert load_adapter("detectron2").fetches_weights
