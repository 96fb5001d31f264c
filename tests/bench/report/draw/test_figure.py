"""Files of pictures: written whole, in the place of whatever is there."""

from __future__ import annotations

import os

import pytest
from matplotlib.figure import Figure

from bench.report.draw import figure


@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to("nowhere"), lambda path: path.write_text("x")])
def test_a_picture_takes_the_place_of_a_pipe_a_link_or_a_file(tmp_path, put):
    with figure.also_as(["svg"]):
        figure.save(Figure(figsize=(1, 1)), tmp_path / "right.png")
        for name in ("a.png", "a.svg"):
            put(tmp_path / name)
        figure.save(Figure(figsize=(1, 1)), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "right.png").read_bytes()
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.svg", "right.png", "right.svg"]
