"""A Supervisely project as exported reads back as the ground truth; bitmaps and polygons follow Supervisely's own
rules."""

from __future__ import annotations

import base64
import io
import json
import shutil
import zlib

import numpy as np
import pytest
from PIL import Image

from bench.data.exports.supervisely import bitmap_data, export
from bench.datasets.supervisely import Options, open_dataset
from bench.errors import DatasetError
from tests.bench.datasets.comparison import all_ids, labels, objects, reopened, scenes


@pytest.fixture(scope="module")
def source():
    return scenes()


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    return export(source, tmp_path_factory.mktemp("supervisely") / "project")


def opened(root, **options):
    return open_dataset(Options(root=str(root), **options))


ALL = {"all": 1.0}
CLASSES = [
    {"title": "person_bmp", "shape": "bitmap", "color": "#FF0000"},
    {"title": "person_poly", "shape": "polygon", "color": "#00ff80"},
    {"title": "neutral", "shape": "any"},
    {"title": "box", "shape": "rectangle"},
]


def project(root, *objects, datasets=("ds1",), names=("a.png",), classes=CLASSES, size=(6, 8), ending=".json"):
    """A project with one annotation for all images."""
    (root / "meta.json").parent.mkdir(parents=True, exist_ok=True)
    (root / "meta.json").write_text(json.dumps({"classes": classes, "tags": []}))
    document = {"size": {"height": size[0], "width": size[1]}, "objects": list(objects)}
    for dataset in datasets:
        for folder in ("img", "ann"):
            (root / dataset / folder).mkdir(parents=True)
        for name in names:
            Image.new("RGB", (size[1], size[0])).save(root / dataset / "img" / name)
            stem = name if ending == ".json" else name.rpartition(".")[0]
            (root / dataset / "ann" / f"{stem}.json").write_text(json.dumps(document))
    return root


def polygon(title, exterior, *interior, **more):
    return {"classTitle": title, "bitmap": None, "points": {"exterior": exterior, "interior": list(interior)}, **more}


def bitmap(title, rows, origin, data=None, **more):
    mask = np.array([[character == "#" for character in row] for row in rows])
    return {"classTitle": title, "bitmap": {"data": data or bitmap_data(mask), "origin": origin}, **more}


def only(root, **options):
    """The ground truth of the only image."""
    dataset = opened(root, fractions=ALL, **options)
    return dataset.target(dataset.ids("all")[0])


def drawn(mask):
    return ["".join(".#"[int(value)] for value in row) for row in mask]


# ------------------------------------------------------------------ round trip


def test_what_was_exported_reads_back_as_classes_objects_and_crowds(source, exported):
    loaded = reopened(exported)
    assert loaded.classes == source.classes
    assert loaded.tasks == ("semantic", "instance")
    assert {s: len(loaded.ids(s)) for s in loaded.splits()} == {"train": 20, "val": 6, "test": 4}
    for image_id in all_ids(source):
        ground_truth, read = source.target(image_id), loaded.target(exported.ids[image_id])
        assert labels(read) == labels(ground_truth)
        assert objects(read.instances) == objects(ground_truth.instances)
        assert np.array_equal(source.image(image_id), loaded.image(exported.ids[image_id]))


def test_the_files_have_the_form_that_supervisely_documents(source, exported):
    meta = json.loads((exported.folder / "meta.json").read_text())
    assert meta["classes"][3] == {"title": "disc", "shape": "bitmap", "color": "#D64A3E"}
    assert meta["classes"][-1]["title"] == "void"
    image_id = source.ids("val")[0]
    document = json.loads((exported.folder / "val" / "ann" / f"{image_id}.png.json").read_text())
    assert document["size"] == {"height": 48, "width": 64}
    for row in document["objects"]:
        # As Supervisely's users decode it, with Pillow in the place of OpenCV: the alpha channel is the mask.
        png = Image.open(io.BytesIO(zlib.decompress(base64.b64decode(row["bitmap"]["data"]))))
        assert (png.format, png.mode) == ("PNG", "RGBA")
        alpha = np.asarray(png)[..., 3] > 0
        assert alpha.any(axis=0).all() or alpha.any(axis=1).all()
        left, top = row["bitmap"]["origin"]
        assert left + png.width <= 64
        assert top + png.height <= 48


def test_classes_of_pixels_alone_are_exported_too(source, exported, tmp_path):
    from bench.data.exports.ade20k import export as export_ade20k
    from bench.data.formats.by_name import open_dataset as open_by_name

    ade20k = export_ade20k(source, tmp_path / "ade20k")
    pixels = open_by_name("ade20k", dict(ade20k.options))
    again = export(pixels, tmp_path / "again")
    loaded = open_by_name("supervisely", dict(again.options))
    for image_id in pixels.ids("val"):
        assert labels(loaded.target(again.ids[image_id])) == labels(pixels.target(image_id))


# ------------------------------------------------------------------ what is drawn


def test_a_polygon_owns_its_corners_and_edges_and_so_do_its_holes(tmp_path):
    shape = polygon("person_poly", [[1, 0], [6, 0], [6, 4], [1, 4]], [[3, 1], [4, 1], [4, 2], [3, 2]])
    ground_truth = only(project(tmp_path, shape))
    assert drawn(ground_truth.instances.masks[0]) == [
        ".######.",
        ".##..##.",
        ".##..##.",
        ".######.",
        ".######.",
        "........",
    ]
    assert [spec.name for spec in opened(tmp_path, fractions=ALL).classes] == [
        "person_bmp",
        "person_poly",
        "neutral",
        "box",
        "background",
    ]
    assert labels(ground_truth)[0] == [4, 1, 1, 1, 1, 1, 1, 4]


def test_a_bitmap_lies_at_its_origin_and_is_cut_at_the_edge_of_the_image(tmp_path):
    ground_truth = only(
        project(tmp_path, bitmap("person_bmp", ["#.#", ".#."], [6, 4]), bitmap("person_bmp", ["##", "##"], [-1, -1]))
    )
    assert drawn(ground_truth.instances.masks[0])[3:] == ["........", "......#.", ".......#"]
    assert drawn(ground_truth.instances.masks[1])[:2] == ["#.......", "........"]
    assert only(project(tmp_path / "2", bitmap("person_bmp", ["#"] * 90, [3, 50]))).instances.masks.sum() == 0


@pytest.mark.parametrize("mode", ["P with transparency", "1", "L", "RGB"])
def test_bitmaps_of_every_kind_of_png_are_read(tmp_path, mode):
    mask = np.array([[1, 0, 1], [0, 1, 0]], np.uint8)
    image, options = Image.fromarray(mask * (1 if mode[0] == "P" else 255)), {}
    if mode[0] == "P":
        image.putpalette([0, 0, 0, 255, 255, 255])
        options = {"transparency": 0}
    else:
        image = image.convert(mode)
    png = io.BytesIO()
    image.save(png, "PNG", **options)
    data = base64.b64encode(zlib.compress(png.getvalue())).decode()
    ground_truth = only(project(tmp_path, bitmap("person_bmp", [], [0, 0], data)))
    assert drawn(ground_truth.instances.masks[0])[:3] == ["#.#.....", ".#......", "........"]


def test_later_objects_lie_on_top_and_keep_what_they_hide_of_earlier_ones(tmp_path):
    whole = polygon("person_poly", [[0, 0], [7, 0], [7, 5], [0, 5]])
    ground_truth = only(project(tmp_path, whole, bitmap("person_bmp", ["##"], [0, 0])))
    assert labels(ground_truth)[0] == [0, 0, 1, 1, 1, 1, 1, 1]
    assert ground_truth.instances.masks.sum(axis=(1, 2)).tolist() == [48, 2]


def test_objects_of_one_instance_are_one_object_and_a_tag_makes_a_crowd(tmp_path):
    parts = [bitmap("person_bmp", ["#"], [x, 0], instance="k") for x in (0, 2)]
    tagged = bitmap("person_bmp", ["#"], [5, 5], tags=[{"name": "crowd", "value": None}])
    instances = only(project(tmp_path, *parts, tagged)).instances
    assert instances.masks.sum(axis=(1, 2)).tolist() == [2, 1]
    assert instances.crowd.tolist() == [False, True]


def test_void_stuff_and_background_are_chosen_by_name(tmp_path):
    rows = [bitmap(title, ["#"], [x, 0]) for x, title in enumerate(["person_bmp", "neutral", "person_poly"])]
    rows[2]["geometryType"] = "bitmap"
    root = project(tmp_path, *rows)
    options = {"classes": ("person_poly", "person_bmp"), "stuff": ("person_poly",), "background": None}
    ground_truth = only(root, void=("neutral",), **options)
    assert labels(ground_truth)[0][:4] == [1, 255, 0, 255]
    assert ground_truth.instances.class_ids.tolist() == [1]
    assert [(spec.name, spec.is_thing, spec.colour) for spec in opened(root, fractions=ALL, **options).classes] == [
        ("person_poly", False, (0, 255, 128)),
        ("person_bmp", True, (255, 0, 0)),
    ]
    assert labels(only(root, background="neutral"))[0][:4] == [0, 2, 1, 2]


# ------------------------------------------------------------------ layouts and splits


def test_annotations_may_be_named_without_the_suffix_of_the_image(tmp_path):
    root = project(tmp_path, bitmap("person_bmp", ["#"], [0, 0]), ending="old")
    assert (root / "ds1" / "ann" / "a.json").is_file()
    assert len(only(root).instances.class_ids) == 1


def test_data_sets_called_like_splits_are_splits_and_may_lie_within_others(tmp_path):
    assert opened(project(tmp_path / "1", datasets=("val", "train"))).splits() == ("train", "val")
    nested = opened(project(tmp_path / "2", datasets=("ds1", "ds1/datasets/ds2")), fractions={"a": 0.5, "b": 0.5})
    assert sorted(all_ids(nested)) == ["ds1__a", "ds1__datasets__ds2__a"]


def test_splits_are_made_of_data_sets_by_name(tmp_path):
    root = project(tmp_path, datasets=("ds1", "ds2", "ds3"), names=("a.png", "b.jpg"))
    dataset = opened(root, splits={"train": ("ds3", "ds1"), "test": ("ds2",)})
    assert dataset.ids("train") == ("ds3__a", "ds3__b", "ds1__a", "ds1__b")
    assert dataset.ids("test") == ("ds2__a", "ds2__b")


def test_fractions_keep_groups_together(tmp_path):
    names = tuple(f"{group}_{number}.png" for group in "abcdefgh" for number in range(3))
    dataset = opened(project(tmp_path, names=names), group="/([a-z])_", fractions={"train": 0.5, "test": 0.5})
    groups = [{image_id.split("__")[1][0] for image_id in dataset.ids(split)} for split in ("train", "test")]
    assert len(dataset.ids("train")) == len(dataset.ids("test")) == 12
    assert not groups[0] & groups[1]


# ------------------------------------------------------------------ usage errors


def refusal(call, *arguments, **options):
    with pytest.raises(DatasetError) as error:
        call(*arguments, **options)
    return str(error.value)


def test_a_missing_meta_json_says_what_belongs_there(tmp_path):
    assert refusal(opened, tmp_path) == (
        f"supervisely: nothing at {tmp_path}/meta.json. Expected: meta.json with the classes, and data sets with the "
        "folders img/ and ann/. Export the project from Supervisely as images and annotations in its own JSON format, "
        "and unpack it there. If it lies elsewhere, set the data set's option root."
    )


def test_a_class_that_meta_json_has_not_is_named_with_the_nearest(tmp_path):
    root = project(tmp_path, polygon("person_polly", [[0, 0], [3, 0], [3, 3]]))
    assert refusal(only, root) == (
        f"{root}/ds1/ann/a.png.json: object 1 is of the class 'person_polly', which is not in meta.json. Did you mean "
        "'person_poly'? It has: person_bmp, person_poly, neutral, box"
    )
    assert refusal(opened, root, fractions=ALL, void=("neutrall",)) == (
        f"supervisely: {root}/meta.json has no class 'neutrall'. Did you mean 'neutral'? It has: person_bmp, "
        "person_poly, neutral, box"
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("?", "Only base64 data is allowed"),
        (base64.b64encode(b"not compressed").decode(), "Error -3 while decompressing data: incorrect header check"),
        (base64.b64encode(zlib.compress(b"no PNG")).decode(), "it holds no image"),
    ],
)
def test_a_bitmap_that_cannot_be_decoded_is_named(tmp_path, data, reason):
    root = project(tmp_path, bitmap("person_bmp", [], [0, 0], data))
    assert refusal(only, root) == (
        f"{root}/ds1/ann/a.png.json: object 1, person_bmp: its bitmap cannot be decoded: {reason}. Export the project "
        "again."
    )


def test_a_polygon_of_two_points_is_named(tmp_path):
    root = project(tmp_path, polygon("person_poly", [[0, 0], [3, 0]]))
    assert refusal(only, root) == (
        f"{root}/ds1/ann/a.png.json: object 1, person_poly: its polygon cannot be decoded: a polygon needs three or "
        "more "
        "pairs of numbers. Export the project again."
    )


def test_an_object_without_a_mask_is_refused_unless_its_class_is_left_out(tmp_path):
    root = project(tmp_path, polygon("box", [[0, 0], [3, 3]]))
    assert refusal(only, root) == (
        f"{root}/ds1/ann/a.png.json: object 1, box, is a rectangle and has no mask; bitmaps and polygons have. Convert "
        "it "
        "in Supervisely, or leave its class out by the option classes."
    )
    assert len(only(root, classes=("person_bmp",)).instances.class_ids) == 0


def test_an_unknown_data_set_in_splits_is_told_with_all_others(tmp_path):
    root = project(tmp_path, datasets=("ds1", "ds2"))
    assert refusal(opened, root, splits={"train": ("ds11",)}) == (
        f"supervisely: {root} has no data set 'ds11', which the option splits names. Did you mean 'ds1'? It has: ds1, "
        "ds2"
    )


def test_a_missing_annotation_and_one_of_another_form_are_named(tmp_path):
    root = project(tmp_path / "1")
    file = root / "ds1" / "ann" / "a.png.json"
    file.write_text("{}")
    assert refusal(only, root).startswith(
        f"{file} is no annotation of Supervisely's: it needs size and objects. Export "
    )
    file.unlink()
    assert refusal(only, root).startswith(
        f"supervisely: nothing at {file}. Expected: an annotation for 1 images, of whose files 1 are missing. Export "
    )


def test_classes_without_titles_and_of_one_title_are_refused(tmp_path):
    root = project(tmp_path / "1", classes=[{"shape": "bitmap"}])
    assert refusal(opened, root).startswith(f"{root}/meta.json needs the list classes, each with a title. Export ")
    root = project(tmp_path / "2", classes=CLASSES[:1] * 2)
    assert refusal(opened, root) == (
        f"{root}/meta.json has two classes of one title, or 255 or more. Rename or merge them."
    )


def test_a_project_copied_without_its_data_sets_is_refused(exported, tmp_path):
    shutil.copy(exported.folder / "meta.json", tmp_path)
    assert refusal(opened, tmp_path).startswith(
        f"supervisely: nothing at {tmp_path}/<dataset>/img. Expected: data sets with the folders img/ and ann/. Export "
    )
