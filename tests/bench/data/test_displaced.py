"""Frames of one film are found in two splits whatever the displacement, and different images never."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.data.displaced import displaced_pairs, frame, packed, unpacked
from bench.data.formats.by_name import open_dataset
from tests.bench.data.miniatures import bench_data

HEIGHT, WIDTH = 180, 240


def scene(seed, height=HEIGHT + 60, width=WIDTH + 80):
    """A photograph as it were: detail of every size, and a few patches."""
    random = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.float32)
    for cells in (4, 16, 64, width):
        noise = random.normal(0, 56 / cells**0.25, (max(2, cells * 3 // 4), cells, 3)).astype(np.float32)
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(5):
        centre, side = random.random(2) * (width, height), random.uniform(20, 60)
        cv2.rectangle(image, *[tuple(int(v) for v in centre + s * side) for s in (0, 1)], random.normal(0, 60, 3), -1)
    return np.clip(image + 128, 0, 255).astype(np.uint8)


def view(image, down=0, right=0):
    return np.ascontiguousarray(image[30 + down : 30 + down + HEIGHT, 40 + right : 40 + right + WIDTH])


def changed(image):
    """Lighter, and stored as JPEG."""
    lighter = np.clip(image.astype(int) * 1.05 + 8, 0, 255).astype(np.uint8)
    return cv2.imdecode(cv2.imencode(".jpg", lighter, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)


def grey(image):
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (1, 0), (2, 1), (-3, 4), (5, -7), (-9, -12), (0, 20)])
def test_a_moved_frame_is_found_with_its_displacement(down, right):
    others = [frame(grey(view(scene(seed)))) for seed in range(6)]
    ones = [frame(grey(changed(view(scene(seed), down, right)))) for seed in (3, 5)]
    pairs = displaced_pairs(ones, others)
    assert [(pair.one, pair.other) for pair in pairs] == [(0, 3), (1, 5)]
    for pair in pairs:
        # What lies further down in the scene lies higher in the moved view.
        assert pair.down * HEIGHT == pytest.approx(down, abs=1)
        assert pair.right * WIDTH == pytest.approx(right, abs=1)


def test_something_that_moves_before_a_scene_that_stays_is_a_frame_of_the_same_film():
    one, other = view(scene(1)).copy(), view(scene(1)).copy()
    cv2.circle(one, (60, 60), 14, (200, 30, 30), -1)
    cv2.circle(other, (180, 120), 14, (200, 30, 30), -1)
    assert len(displaced_pairs([frame(grey(one))], [frame(grey(other))])) == 1


def test_different_scenes_and_nothing_are_not():
    frames = [frame(grey(view(scene(seed)))) for seed in range(24)]
    assert displaced_pairs(frames[12:], frames[:12]) == []
    assert displaced_pairs([], frames) == displaced_pairs(frames, []) == []


def test_flat_images_are_frames_of_no_film():
    flat = [np.full((48, 48), value, np.uint8) for value in (0, 7, 255)]
    assert displaced_pairs(flat, flat) == []


def test_neither_slices_of_a_brain_nor_drawn_scenes_are():
    for name, options in (("brain", {}), ("shapes", {"size": [64, 96], "train": 80, "val": 40, "test": 1})):
        dataset = open_dataset(name, options)
        train, *others = [
            [frame(grey(dataset.image(i))) for i in dataset.ids(split)] for split in dataset.splits()
        ]  # fmt: skip
        assert all(displaced_pairs(ones, train) == [] for ones in others)


def test_a_frame_is_kept_as_text():
    made = frame(grey(view(scene(0))))
    assert np.array_equal(unpacked(packed(made)), made)


def test_a_film_that_was_dealt_to_two_splits_is_told_of_both(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for kind in ("images", "masks"):
        for split in ("train", "val"):
            (tmp_path / "d" / kind / split).mkdir(parents=True)
    for number in range(12):  # a film that pans to the right, and six other pictures
        split = "val" if number % 3 == 2 else "train"
        image = view(scene(77), right=2 * number) if number < 9 else view(scene(number))
        cv2.imwrite(str(tmp_path / f"d/images/{split}/f{number}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 80])
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[40:90, 30:100] = 1
        Image.fromarray(mask).save(tmp_path / f"d/masks/{split}/f{number}.png")
    code, out, _ = bench_data(capsys, "check", "folder", "--set", f"root={tmp_path / 'd'}")
    assert code == 1
    for name in ("f2.jpg (val)", "f5.jpg (val)", "f8.jpg (val)"):
        assert name in out
    assert "f11.jpg" not in out
    assert "val: 3 of its 4 images are also, or nearly, in another split. 3 are evidence enough" in out
