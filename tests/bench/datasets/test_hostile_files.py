"""Files of others that wait, never end, claim too much, say one thing twice or steer a terminal: a paragraph each."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.data.detect import detect
from bench.data.formats.arrays import read_array
from bench.data.formats.coco_index import coco_index
from bench.data.formats.documents import read_json_object, read_lines, read_text, read_yaml
from bench.data.formats.image_files import read_image, read_mask
from bench.data.formats.image_headers import header_of, named_in_text
from bench.data.formats.json_stream import JsonStream
from bench.data.predictions.probabilities import read_numbers
from bench.datasets import coco, folder
from bench.errors import BenchError, DatasetError, visible

READERS = [read_json_object, read_yaml, read_text, JsonStream, read_image, read_mask, header_of, read_array]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_would_be_waited_for_or_never_ends_is_refused(tmp_path, read, kind):
    path = tmp_path / "a.json"
    {"pipe": lambda: os.mkfifo(path), "device": lambda: path.symlink_to("/dev/zero"), "folder": path.mkdir}[kind]()
    with pytest.raises(DatasetError, match="a folder, a pipe or a device"):
        read(path)


@pytest.mark.parametrize("kind", ["pipe", "device", "link that leads nowhere"])
def test_what_stands_in_the_place_of_the_annotations_of_a_split_is_not_taken_for_no_split(tmp_path, kind):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_train2017.json").write_text("{}")
    path = tmp_path / "annotations" / "instances_val2017.json"
    leads_to = {"device": "/dev/zero", "link that leads nowhere": ".git/annex/objects/x"}
    path.symlink_to(leads_to[kind]) if kind in leads_to else os.mkfifo(path)
    with pytest.raises(DatasetError, match=r"instances_val2017.json is a link that leads nowhere, a pipe or a device"):
        coco.open_dataset(coco.Options(root=str(tmp_path)))
    assert detect(tmp_path) == ()  # and nothing waits for it


def test_a_name_that_stands_twice_is_refused_at_any_depth(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [{"b": 1, "c": 2, "b": 3}]}')
    with pytest.raises(DatasetError, match="has the name 'b' twice"):
        read_json_object(tmp_path / "a.json")
    (tmp_path / "a.yaml").write_text("names: [a]\npath: x\nother: {k: 1, k: 2}\n")
    with pytest.raises(DatasetError, match="line 3: the key 'k' stands twice"):
        read_yaml(tmp_path / "a.yaml")


def test_a_line_that_no_name_is_as_long_as_is_not_quoted(tmp_path):
    (tmp_path / "list.txt").write_text("a\n" + "[" * 200_000)
    with pytest.raises(DatasetError, match="a line of 200000 characters") as refused:
        read_lines(tmp_path / "list.txt")
    assert len(str(refused.value)) < 400


# ------------------------------------------------------------------ COCO


def document(**lists: object) -> dict[str, object]:
    rows = {
        "images": [{"id": 1, "file_name": "a.png", "height": 8, "width": 8}],
        "annotations": [{"id": 5, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 4, 0, 4, 4]]}],
        "categories": [{"id": 1, "name": "one"}],
    }
    return {**rows, **lists}


def coco_refusal(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(DatasetError) as refused:
        coco_index(path)
    return str(refused.value)


def test_a_list_that_stands_twice_is_refused(tmp_path):
    text = json.dumps(document())
    said = coco_refusal(tmp_path / "a.json", text[:-1] + ', "images": []}')
    assert said == f"{tmp_path}/a.json has the list images twice. Join the two."


def test_a_row_that_says_one_thing_twice_is_refused(tmp_path):
    text = json.dumps(document()).replace('"id": 5,', '"id": 5, "category_id": 2,')
    assert "an object has the name 'category_id' twice at byte" in coco_refusal(tmp_path / "a.json", text)


def test_all_faulty_rows_are_told_up_to_three_and_the_others_counted(tmp_path):
    images = [{"id": n, "file_name": "a", "height": "tall"} for n in range(5)]
    said = coco_refusal(tmp_path / "a.json", json.dumps(document(images=images, annotations=[])))
    assert said.count("is 'tall', where a number of pixels is expected") == 3
    assert said.endswith("(and 2 further rows)")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"iscrowd": "maybe"}, "iscrowd of annotation 5 is 'maybe', where 0 or 1 is expected"),
        ({"isgroupof": 3}, "isgroupof of annotation 5 is 3, where 0 or 1 is expected"),
        ({"category_id": True}, "category_id of annotation 5 is True, where a number or a text is expected"),
        ({"file_name": "x" * 5000}, "which has 5000 characters; at most 4096 are expected"),
        ({"segments_info": [{"id": 2**24, "category_id": 1}]}, "segments_info.0.id of annotation 5 is 16777216, where"),
        ({"segments_info": {"id": 1}}, "segments_info of annotation 5 is {'id': 1}: Input should be a valid list"),
    ],
)
def test_values_of_annotations_are_held_against_their_types(tmp_path, row, said):
    annotation = {"id": 5, "image_id": 1, "category_id": 1, **row}
    assert said in coco_refusal(tmp_path / "a.json", json.dumps(document(annotations=[annotation])))


def test_an_annotation_that_is_its_box_needs_one(tmp_path):
    (tmp_path / "train2017").mkdir()
    (tmp_path / "annotations").mkdir()
    cv2.imwrite(str(tmp_path / "train2017" / "a.png"), np.zeros((8, 8, 3), np.uint8))
    annotation = {"id": 5, "image_id": 1, "category_id": 1, "bbox": ["1", 2, 3]}
    file = tmp_path / "annotations" / "instances_train2017.json"
    file.write_text(json.dumps(document(annotations=[annotation])))
    dataset = coco.open_dataset(coco.Options(root=str(tmp_path), without_mask="box"))
    with pytest.raises(DatasetError, match=r"annotation 5 has no mask, and its bbox is \['1', 2, 3\], where x, y"):
        dataset.target(dataset.ids("train")[0])


# ------------------------------------------------------------------ pictures and arrays that claim more than they hold


def bmp(height: int, width: int) -> bytes:
    """A BMP of one pixel that claims a size."""
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 58, 0, 0, 54, 40, width, height, 1, 24, 0, 4, 0, 0, 0, 0) + b"\0" * 4


def tiff(height: int, width: int) -> bytes:
    """A grey TIFF of one strip of one byte that claims a size."""
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
            (278, 4, height), (279, 4, 1)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 12) + b"\0" * 4 + struct.pack("<H", len(tags)) + entries + b"\0" * 4


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize(("name", "content"), [("a.bmp", bmp(30_000, 30_000)), ("a.tif", tiff(30_000, 30_000))])
def test_a_file_too_short_for_its_pixels_is_refused_before_it_is_decoded(tmp_path, name, content, read):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match="bytes claim 30000 × 30000 pixels"):
        read(tmp_path / name)


def test_a_large_plain_mask_is_no_bomb(tmp_path):
    Image.new("1", (9000, 9000)).save(tmp_path / "a.tif", compression="group4")
    assert (tmp_path / "a.tif").stat().st_size < 20_000
    assert read_mask(tmp_path / "a.tif").pixels.shape == (9000, 9000)


@pytest.mark.parametrize("read", [read_array, read_numbers])
def test_an_array_that_claims_more_than_its_file_holds_takes_no_memory(tmp_path, read):
    header = str({"descr": "|u1", "fortran_order": False, "shape": (1 << 20, 1 << 20)}).ljust(117) + "\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + b"\0")
    with pytest.raises(BenchError, match="cannot be read as a"):
        read(tmp_path / "a.npy")


@pytest.mark.few(2)
@pytest.mark.parametrize("suffix", ["tif", "gif", "bmp", "jp2", "webp", "png"])
def test_any_changed_number_of_a_picture_gives_an_array_or_a_paragraph(tmp_path, suffix):
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) // 30).convert("RGB").save(file)
    content = file.read_bytes()
    for place in {*range(min(len(content), 120)), *range(max(0, len(content) - 200), len(content))}:
        for value in (0, 255, content[place] ^ 1):
            file.write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
            for read in (read_image, read_mask):
                with contextlib.suppress(DatasetError):
                    assert read(file).size if read is read_image else read(file).pixels.size


def test_a_png_of_compressed_text_that_unfolds_is_not_unfolded(tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    ok, png = cv2.imencode(".png", np.zeros((8, 8), np.uint8))
    assert ok
    content = png.tobytes()
    bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(b"\0" * (200 << 20), 9))
    (tmp_path / "a.png").write_bytes(content[:33] + bomb + content[33:])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(DatasetError):
        read_mask(tmp_path / "a.png")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


# ------------------------------------------------------------------ names that a terminal or a reader takes otherwise


@pytest.mark.parametrize("name", ["a\x1b[31m.png", "a\nb.png", "a\u202egnp.exe.png"])
def test_file_names_that_no_table_can_show_are_refused(tmp_path, name):
    with pytest.raises(DatasetError, match="its name has control characters"):
        named_in_text(tmp_path / name)


def test_class_names_that_steer_a_terminal_are_refused_and_shown_harmless(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
        cv2.imwrite(str(tmp_path / part / "a.png"), np.zeros((8, 8), np.uint8))
    (tmp_path / "classes.yaml").write_text('[a, "b\\e[31m"]')
    with pytest.raises(DatasetError, match="has control characters") as refused:
        folder.open_dataset(folder.Options(root=str(tmp_path), fractions={"test": 1.0}))
    assert "\x1b" not in str(refused.value)


def test_letters_of_any_script_are_left_as_they_are():
    for text in ("模型一", "İstanbul ı", "נסיון", "नमस्\u200dते", "e\u0301", "🙂", "line\nand\ttab"):
        assert visible(text) == text
    assert visible("\x1b]0;t\x07\r\u2066x\udce9") == "\\x1b]0;t\\x07\\r\\u2066x\\udce9"
