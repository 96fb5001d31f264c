"""Values of a JSON file, by the fast decoder or the slow one, are those of Python's own; repeated names are refused."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from bench.data.formats.json_stream import FileState, JsonStream
from bench.errors import DatasetError


def value(source: random.Random, depth: int = 0):
    """Draw a value such as rows of results and annotations hold, odd ones among them."""
    # Beyond 64 bits an integer stays one in an object of the list itself, where ids stand, and nowhere else.
    kinds = ["int", "float", "text", "nan"] + (["list", "object"] if depth < 3 else []) + ["large"] * (depth == 0)
    kind = source.choice(kinds)
    if kind == "object":
        return {text(source): value(source, depth + 1) for _ in range(source.randrange(4))}
    if kind == "list":
        return [value(source, depth + 1) for _ in range(source.randrange(4))]
    numbers = {
        "int": source.randrange(-9, 10**6),
        "float": source.uniform(-1, 1e6),
        "large": 10 ** source.randrange(15, 30),
    }
    return text(source) if kind == "text" else numbers.get(kind, float("nan"))


def text(source: random.Random) -> str:
    return "".join(source.choices('ab":, }{[]\\é\n☃', k=source.randrange(6)))


def rows_of(path, method: str) -> list:
    with JsonStream(path) as stream:
        found = list(getattr(stream, method)())
    return [row for rows in found for row in rows] if method == "stretches" else found


def same(found, expected) -> bool:
    """Whether two values are the same to the type, as `repr` tells, nan included."""
    return repr(found) == repr(expected)


@pytest.mark.parametrize("seed", range(60))
def test_values_are_those_of_pythons_decoder_whatever_stands_in_them(tmp_path, seed):
    source = random.Random(seed)
    rows = [{"image_id": 1, "counts": text(source), **value_of_object(source)} for _ in range(source.randrange(1, 9))]
    separators = source.choice([(",", ":"), (", ", ": "), (" ,\n", " : "), (",", "\t:")])
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows, ensure_ascii=source.random() < 0.5, separators=separators), encoding="utf-8")
    assert same(rows_of(path, "stretches"), rows)
    placed = rows_of(path, "elements")
    assert same([one.value for one in placed], rows)
    where = [np.array([getattr(one, name) for one in placed], dtype=np.int64) for name in ("offset", "length")]
    assert same(FileState.of(path).rows(*where), rows)
    backwards = FileState.of(path).rows(where[0][::-1], where[1][::-1])
    assert same(backwards, rows[::-1])


def value_of_object(source: random.Random) -> dict:
    return {text(source) or "x": value(source) for _ in range(source.randrange(4))}


@pytest.mark.parametrize(
    "row", ['{"a": 1, "a": 2}', '{"a" : 1, "b": 2, "b": 3}', '{"x:": 1, "b": {"c": 2, "c": ": \\":"}}']
)
@pytest.mark.parametrize("method", ["stretches", "elements"])
def test_a_name_that_stands_twice_is_refused(tmp_path, row, method):
    path = tmp_path / "rows.json"
    path.write_text(f'[{{"a": 1}}, {row}, {{"a": ":"}}]')
    with pytest.raises(DatasetError):
        rows_of(path, method)


def test_an_integer_of_more_than_64_bits_stays_what_it_is(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text('[{"image_id": 18446744073709551617, "score": 0.5}, {"image_id": 2}]')
    assert rows_of(path, "stretches")[0]["image_id"] == rows_of(path, "elements")[0].value["image_id"] == 2**64 + 1
