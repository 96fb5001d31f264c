"""JSON that is nested without end is damage as any other, wherever a file is read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.records.damage import json_of

ROOT = Path(__file__).resolve().parents[3]
ANSWERS = {
    "bench/records/base.py", "bench/run/fork_server.py", "bench/run/worker_parent.py", "bench/run/worker/process.py",
    "bench/run/worker/training_log.py", "bench/run/environments/environment.py",
    "bench/run/environments/interpreters.py", "bench/run/predict/weights_info.py",
    "bench/measure/telemetry.py", "bench/suite/jobs.py", "bench/data/formats/json_stream.py",
    "bench/data/formats/json_values.py",
    "bench/data/formats/coco_index.py", "adapters/_torch/weights_info.py",
}  # fmt: skip
"""Files that read what a process of ours has written for them a moment ago."""


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, b"{", b"\xff", "nul", "9" * 5000])
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own words
        json_of(text)


def test_json_is_what_it_says():
    assert json_of(b'{"a": [1, 2.5, null, "\xc3\xa9"]}') == {"a": [1, 2.5, None, "é"]}


def unguarded(tree: ast.AST, guarded: bool = False) -> Iterator[int]:
    """Lines with a `json.loads` outside of a `try`, or a `suppress`, that minds depth."""
    for node in ast.iter_child_nodes(tree):
        within = guarded
        if isinstance(node, ast.Try):
            within |= any("RecursionError" in ast.dump(handler) for handler in node.handlers)
        if isinstance(node, ast.With):
            within |= "suppress" in ast.dump(node.items[0])
        call = ast.unparse(node) if isinstance(node, ast.Call) else ""
        if call.startswith(("json.loads(", "json.load(")) and "json.dumps(" not in call and not within:
            yield node.lineno
        yield from unguarded(node, within)


def test_no_file_of_others_is_read_as_json_without_a_word_for_depth():
    found = [
        f"{name}:{line}"
        for package in ("bench", "adapters")
        for file in sorted((ROOT / package).rglob("*.py"))
        if (name := file.relative_to(ROOT).as_posix()) not in ANSWERS
        if "json.load" in (source := file.read_text(encoding="utf-8"))
        for line in unguarded(ast.parse(source))
    ]
    assert not found, "read these with bench.records.damage.json_of:\n" + "\n".join(found)
