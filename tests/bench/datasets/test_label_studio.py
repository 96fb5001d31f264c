"""Label Studio's regions become the masks that its own converter and plain geometry make of them."""

from __future__ import annotations

import base64
import io
import json
import math

import numpy as np
import pytest
from PIL import Image

from bench.data.exports.label_studio import export
from bench.data.formats.drawn_shapes import brush_lengths, brush_mask
from bench.datasets.label_studio import Options, open_dataset
from bench.errors import DatasetError
from bench.records import Size
from tests.bench.datasets.comparison import assert_the_same_shapes, reopened, scenes

ALL = {"all": 1.0}
SIZE = Size(30, 40)


def region(label, kind="polygon", *, rotation=0, size=SIZE, **value):
    head = {"original_width": size.width, "original_height": size.height, "image_rotation": rotation}
    return {**head, "type": f"{kind}labels", "value": {**value, f"{kind}labels": [label]}}


def task(number, *annotations, image=None, cancelled=()):
    found = [{"id": i, "result": list(a), "was_cancelled": i in cancelled} for i, a in enumerate(annotations)]
    return {"id": number, "data": {"image": image or f"/data/upload/1/0a1b2c3d-{number}.png"}, "annotations": found}


def project(root, *tasks, images=(1,)):
    (root / "images").mkdir(parents=True)
    for number in images:
        Image.new("RGB", (SIZE.width, SIZE.height)).save(root / f"images/{number}.png")
    (root / "project.json").write_text(json.dumps(tasks))
    return root


def opened(root, **options):
    return open_dataset(Options(root=str(root), fractions=ALL, **options))


def pixels_within(inside):
    """Mask of the pixels whose centres lie inside, by trying each."""
    return np.array([[inside(x + 0.5, y + 0.5) for x in range(SIZE.width)] for y in range(SIZE.height)])


BOX = {"x": 25.0, "y": 20.0, "width": 40.0, "height": 30.0}  # 16 × 9 pixels from (10, 6)


def test_an_export_reads_back_as_the_ground_truth(tmp_path):
    source = scenes()
    exported = export(source, tmp_path / "x")
    dataset = reopened(exported)
    assert_the_same_shapes(source, dataset, exported)


@pytest.mark.few(2)
@pytest.mark.parametrize("seed", range(4))
def test_run_lengths_are_those_of_label_studios_own_converter(seed):
    brush = pytest.importorskip("label_studio_converter.brush")
    rng = np.random.default_rng(seed)
    mask = rng.random((21, 17)) < (0.05, 0.3, 0.5, 1.0)[seed]
    if seed == 3:
        mask = np.zeros((300, 400), bool)  # runs longer than 2^16 values
        mask[100:250, 3:] = True
    size = Size(*mask.shape)
    theirs = brush.mask2rle(mask.astype(np.uint8) * 255)
    assert brush_mask(theirs, size).tolist() == mask.tolist()
    assert brush.decode_rle(brush_lengths(mask)).reshape(*size, 4)[..., 3].astype(bool).tolist() == mask.tolist()


def test_a_polygon_is_percent_of_the_image_and_the_later_region_is_on_top(tmp_path):
    corners = [[25.0, 20.0], [65.0, 20.0], [65.0, 50.0], [25.0, 50.0]]
    root = project(tmp_path, task(1, [region("rod", points=corners), region("cell", "rectangle", **BOX)]))
    dataset = opened(root)
    ground_truth = dataset.target("1")
    assert [c.name for c in dataset.classes] == ["background", "cell", "rod"]
    assert ground_truth.instances.masks.sum(axis=(1, 2)).tolist() == [16 * 9, 16 * 9]
    expected = np.zeros(SIZE, int)
    expected[6:15, 10:26] = 1
    assert ground_truth.semantic.labels.tolist() == expected.tolist()


@pytest.mark.parametrize("angle", [0, 30, 90, 200])
def test_a_rectangle_is_turned_about_its_upper_left_corner_in_pixels(tmp_path, angle):
    box = {**BOX, "x": 55.0, "y": 46.0}
    root = project(tmp_path, task(1, [region("cell", "rectangle", rotation=0, **box)]))
    document = json.loads((root / "project.json").read_text())
    document[0]["annotations"][0]["result"][0]["value"]["rotation"] = angle
    (root / "project.json").write_text(json.dumps(document))

    def inside(x, y):
        a = math.radians(-angle)
        dx, dy = x - 22.0, y - 13.8
        u, v = dx * math.cos(a) - dy * math.sin(a), dx * math.sin(a) + dy * math.cos(a)
        return -1e-9 <= u < 16 + 1e-9 and -1e-9 <= v < 9 + 1e-9

    found = opened(root).target("1").instances.masks[0]
    # COCO's painting rounds edges to a fifth of a pixel.
    assert np.count_nonzero(found != pixels_within(inside)) <= (0 if angle == 0 else 3)


def test_an_ellipse_has_its_radii_in_percent_of_either_side(tmp_path):
    root = project(tmp_path, task(1, [region("cell", "ellipse", x=50.0, y=50.0, radiusX=20.0, radiusY=30.0)]))
    found = opened(root).target("1").instances.masks[0]
    expected = pixels_within(lambda x, y: ((x - 20) / 8) ** 2 + ((y - 15) / 9) ** 2 <= 1)
    assert np.count_nonzero(found != expected) <= 4


def test_regions_of_an_image_that_was_turned_on_the_screen_are_refused_until_it_is_said_what_they_fit(tmp_path):
    corners = [[0.0, 0.0], [50.0, 0.0], [50.0, 10.0], [0.0, 10.0]]
    root = project(tmp_path, task(1, [region("cell", points=corners, rotation=90)]))
    with pytest.raises(DatasetError, match=r"turned by 90 degrees.*rotated: stored"):
        opened(root).target("1")
    stored = opened(root, rotated="stored").target("1").semantic.labels
    assert stored.tolist() == pixels_within(lambda x, y: x < 20 and y < 3).astype(int).tolist()
    # Turned clockwise, the lower left corner is the upper left one: half the width is the lower half of the height.
    shown = opened(root, rotated="shown").target("1").semantic.labels
    assert shown.tolist() == pixels_within(lambda x, y: x < 4 and y > 15).astype(int).tolist()


def test_what_does_not_count_is_told_and_several_annotations_are_refused(tmp_path):
    cell, rod = region("cell", "rectangle", **BOX), region("rod", "rectangle", **BOX)
    tasks = [task(1, [cell], [rod], [cell], cancelled=(2,)), task(2), task(3, [])]
    root = project(tmp_path, *tasks, images=(1, 2, 3))
    with pytest.raises(DatasetError, match=r"1 of 3 tasks have several annotations, for example task 1"):
        opened(root)
    dataset = opened(root, annotation="last")
    assert dataset.ids("all") == ("1", "3")
    assert dataset.target("1").instances.class_ids.tolist() == [1]
    assert [c.name for c in dataset.classes] == ["background", "rod"]
    told = " ".join(dataset.description.inferred)
    assert "1 of 3 tasks have no annotation" in told
    assert "1 annotations were cancelled" in told


def test_a_region_without_an_area_is_refused_until_its_label_is_ignored(tmp_path):
    root = project(tmp_path, task(1, [region("p", "keypoint", x=1, y=1), region("cell", "rectangle", **BOX)]))
    document = json.loads((root / "project.json").read_text())
    document[0]["annotations"][0]["result"].append({"type": "choices", "value": {"choices": ["good"]}})
    (root / "project.json").write_text(json.dumps(document))
    with pytest.raises(DatasetError, match="p: it cannot be drawn: it has no area"):
        opened(root).target("1")
    assert len(opened(root, ignore_labels=("p",)).target("1").instances.masks) == 1


@pytest.mark.parametrize(
    "place",
    ["/data/upload/1/0a1b2c3d-1.png", "/data/local-files/?d=images/1.png", "s3://bucket/set/1.png", "a\\images\\1.png"],
)
def test_an_image_is_found_wherever_label_studio_had_it(tmp_path, place):
    root = project(tmp_path, task(1, [region("cell", "rectangle", **BOX)], image=place))
    assert opened(root).entry("1").image == root / "images/1.png"


def test_missing_images_are_counted(tmp_path):
    root = project(tmp_path, *(task(n, [region("cell", "rectangle", **BOX)]) for n in (1, 2, 3)))
    with pytest.raises(DatasetError, match=r"2 of 3 images are not there, for example .*-2\.png, looked for as 2\.png"):
        opened(root)


def test_json_min_gives_what_json_gives(tmp_path):
    cell = region("cell", "rectangle", **BOX)
    flat = {**cell["value"], "original_width": SIZE.width, "original_height": SIZE.height}
    row = {"image": "/data/upload/1/0a1b2c3d-1.png", "id": 1, "label": [flat], "annotator": 1, "annotation_id": 1}
    expected = opened(project(tmp_path / "a", task(1, [cell]))).target("1")
    found = opened(project(tmp_path / "b", row)).target("1")
    assert found.semantic.labels.tolist() == expected.semantic.labels.tolist()


def test_pngs_of_its_own_converter_are_read_for_the_images_of_their_tasks(tmp_path):
    brush = pytest.importorskip("label_studio_converter.brush")
    mask = pixels_within(lambda x, y: x < y)
    drawn = region("cell-wall", "brush", format="rle", rle=brush.mask2rle(mask.astype(np.uint8) * 255))
    root = project(tmp_path, task(1, [drawn]))
    flat = {"type": "BrushLabels", **drawn, **drawn["value"]}
    (root / "png").mkdir()
    brush.save_brush_images_from_annotation(1, 7, "me@x.org", "tag", [flat], str(root / "png"), "png")
    assert len(list((root / "png").iterdir())) == 1
    dataset = opened(root, pngs="png")
    ground_truth = dataset.target("1")
    assert [c.name for c in dataset.classes] == ["background", "cell-wall"]
    assert (
        ground_truth.semantic.labels.tolist()
        == mask.astype(int).tolist()
        == opened(root).target("1").semantic.labels.tolist()
    )
    (root / "png" / "task-9-annotation-1-by-1-tag-cell-0.png").write_bytes(b"")
    with pytest.raises(DatasetError, match="the tasks 9 are not in the JSON"):
        opened(root, pngs="png")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"format": "rle", "rle": [0, 0, 1]}, "run lengths are"),
        ({"points": [[0, 0], [1, 1]]}, "cannot be drawn"),
        ({"x": "a", "y": 0, "width": 1, "height": 1}, "cannot be drawn"),
    ],
)
def test_damaged_regions_are_named_with_task_and_image(tmp_path, value, said):
    root = project(tmp_path, task(1, [region("cell", "brush" if "rle" in value else "polygon", **value)]))
    with pytest.raises(DatasetError, match=rf"task 1, image 1\.png: cell.*{said}"):
        opened(root).target("1")


@pytest.mark.parametrize("lengths", [10**30, 5, "text", None, [1, 2, 300], [1, "2"], [], [255] * 8])
def test_run_lengths_that_are_none_are_refused_and_cost_no_memory(lengths):
    with pytest.raises(ValueError, match="run lengths"):
        brush_mask(lengths, Size(4, 5))


def scene_of(number):
    """An image with one bright block at a place of its own, and the block, x, y, width and height."""
    x, y, width, height = 2 + 2 * number, 3 + number, 9, 7
    pixels = np.full((*SIZE, 3), 30, dtype=np.uint8)
    pixels[y : y + height, x : x + width] = 220
    return pixels, (x, y, width, height)


def write_blocks(root, scale, *, shown=True, count=4, stated=True):
    """Tasks whose regions are the blocks of their images; numbers are pixels times `scale`, across and down."""
    (root / "images").mkdir(parents=True)
    tasks = []
    for number in range(count):
        pixels, (x, y, width, height) = scene_of(number)
        Image.fromarray(pixels if shown else pixels * 0).save(root / f"images/{number}.png")
        across, down = scale
        box = {"x": x * across, "y": y * down, "width": width * across, "height": height * down}
        one = region("cell", "rectangle", **box)
        if not stated:
            del one["original_width"], one["original_height"]
        tasks.append(task(number, [one]))
    (root / "project.json").write_text(json.dumps(tasks))
    return root


AS_PIXELS, AS_PERCENT = (1, 1), (100 / SIZE.width, 100 / SIZE.height)


@pytest.mark.parametrize("stated", [True, False])
def test_pixels_in_place_of_percent_are_refused_and_read_by_the_option(tmp_path, stated):
    root = write_blocks(tmp_path, AS_PIXELS, stated=stated)
    with pytest.raises(DatasetError, match=r"may be pixels.*outlines lie on edges.*coordinates: pixels or"):
        opened(root)
    dataset = opened(root, coordinates="pixels")
    for number in range(4):
        x, y, width, height = scene_of(number)[1]
        expected = np.zeros(SIZE, dtype=bool)
        expected[y : y + height, x : x + width] = True
        assert dataset.target(str(number)).instances.masks[0].tolist() == expected.tolist()


@pytest.mark.parametrize("shown", [True, False])
def test_percent_stays_percent(tmp_path, shown):
    dataset = opened(write_blocks(tmp_path, AS_PERCENT, shown=shown))
    assert dataset.target("0").instances.masks.sum() == 9 * 7
    assert dataset.description.inferred == ()


def test_where_nothing_tells_the_units_many_regions_or_whole_numbers_are_refused_and_few_are_noted(tmp_path):
    with pytest.raises(DatasetError, match="should be percent of the image, but may be pixels"):
        opened(write_blocks(tmp_path / "whole", AS_PIXELS, shown=False))
    few = opened(write_blocks(tmp_path / "few", (1.01, 1.01), shown=False))
    assert (
        "coordinates are read as percent, though all 4 regions end within their images" in few.description.inferred[0]
    )
    with pytest.raises(DatasetError, match="all 11 regions end within their images in pixels, too"):
        opened(write_blocks(tmp_path / "many", (0.61, 0.61), shown=False, count=11))
    assert opened(write_blocks(tmp_path / "said", AS_PIXELS, shown=False), coordinates="percent").ids("all")


@pytest.mark.parametrize("channels", [1, 4])
def test_a_picture_of_the_tool_bitmask_is_a_mask(tmp_path, channels):
    expected = np.zeros(SIZE, dtype=bool)
    expected[4:9, 10:31] = True
    pixels = expected.astype(np.uint8) * 255
    stored = io.BytesIO()
    Image.fromarray(pixels if channels == 1 else np.dstack([pixels * 0] * 3 + [pixels])).save(stored, "PNG")
    address = f"data:image/png;base64,{base64.b64encode(stored.getvalue()).decode()}"
    root = project(tmp_path / "a", task(1, [region("cell", "bitmask", imageDataURL=address)]))
    assert opened(root).target("1").instances.masks[0].tolist() == expected.tolist()
    root = project(tmp_path / "b", task(1, [region("cell", "bitmask", imageDataURL="nothing")]))
    with pytest.raises(DatasetError, match="its picture is no text in base64"):
        opened(root).target("1")
