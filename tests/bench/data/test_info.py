"""`bench list datasets` and `bench data info`: what is said of data sets that are here and that are not."""

from __future__ import annotations

import importlib
from typing import get_args

import pytest

from bench.cli.main import main
from bench.data.export import export_names
from bench.data.info import published_counts
from bench.data.opening import Choice, module_of, opened
from bench.dataset import dataset_names
from bench.records import TaskKind
from tests.bench.data.miniatures import bench_data, words_for, written


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_list_names_every_data_set_with_forms_and_terms(capsys):
    assert main(["list", "datasets"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[0].split("  ")[0] == "data set"
    for name in dataset_names():
        assert f"\n{name} " in out


def test_the_older_data_list_prints_the_same_and_warns(capsys):
    main(["list", "datasets"])
    new, _ = capsys.readouterr()
    code, old, err = bench_data(capsys, "list")
    assert (code, old) == (0, new)
    assert "bench list datasets" in err


@pytest.mark.parametrize("name", dataset_names())
def test_every_data_set_says_in_a_line_where_it_is_from_on_which_terms_and_what_it_has(name):
    module = module_of(name)
    for line in (module.SOURCE, module.LICENCE):
        assert line
        assert "\n" not in line
    assert module.OBTAIN
    assert module.TASKS
    assert set(module.TASKS) < set(get_args(TaskKind))


@pytest.mark.few(5)
@pytest.mark.parametrize("form", export_names())
def test_an_open_data_set_has_no_form_that_the_list_does_not_name(form, tmp_path):
    exported = written(form, tmp_path / form)
    dataset = opened(Choice(form, form, dict(exported.options)))
    assert set(dataset.tasks) <= set(module_of(form).TASKS)
    assert dataset.licence == module_of(form).LICENCE


def test_what_can_be_fetched_is_told_with_its_parts(capsys):
    _, out, _ = bench_data(capsys, "info", "coco")
    assert "Fetch it with: bench data prepare coco --out DIR; --part chooses\n  val        5,000 images\n" in out
    assert "bench data prepare" not in bench_data(capsys, "info", "carvana")[1]


def test_a_data_set_that_is_not_here_is_told_with_the_way_to_get_it(capsys, tmp_path):
    code, out, _ = bench_data(capsys, "info", "voc")
    told = " ".join(out.split())
    assert code == 0
    assert f"Here: not found voc: nothing at {tmp_path}/data/VOCdevkit/VOC2012/JPEGImages." in told
    assert importlib.import_module("bench.datasets.voc").OBTAIN in told
    assert "Expected: 1,464 train, 1,449 val" in told


def test_a_data_set_that_is_here_is_counted_against_what_is_published(capsys, tmp_path):
    exported = written("voc", tmp_path / "voc")
    _, out, _ = bench_data(capsys, "info", *words_for(Choice("voc", "voc", dict(exported.options))))
    rows = [line.split() for line in out.splitlines()]
    assert ["train", "20", "1464"] in rows
    assert ["val", "6", "1449"] in rows
    assert ["0", "background", "stuff", "#000000"] in rows
    assert ["1", "aeroplane", "thing", "#800000"] in rows


def test_a_split_that_cannot_be_listed_is_told_beside_the_others(capsys, tmp_path):
    exported = written("voc", tmp_path / "voc")
    file = exported.folder / "ImageSets" / "Segmentation" / "train.txt"
    file.write_text(file.read_text() * 2)
    code, out, _ = bench_data(capsys, "info", *words_for(Choice("voc", "voc", dict(exported.options))))
    assert code == 0
    assert "cannot be listed" in out
    assert "train: voc: 20 ids of split 'train' are not unique" in out


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("voc", {"root": "x"}, {"train": 1464, "val": 1449}),
        ("voc", {"augmented": True}, {"train": 10582, "val": 1449}),
        ("voc", {"augmented": False}, {"train": 1464, "val": 1449}),
        ("camvid", {}, {"all": 701}),
        ("camvid", {"variant": "segnet"}, {"train": 367, "val": 101, "test": 233}),
        ("coco", {}, {"train": 118287, "val": 5000}),
        ("coco", {"truth": "instances"}, {"train": 118287, "val": 5000}),
        ("coco", {"images": "{split}"}, {}),
        ("folder", {}, {}),
    ],
)
def test_published_counts_are_those_of_the_variant_and_none_of_another_project(name, options, expected):
    assert published_counts(Choice(name, name, options)) == expected
