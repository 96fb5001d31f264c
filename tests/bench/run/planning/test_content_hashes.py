"""A file whose content changed is read again, whatever was done to its times."""

from __future__ import annotations

import os
import resource
import time

import pytest

from bench.records.store.cache import REHASH
from bench.run.planning import content_hashes
from bench.run.planning.content_hashes import ContentHashes


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Remember files at once: the tests' are younger than two seconds."""
    monkeypatch.setattr(content_hashes, "SETTLED_S", -1.0)


def in_place(file):
    file.write_bytes(b"two")


def by_another_file(file):
    other = file.with_name("other")
    other.write_bytes(b"two")
    os.utime(other, (0, 0))
    other.replace(file)


@pytest.mark.parametrize("change", [in_place, by_another_file])
def test_a_file_of_the_same_size_and_time_with_other_content_is_read_again(tmp_path, change):
    file, hashes = tmp_path / "mask", ContentHashes(tmp_path / "memory" / "x.sqlite")
    file.write_bytes(b"one")
    os.utime(file, (0, 0))
    (before,) = hashes.of([file])
    assert hashes.of([file]) == [before]
    assert hashes.read == 1
    time.sleep(0.02)  # a clock tick of the file system
    change(file)
    os.utime(file, (0, 0))
    assert hashes.of([file]) != [before]
    assert hashes.read == 2


def test_rehash_reads_every_file_once_more(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "mask"
    file.write_bytes(b"one")
    first = ContentHashes.of_user().of([file])
    monkeypatch.setenv(REHASH, "1")
    again = ContentHashes.of_user()
    assert (again.of([file]), again.read) == (first, 1)


def test_a_memory_that_finds_no_room_is_told_and_the_hashes_are_the_same(tmp_path, capsys):
    files = [tmp_path / name for name in ("a", "b")]
    for file in files:
        file.write_text(file.name)
    hashes = ContentHashes(tmp_path / "memory.sqlite")
    expected = ContentHashes(None).of(files)
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, kept[1]))
    try:
        assert hashes.of(files) == expected
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
    assert "memory.sqlite cannot be used" in capsys.readouterr().err


def test_a_memory_whose_pages_were_overwritten_is_told_and_the_hashes_are_the_same(tmp_path, capsys):
    file, memory = tmp_path / "a", tmp_path / "memory.sqlite"
    file.write_text("a")
    expected = ContentHashes(memory).of([file])
    content = memory.read_bytes()
    memory.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    assert ContentHashes(memory).of([file]) == expected
    assert "cannot be used" in capsys.readouterr().err
