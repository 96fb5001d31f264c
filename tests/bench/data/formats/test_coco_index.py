"""The index of an annotation file gives what pycocotools reads, is made once, and notices every change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from itertools import chain

import numpy as np
import pytest

from bench.data.formats import coco_index as _coco_index
from bench.data.formats import json_stream as _json_stream
from bench.data.formats.coco_index import coco_index
from bench.data.formats.json_stream import FileState, JsonStream
from bench.errors import DatasetError
from bench.records.store.cache import REHASH

COCO = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed (extra: dev)").COCO


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "segbench" / "indices"


def document(seed=0, images=60, annotations=400, padding=0):
    """Annotations in no order, of images in no order, some without any."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(100_000, images, replace=False).tolist()
    return {
        "info": {"description": 'Straße, ünïcode \\ " [{' + "x" * padding, "year": 2017},
        "images": [{"id": i, "file_name": f"ü {i}.jpg", "height": 480, "width": 640} for i in ids],
        "annotations": [
            {
                "id": k,
                "image_id": ids[int(rng.integers(images // 2))],
                "category_id": int(rng.choice([3, 7, 90])),
                "segmentation": [rng.random(8).round(2).tolist()],
                "caption": rng.choice(["", "é", "\u00e9\n\t", "日本"]),
                "iscrowd": 0,
            }
            for k in range(annotations)
        ],
        "licenses": [],
        "categories": [{"id": 7, "name": "Hund"}, {"id": 3, "name": "Käfer"}, {"id": 90, "name": "z"}],
    }


def written(path, content, **format):
    """A file that was written a minute ago, so that it is remembered."""
    path.write_text(json.dumps(content, **format), encoding="utf-8")
    a_minute_ago = time.time() - 60
    os.utime(path, (a_minute_ago, a_minute_ago))
    return path


def big(path, **changes):
    """A file that is worth remembering."""
    return written(path, {**document(padding=1 << 20), **changes})


# ------------------------------------------------------------------ what is read


@pytest.mark.parametrize("format", [{}, {"indent": 3}, {"ensure_ascii": False, "separators": (",", ":")}])
@pytest.mark.parametrize("block", [1, 37, 1 << 22])
def test_annotations_are_those_that_pycocotools_reads(tmp_path, monkeypatch, capsys, format, block):
    monkeypatch.setattr(_json_stream, "BLOCK", block)
    file = written(tmp_path / "a.json", document(images=20, annotations=60), **format)
    index, api = coco_index(file), COCO(str(file))
    assert [index.key(i) for i in range(len(index))] == [str(i) for i in sorted(api.getImgIds())]
    assert list(index.categories) == [{**row, "id": str(row["id"])} for row in api.loadCats([7, 3, 90])]
    for number, image_id in enumerate(sorted(api.getImgIds())):
        rows = api.loadAnns(api.getAnnIds(imgIds=[image_id]))
        expected = [{**row, "image_id": str(row["image_id"]), "category_id": str(row["category_id"])} for row in rows]
        assert index.annotations(str(image_id)) == expected
        assert index.names[number].decode() == api.imgs[image_id]["file_name"]
        assert index.size(number) == (480, 640)
        assert index.counts()[number] == len(expected)


def test_ids_of_any_kind_are_sorted_by_length_and_then_by_text(tmp_path):
    rows = [{"id": i, "file_name": f"{i}.jpg"} for i in ("b", 10, 9, "a1", "b1", "c")]
    index = coco_index(written(tmp_path / "a.json", {"images": rows, "annotations": [], "categories": []}))
    assert [index.key(i) for i in range(len(index))] == ["9", "b", "c", "10", "a1", "b1"]
    assert [index.position(key) for key in ("9", "b", "c", "10", "a1", "b1")] == list(range(6))
    assert index.size(0) is None
    assert index.annotations("a1") == []


def test_a_list_is_walked_without_holding_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(_json_stream, "BLOCK", 1 << 10)
    file = written(tmp_path / "a.json", [{"number": n} for n in range(20_000)])
    with JsonStream(file) as stream:
        for number, placed in enumerate(stream.elements()):
            assert placed.value == {"number": number}
            assert len(stream._text) < 1 << 12


# ------------------------------------------------------------------ what is remembered


def test_a_file_is_read_once_and_again_when_it_changes(tmp_path, monkeypatch, own_cache):
    readings = []
    read = _coco_index._read
    monkeypatch.setattr(_coco_index, "_read", lambda state: readings.append(state) or read(state))
    file = big(tmp_path / "a.json")
    first, second = coco_index(file), coco_index(file)
    assert len(readings) == 1
    assert np.array_equal(first.offset, second.offset)
    assert first.categories == second.categories
    assert len(list(own_cache.iterdir())) == 1
    big(tmp_path / "a.json", images=[{"id": 1, "file_name": "1.jpg"}], annotations=[])
    assert len(coco_index(file)) == 1
    assert len(list(own_cache.iterdir())) == 1


def test_rehash_makes_what_was_remembered_anew_once(tmp_path, monkeypatch, own_cache):
    readings = []
    read = _coco_index._read
    monkeypatch.setattr(_coco_index, "_read", lambda state: readings.append(state) or read(state))
    file = big(tmp_path / "a.json")
    coco_index(file)
    a_minute_ago = time.time() - 60
    os.utime(next(own_cache.iterdir()), (a_minute_ago, a_minute_ago))
    monkeypatch.setenv(REHASH, str(time.time_ns() - 30 * 10**9))
    coco_index(file)
    coco_index(file)
    assert len(readings) == 2


def test_a_file_that_was_changed_a_moment_ago_is_not_remembered(tmp_path, own_cache):
    file = big(tmp_path / "a.json")
    os.utime(file)
    coco_index(file)
    assert not own_cache.exists()


def test_a_damaged_memory_is_made_anew(tmp_path, own_cache):
    file = big(tmp_path / "a.json")
    expected = coco_index(file).offset
    memory = next(own_cache.iterdir())
    for damaged in (b"", b"PK nonsense", memory.read_bytes()[:-100]):
        memory.write_bytes(damaged)
        assert np.array_equal(coco_index(file).offset, expected)
        assert np.array_equal(np.load(memory)["offset"], expected)


def test_where_nothing_can_be_written_each_process_reads_the_file(tmp_path, own_cache, capsys):
    own_cache.parent.parent.mkdir()
    own_cache.parent.write_text("a file where a folder is wanted")
    assert len(coco_index(big(tmp_path / "a.json"))) == 60
    assert capsys.readouterr().err == (
        f"note: {own_cache} cannot be used (Not a directory); each process indexes the file anew.\n"
    )


def test_processes_that_make_the_same_index_at_once_do_not_disturb_each_other(tmp_path, own_cache):
    file = big(tmp_path / "a.json")
    program = (
        "import sys; from pathlib import Path; from bench.data.formats.coco_index import coco_index\n"
        "for _ in range(10):\n"
        "    index = coco_index(Path(sys.argv[1])); print(len(index), int(index.offset.sum()))\n"
        "    [p.unlink(missing_ok=True) for p in Path(sys.argv[2]).glob('*.npz')]\n"
    )
    command = [sys.executable, "-c", program, str(file), str(own_cache)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = {line for worker in workers for line in worker.communicate(timeout=240)[0].splitlines()}
    assert [worker.returncode for worker in workers] == [0, 0]
    index = coco_index(file)
    assert printed == {f"{len(index)} {int(index.offset.sum())}"}
    assert [path.suffix for path in own_cache.iterdir()] == [".npz"]


def test_a_file_that_changes_while_it_is_in_use_is_refused(tmp_path):
    file = written(tmp_path / "a.json", document())
    index = coco_index(file)
    os.utime(file)
    with pytest.raises(DatasetError) as error:
        index.annotations(index.key(0))
    assert str(error.value) == (
        f"{file} has changed since it was opened. Let it be while it is in use, and run the command again."
    )


# ------------------------------------------------------------------ usage errors


def refusal(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DatasetError) as error:
        coco_index(path)
    return str(error.value).removeprefix(f"{path}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the end of the file at byte 0, where { is expected"),
        ('{"extras": [{"id": 1}', "the end of the file at byte 21, where , or ] is expected"),
        ('{"extras": [{"id": 1} {"id": 2}]}', "'{' at byte 22, where , or ] is expected"),
        ('{"extras": [{"id": }]}', "Expecting value at byte 19"),
        ('{"images" 3}', "'3' at byte 10, where : is expected"),
        ("{3: 4}", "'3' at byte 1, where \" is expected"),
    ],
)
def test_text_that_is_no_json_is_refused_with_its_place(tmp_path, text, message):
    assert refusal(tmp_path / "a.json", text) == (
        f" cannot be read as JSON: {message}. Restore the file from its source."
    )


def test_bytes_that_are_no_utf8_are_refused(tmp_path):
    (tmp_path / "a.json").write_bytes(b'{"info": "\xff", "images": []}')
    with pytest.raises(DatasetError, match=r"cannot be read as JSON: the value at byte 9 is not UTF-8\. Restore"):
        coco_index(tmp_path / "a.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"a\.json cannot be read as JSON: No such file or directory\. Restore"):
        FileState.of(tmp_path / "a.json")


def test_annotations_of_unknown_images_are_counted_and_the_first_is_named(tmp_path):
    content = document(images=4, annotations=0)
    content["annotations"] = [
        {"id": 11, "image_id": content["images"][0]["id"], "category_id": 3},
        {"id": 12, "image_id": -5, "category_id": 3},
        {"id": 13, "image_id": -6, "category_id": 3},
    ]
    assert refusal(tmp_path / "a.json", content) == (
        ": 2 of 3 annotations belong to no image in its list, the first being annotation 12 of image -5. Add the "
        "images "
        "to the list, or remove the annotations."
    )


@pytest.mark.parametrize(
    ("member", "rows", "message"),
    [
        ("images", [{"id": 1, "file_name": "a"}] * 2, " lists image 1 twice. Remove one of its rows."),
        ("images", [{"id": 1}], ": image 1 has no file_name, which COCO's format requires. Fix the file."),
        ("images", [{"file_name": "a"}], ": an image has no id, which COCO's format requires. Fix the file."),
        ("annotations", [{"id": 4}], ": annotation 4 has no image_id, which COCO's format requires. Fix the file."),
        ("categories", [{"id": 4}], ": category 4 has no name, which COCO's format requires. Fix the file."),
        (
            "images",
            ["a.jpg"],
            " is not in COCO's format: it needs the lists images, annotations and categories. Results of a detector "
            "are "
            "a list alone; the annotations are wanted here.",
        ),
    ],
)
def test_rows_without_what_the_format_requires_are_refused(tmp_path, member, rows, message):
    content = {"images": [], "annotations": [], "categories": [], member: rows}
    assert refusal(tmp_path / "a.json", content) == message


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 22])
@pytest.mark.parametrize("separator", [",", " ,\n "])
def test_stretches_of_a_list_are_those_that_elements_gives_one_by_one(tmp_path, monkeypatch, block, separator):
    monkeypatch.setattr(_json_stream, "BLOCK", block)
    rows = [{"id": n, "name": "é},{" * (n % 3), "inner": [{"a": 1}, {"b": [{}, {}]}], "x": [n, "}"]} for n in range(40)]
    file = tmp_path / "a.json"
    file.write_text(f" [{separator.join(json.dumps(row, ensure_ascii=n % 2 == 0) for n, row in enumerate(rows))} ] ")
    with JsonStream(file) as stream:
        assert [*chain.from_iterable(stream.stretches())] == rows
        assert stream.peek() == ""
    with JsonStream(file) as stream:
        assert [placed.value for placed in stream.elements()] == rows


@pytest.mark.parametrize("text", ["[]", '[1, "a", {}]', '[{"a": 1}]'])
def test_stretches_of_short_lists_and_of_other_things_than_objects(tmp_path, text):
    file = tmp_path / "a.json"
    file.write_text(text)
    with JsonStream(file) as stream:
        assert [*chain.from_iterable(stream.stretches())] == json.loads(text)


@pytest.mark.parametrize(
    "text", ['[{"a": 1}, {"b": ]', '[{"a": 1}, {"a": 1, "a": 2}, {"b": 1}]', '[{"a": 1} {"b": 2}]', "[{}, {}"]
)
def test_stretches_tell_what_is_wrong_as_elements_does(tmp_path, text):
    file = tmp_path / "a.json"
    file.write_text(text)
    told = []
    for way in ("stretches", "elements"):
        with pytest.raises(DatasetError) as error, JsonStream(file) as stream:
            list(getattr(stream, way)())
        told.append(str(error.value))
    assert told[0] == told[1]
