"""Files below a folder are listed once, in order, and none that is hidden is taken for one of the user's."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.formats.entries import Entry, EntryTable, LazySequence, SplitEntries
from bench.data.formats.file_names import files_below, id_of, id_of_name, spelt_otherwise, stem_of


def touched(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_files_are_sorted_by_path_and_others_are_kept_apart(tmp_path):
    names = ["b.png", "a/c.PNG", "a-b.png", "a/x.txt", ".d.png", ".h/e.png", "a/__MACOSX/f.png", "plain", ".png"]
    found = files_below(touched(tmp_path, *names), (".png",), others=True)
    assert found.names == ["a-b.png", "a/c.PNG", "b.png"]
    assert found.others == sorted(["a/x.txt", ".d.png", ".h/e.png", "a/__MACOSX/f.png", "plain", ".png"])
    assert files_below(tmp_path, (".png",)).others == []
    assert files_below(tmp_path / "nowhere", (".png",)).names == []


def test_a_link_in_a_hidden_folder_does_not_hide_what_it_leads_to(tmp_path):
    touched(tmp_path, "z/a.png", ".h/b.png")
    (tmp_path / ".h" / "z").symlink_to(tmp_path / "z")
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "broken.png").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.png")
    found = files_below(tmp_path, (".png",), others=True)
    assert found.names == ["z/a.png"]
    assert found.others == [".h/b.png", "broken.png", "pipe.png"]


PART = st.text("ab.ü _", min_size=1, max_size=5).filter(lambda text: text.strip(".") and text == text.strip())


@given(st.lists(PART, min_size=1, max_size=3))
def test_ids_and_stems_of_names_are_those_of_paths(parts):
    name = "/".join(parts)
    path = PurePosixPath(name)
    assert id_of_name(name) == id_of(path)
    assert stem_of(name) == path.with_suffix("").as_posix()


def test_names_that_are_alike_lead_to_none_of_them():
    assert spelt_otherwise(["A.txt", "a.txt", "fu\u0308r", "b"]) == {"f\u00fcr": "fu\u0308r", "b": "b"}


def test_made_items_are_made_when_asked_for():
    asked: list[int] = []
    items = LazySequence(4, lambda position: asked.append(position) or position * 10)
    assert (len(items), items[-1], items[1:3], asked) == (4, 30, [10, 20], [3, 1, 2])
    assert list(items) == [0, 10, 20, 30]
    with pytest.raises(IndexError):
        items[4]


def test_entries_of_a_split_are_found_by_id_and_repeated_ids_are_told(tmp_path):
    table = EntryTable(["a", "b", "a"], lambda at: Entry("aba"[at], tmp_path / str(at)))
    assert SplitEntries(table).twice == ["a"]
    split = SplitEntries(EntryTable(["a", "b"], lambda at: Entry("ab"[at], tmp_path / str(at))))
    assert [split["b"].image.name, split["a"].image.name, split["a"] is split["a"]] == ["1", "0", True]
    assert split.shared_with(SplitEntries([Entry("b", tmp_path), Entry("c", tmp_path)])) == ["b"]
    with pytest.raises(KeyError):
        split["c"]
