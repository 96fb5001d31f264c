"""`bench data stats`: the counts against a slow count of the same ground truth, the table, and the picture."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from bench.data.formats.by_name import open_dataset
from bench.data.opening import Choice, opened
from bench.data.stats import measure, table
from tests.bench.data.miniatures import bench_data, copied, entries, refused, words_for, written

OPTIONS = {"size": [48, 64], "train": 6, "val": 3, "test": 2}


@pytest.fixture
def counted(tmp_path):
    choice = Choice("shapes", "shapes", OPTIONS)
    dataset = opened(choice)
    return measure(choice, dataset, dataset.splits(), cache=tmp_path, jobs=1, console=Console(file=io.StringIO()))


def test_the_counts_are_those_of_a_pixel_by_pixel_count(counted):
    dataset = open_dataset("shapes", OPTIONS)
    pixels, images, areas, void = Counter(), Counter(), {}, 0
    for split in dataset.splits():
        for image_id in dataset.ids(split):
            ground_truth = dataset.target(image_id)
            values = [value for row in ground_truth.semantic.labels.tolist() for value in row]
            pixels.update(value for value in values if value != 255)
            void += values.count(255)
            kept = [i for i, crowd in enumerate(ground_truth.instances.crowd) if not crowd]
            objects = [int(ground_truth.instances.class_ids[i]) for i in kept]
            images.update((set(values) | set(objects)) - {255})
            for i, class_id in zip(kept, objects, strict=True):
                areas.setdefault(class_id, []).append(int(ground_truth.instances.masks[i].sum()))
    assert [found.pixels for found in counted.by_class] == [pixels[c] for c in range(10)]
    assert [found.images for found in counted.by_class] == [images[c] for c in range(10)]
    assert [found.areas for found in counted.by_class] == [areas.get(c, []) for c in range(10)]
    assert sum(split.void for split in counted.by_split.values()) == void > 0
    assert {name: split.images for name, split in counted.by_split.items()} == {"train": 6, "val": 3, "test": 2}


def test_the_table_says_what_is_absent_and_what_columns_mean(counted):
    text = table(counted)
    assert "In no image: hexagon." in text
    assert "small: below 32² pixels, large: 96² and more." in text
    hexagon = next(line.split() for line in text.splitlines() if line.startswith("hexagon"))
    assert hexagon == ["hexagon", "thing", "0.00", "0", "0.00", "0"]


def test_sizes_are_told_by_smallest_usual_and_largest(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    choice = copied(written("folder", tmp_path / "folder"), tmp_path / "copy")
    for entry, size in zip(entries(choice, "val"), [(20, 10), (200, 100)], strict=False):
        for path in (entry.image, *entry.ground_truths):
            with Image.open(path) as picture:
                picture.resize(size, Image.Resampling.NEAREST).save(path)
    _, out, _ = bench_data(capsys, "stats", *words_for(choice), "--split", "val")
    row = next(line for line in out.splitlines() if line.startswith("val "))
    assert " ".join(row.split()[:12]) == "val 6 3 10 × 20 48 × 64 100 × 200"


def test_a_data_set_without_objects_has_no_columns_for_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exported = written("folder", tmp_path / "folder")
    _, out, _ = bench_data(capsys, "stats", "folder", *words_for(Choice("folder", "folder", exported.options))[1:])
    assert "objects" not in out
    assert "thing" in out


def test_unreadable_ground_truths_are_left_out_and_counted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    choice = copied(written("voc", tmp_path / "voc"), tmp_path / "copy")
    entries(choice, "val")[0].ground_truths[0].write_bytes(b"")
    code, out, _ = bench_data(capsys, "stats", *words_for(choice))
    assert code == 0
    assert "Left out: 1 images whose ground truth cannot be read; see bench data check." in out


def test_a_data_set_of_unreadable_ground_truths_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    choice = copied(written("voc", tmp_path / "voc"), tmp_path / "copy")
    for entry in entries(choice, "test"):
        entry.ground_truths[0].write_bytes(b"")
    message = refused(capsys, "stats", *words_for(choice), "--split", "test")
    assert message == "voc: none of 4 ground truth can be read. See why with: bench data check voc"


def test_the_picture_is_drawn_where_it_is_asked_for_and_is_the_same_every_time(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["shapes", "--set", "size=[32, 32]", "--set", "train=3", "--set", "val=1", "--set", "test=1"]
    _, out, _ = bench_data(capsys, "stats", *words)
    assert out.splitlines()[-1] == "results/data/shapes-stats.png"
    bench_data(capsys, "stats", *words, "--out", "again.png")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "results/data/shapes-stats.png").read_bytes()
    with Image.open("again.png") as picture:
        assert len(np.unique(np.asarray(picture.convert("RGB"), np.int32) @ (1, 256, 65536))) > 20


@pytest.mark.parametrize("action", ["stats", "preview"])
def test_a_picture_of_another_format_is_refused(action, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["shapes", "--set", "size=[32, 32]", "--set", "train=2", "--set", "val=1", "--set", "test=1"]
    code, _, err = bench_data(capsys, action, *words, "--out", "picture.jpg")
    assert code == 2
    assert err == "bench data: --out picture.jpg: the picture is a PNG; give a name that ends in .png\n"
