"""What files of code say is parsed once for all processes, and again where a file or what was kept has changed."""

from __future__ import annotations

import sys

import pytest

from bench.records.store import code


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The file that keeps what was parsed, of this test alone."""
    monkeypatch.setattr(code, "_kept_in", lambda: tmp_path / "kept" / "code.json")
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    in_another_process()
    yield tmp_path / "kept" / "code.json"
    in_another_process()


def in_another_process():
    for known in (code._known, code._parsed, code._parsed_source):
        known.cache_clear()
    code._FURTHER.clear()


def written(tmp_path, text):
    file = tmp_path / "bench" / "metrics" / "mine.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def digits(tmp_path):
    return code.code_behind(["bench.metrics.mine"], tmp_path)["bench/metrics/mine.py"]


def test_another_process_parses_nothing_again_until_a_file_changes(tmp_path, kept, monkeypatch):
    file = written(tmp_path, "import bench.metric\nx = 1  # a number\n")
    first, imports = digits(tmp_path), code.imported(file, tmp_path)
    in_another_process()
    with monkeypatch.context() as parsing:
        parsing.setattr(code, "_parsed_source", lambda source: pytest.fail("parsed again"))
        assert code.content_of(file) == first
        assert code.imported(file, tmp_path) == imports == ("bench.metric",)
    written(tmp_path, "import bench.metric\nx = 2  # a number\n")
    in_another_process()
    assert code.content_of(file) != first


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"by": 1}', b'{"by": null, "files": {}}', b"\xff"])
def test_what_was_kept_and_is_damaged_is_made_anew(tmp_path, kept, damage):
    written(tmp_path, "x = 1\n")
    first, whole = digits(tmp_path), kept.read_bytes()
    kept.write_bytes(damage)
    in_another_process()
    written(tmp_path, "x = 1\n")
    assert digits(tmp_path) == first
    assert kept.read_bytes() != damage
    assert len(kept.read_bytes()) == len(whole)


def test_nothing_is_kept_where_python_is_to_keep_nothing(tmp_path, kept, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    written(tmp_path, "x = 1\n")
    digits(tmp_path)
    assert not kept.exists()


def test_what_changed_is_told_of_files_with_blanks_in_their_names():
    before, after = ({"a/adapter (copy).py": one, "a/b=c.py": "12"} for one in ("ab", "cd"))
    told = code.changed_files(code.as_key_part(before), code.as_key_part(after))
    assert told == "a/adapter (copy).py changed"
