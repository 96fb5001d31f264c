"""Answers read from files: given again while the files are as they were, and read again when one is not."""

from __future__ import annotations

import pytest

from bench.records.store.code import Remembered, code_of_folders
from bench.records.store.files import file_state


@pytest.fixture
def asked(tmp_path):
    """A file, and a question about it that counts how often it is read."""
    file, reads, known = tmp_path / "file", [], Remembered()

    def read():
        state = file_state(file)
        reads.append(file.read_text() if file.exists() else None)
        return reads[-1], {file: state}

    return file, reads, lambda: known.get("what it says", read)


def test_a_file_that_stays_as_it_is_is_read_once(asked):
    file, reads, ask = asked
    file.write_text("one")
    assert [ask(), ask(), ask()] == ["one"] * 3
    assert len(reads) == 1


def test_a_file_that_changes_comes_or_goes_is_read_again(asked):
    file, _, ask = asked
    found = [ask()]
    file.write_text("one")
    found.append(ask())
    file.write_text("another")
    found.append(ask())
    file.unlink()
    assert [*found, ask()] == [None, "one", "another", None]


def test_the_code_of_a_folder_is_that_of_files_which_come_later_too(tmp_path):
    folder = tmp_path / "adapter"
    (folder / "inner").mkdir(parents=True)
    assert code_of_folders([folder], tmp_path) == {}
    (folder / "inner" / "a.py").write_text("a = 1\n")
    before = code_of_folders([folder], tmp_path)
    assert [*before] == ["adapter/inner/a.py"]
    (folder / "inner" / "a.py").write_text("a = 22\n")
    assert code_of_folders([folder], tmp_path) != before
    (folder / "inner" / "a.py").unlink()
    assert code_of_folders([folder], tmp_path) == {}
