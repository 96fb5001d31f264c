"""Networks of squares, exported: the eager answers, at the sizes that an export can hold."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("transformers", reason="transformers is not installed; make install")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; make install")
pytest.importorskip("onnxscript", reason="onnxscript is not installed; make install")

from bench.adapter import load_adapter
from bench.records import Size, Target
from bench.suite.model_configs import resolve_model
from tests.adapters.rectangles import THREE_CLASSES
from tests.adapters.test_contract import images


def built(name, **target):
    adapter = load_adapter("transformers")
    adapter.build(resolve_model(f"transformers/{name}"), THREE_CLASSES, Target(threads=1, **target), None)
    return adapter._chosen


@pytest.mark.slow  # exports of ten seconds each
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("dpt_small", None),
        ("data2vec_small", Size(96, 96)),
        ("clipseg_small", Size(64, 96)),
        ("beit_small", Size(96, 96)),
    ],
)
def test_an_export_answers_as_the_eager_network(name, size, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    exported = built(name, image_size=size, runtime="onnxruntime")
    eager = built(name, image_size=size)  # after the export, which must leave nothing behind
    for shape in (Size(64, 64), Size(80, 50)):
        batch = eager.preprocess(images([shape]))
        expected = eager.infer(batch).logits
        torch.testing.assert_close(exported.infer(batch).logits, expected, atol=1e-3, rtol=1e-3)


def test_an_export_of_clipseg_for_any_size_is_refused_before_anything_runs():
    from adapters.transformers.options import abilities

    model = resolve_model("transformers/clipseg_small")
    (why,) = abilities(model).refusals(Target(runtime="onnxruntime"))
    assert "its export takes inputs of one size, as the side of its grid is a square root" in why
    assert abilities(model).refusals(Target(runtime="onnxruntime", image_size=Size(96, 96))) == []
    assert abilities(model).refusals(Target()) == []
