"""`bench data detect` names what a folder is though its files are damaged or not all there, and what is wrong."""

from __future__ import annotations

import gzip
import json

import pytest
from PIL import Image

from bench.data.detect import detect, report
from tests.bench.data.miniatures import written

LABELME = {
    "shapes": [{"label": "Möhre", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"}],
    "imagePath": "{0}.png",
    "imageHeight": 12,
    "imageWidth": 16,
}
COCO = {
    "images": [{"id": 1, "file_name": "0.png", "height": 12, "width": 16}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]]}],
    "categories": [{"id": 1, "name": "cell"}],
}
SUPERVISELY = {"size": {"height": 12, "width": 16}, "objects": [{"classTitle": "cell", "bitmap": {}}]}
CVAT = (
    "<annotations><meta><labels><label><name>cell</name></label></labels></meta>"
    '<image id="0" name="0.png" width="16" height="12"><polygon label="cell" points="1,1;9,1;9,9" z_order="0"/></image>'
    "</annotations>"
)


def folder(root, files):
    """Four images and files of text or bytes."""
    for number in range(4):
        place = root / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 12), (number, 0, 0)).save(place)
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def in_code_page(number):
    return json.dumps(LABELME, ensure_ascii=False).replace("{0}", str(number)).encode("cp1252")


@pytest.mark.parametrize(
    ("name", "files", "trouble"),
    [
        ("labelme", {f"{n}.json": in_code_page(n) for n in range(4)}, "it is not in UTF-8 (byte"),
        ("coco", {"all.json": json.dumps(COCO)[:-9]}, "cannot be read as JSON"),
        ("coco", {"all.json": json.dumps(COCO)[:-1] + ",}"}, "cannot be read as JSON"),
        ("label_studio", {"project.json": '[{"annotations": [{"result": [,'}, "cannot be read as JSON"),
        (
            "supervisely",
            {"ds/img/0.png": b"", "ds/ann/0.png.json": json.dumps(SUPERVISELY)},
            '{"classes": [{"title": "cell", "shape": "any"}]}',
        ),
        ("supervisely", {"img/0.png": b"", "ann/0.png.json": json.dumps(SUPERVISELY)}, '"title": "cell"'),
        ("cvat", {"video.xml": "<annotations><track id='0' label='a'/></annotations>"}, "It is 'CVAT for video 1.1'"),
    ],
)
def test_a_damaged_folder_is_named_with_what_is_wrong(tmp_path, name, files, trouble):
    first = detect(folder(tmp_path, files))[0]
    assert first.guess.name == name
    assert trouble in first.trouble


def test_an_xml_of_cvats_under_another_name_is_read(tmp_path):
    first = detect(folder(tmp_path, {"task_7.xml": CVAT}))[0]
    assert (first.guess.name, first.guess.options["file"], first.trouble) == ("cvat", "task_7.xml", "")


def test_of_two_jsons_of_coco_the_damaged_one_is_told_and_not_left_out(tmp_path):
    exported = written("coco", tmp_path / "data")
    file = next((exported.folder / "annotations").glob("instances_val*.json"))
    renamed = {path: path.with_name(path.name.replace("2017", "")) for path in file.parent.glob("*.json")}
    for path, new in renamed.items():
        path.rename(new)
    renamed[file].write_text(renamed[file].read_text()[:-40])
    (tmp_path / "data" / "export.json").unlink()
    first = detect(tmp_path / "data")[0]
    assert first.guess.name == "coco"
    assert "instances_val.json cannot be read as JSON" in first.trouble


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.json.gz": gzip.compress(b"{}")}, "a.json.gz is packed; unpack it first"),
        ({"r.json": json.dumps(COCO["annotations"])}, "r.json holds results of a detector in COCO's form"),
        ({"a.json": json.dumps([COCO])}, "is a list with a document of COCO's in it"),
        ({"via.json": json.dumps({"a": {"filename": "0.png", "regions": []}})}, "VGG's Image Annotator"),
        ({"labels/0.txt": "0 0.5 0.5 0.2 0.2\n"}, "has five numbers a line, as YOLO's boxes for detection"),
    ],
)
def test_what_is_known_but_no_data_set_is_told(tmp_path, files, said):
    root = folder(tmp_path, files)
    found = detect(root)
    assert not found
    assert said in report(found, root)
