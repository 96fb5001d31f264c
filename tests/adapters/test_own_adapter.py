"""The adapter that docs/own-adapter.md shows works outside the tree, exactly as it is printed there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bench.adapter import ADAPTERS_VARIABLE, Unsupported, load_adapter, predict
from bench.errors import PluginError
from bench.records import Target
from bench.suite.model_configs import resolve_model
from tests.adapters.rectangles import PANOPTIC, TWO_CLASSES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own-adapter.md"


def printed():
    """File below the folder of adapters -> its text, as the page prints them."""
    blocks = re.findall(r"^`my_adapters/(\S+)`\n\n```\w+\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return dict(blocks)


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A folder of adapters outside the tree; returns what writes a file into it."""
    monkeypatch.setenv(ADAPTERS_VARIABLE, str(tmp_path))

    def write(name, text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    return write


def test_the_printed_adapter_has_at_most_25_lines_and_predicts(outside):
    files = printed()
    assert len(files["bright/adapter.py"].splitlines()) <= 25
    for name, text in files.items():
        outside(name, text)
    adapter = load_adapter("bright")
    adapter.build(resolve_model("bright/plain"), TWO_CLASSES, Target(), None)
    image = np.zeros((2, 3, 3), dtype=np.uint8)
    image[0, 1], image[1, 2] = 101, 99
    (found,) = predict(adapter, [image])
    assert found.labels.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert set(adapter.versions()) == {"python", "numpy"}
    with pytest.raises(Unsupported, match="does not train"):
        adapter.train(None, None, None, None)
    with pytest.raises(Unsupported, match="bright/plain labels pixels"):
        adapter.build(resolve_model("bright/plain"), PANOPTIC, Target(), None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("class Adapter:\n    pass\n", "does not inherit from BaseAdapter.*class Adapter\\(BaseAdapter\\)"),
        ("x = 1\n", "has no class Adapter"),
        (
            "from bench.adapter import BaseAdapter\nclass Adapter(BaseAdapter):\n    def build(self, *_): ...\n",
            "lacks infer, postprocess, preprocess",
        ),
    ],
)
def test_what_is_no_adapter_is_refused_with_what_to_write(outside, text, said):
    outside("odd/adapter.py", text)
    with pytest.raises(PluginError, match=said):
        load_adapter("odd")
