"""`bench data export`: any data set in any format, with its loss told and nothing overwritten."""

from __future__ import annotations

import importlib
import io
import json
import shlex

import cv2
import numpy as np
import pytest
from rich.console import Console

from bench.data.export import export, export_names
from bench.data.exports import nnunet, voc
from bench.data.opening import Choice, opened
from bench.dataset import GroundTruth
from bench.errors import DatasetError
from bench.records.predictions import Instances, SemanticMap
from tests.bench.data.miniatures import bench_data, refused, words_for, written

WORDS = ["shapes", "--set", "size=[48, 64]", "--set", "train=20", "--set", "val=3", "--set", "test=2"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.few(4)
@pytest.mark.parametrize("form", export_names())
def test_the_loss_of_every_format_is_told_and_what_is_written_opens_as_told(form, capsys):
    code, out, _ = bench_data(capsys, "export", *WORDS, "--as", form, "--out", "there")
    assert code == 0
    for loss in importlib.import_module(f"bench.data.exports.{form}").LOSS:
        assert f"\n  - {loss}\n" in out
    last = out.splitlines()[-1]
    assert last.startswith(f"Open it with: bench data check {form} --set root=there")
    code, _, _ = bench_data(capsys, *shlex.split(last.removeprefix("Open it with: bench data ")))
    assert code == 0


def test_a_real_format_becomes_another(tmp_path, capsys):
    exported = written("coco", tmp_path / "coco")
    choice = Choice("coco", "coco", dict(exported.options))
    code, out, _ = bench_data(capsys, "export", *words_for(choice), "--as", "folder", "--out", "there")
    assert code == 0
    assert out.startswith("coco: 30 images written to there as folder\n")
    source, copy = opened(choice), opened(Choice("folder", "folder", {"root": "there", "split_by": "folders"}))
    for image_id in source.ids("val"):
        found = copy.target(f"val__{image_id}").semantic.labels
        assert (found == source.target(image_id).semantic.labels).all()


def test_classes_get_the_names_they_are_given(tmp_path, capsys):
    rename = ("--rename", "disc=ball", "--rename", "sky=air")
    bench_data(capsys, "export", *WORDS, "--as", "folder", "--out", "there", *rename)
    names = [c.name for c in opened(Choice("folder", "folder", {"root": "there"})).classes]
    assert names[:4] == ["air", "ground", "water", "ball"]


def test_a_folder_that_holds_anything_is_left_as_it_is(tmp_path, capsys):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("keep")
    message = refused(capsys, "export", *WORDS, "--as", "voc", "--out", "there")
    assert message == ("there is not empty, and an export overwrites nothing. Give a new folder, or empty this one.")
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["mine.txt"]


def test_an_unknown_format_is_refused_with_the_nearest(capsys):
    message = refused(capsys, "export", *WORDS, "--as", "yollo", "--out", "there")
    assert message == f"no export format 'yollo'. Did you mean 'yolo'? Formats: {', '.join(export_names())}"


def test_an_unknown_class_is_refused_with_the_nearest(capsys):
    message = refused(capsys, "export", *WORDS, "--as", "folder", "--out", "there", "--rename", "disk=ball")
    assert message == (
        "--rename 'disk=ball': the data set has no class 'disk'. Did you mean 'disc'? It has: sky, ground, water, "
        "disc, square, triangle, ring, cross, dumbbell, hexagon"
    )


def test_a_rename_without_a_new_name_is_refused(capsys):
    message = refused(capsys, "export", *WORDS, "--as", "folder", "--out", "there", "--rename", "disc")
    assert message == "--rename 'disc' is not of the form OLD=NEW, for example --rename disc=car"


def test_a_bar_on_a_terminal_changes_nothing_that_is_written(tmp_path):
    choice = Choice("shapes", "shapes", {"size": [32, 32], "train": 3, "val": 1, "test": 1})
    terminal = io.StringIO()
    for folder, console in (("one", Console(file=terminal, force_terminal=True)), ("two", Console(file=io.StringIO()))):
        export(choice, opened(choice), "folder", tmp_path / folder, rename=(), console=console)
    ids = [json.loads((tmp_path / folder / "export.json").read_text())["ids"] for folder in ("one", "two")]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 5
    assert "export shapes as folder" in terminal.getvalue()


def test_colours_behind_grey_images_have_no_place_in_one_nnunet_folder(tmp_path):
    for folder, size in (("images", (4, 4, 3)), ("masks", (4, 4))):
        (tmp_path / folder).mkdir()
        for name in "ab":
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), np.resize(np.uint8([0, 0, 0, 1, 1, 1]), size))
    cv2.imwrite(str(tmp_path / "images" / "b.png"), np.uint8([[[0, 1, 2]] * 4] * 4))
    source = opened(Choice("folder", "folder", {"root": str(tmp_path), "fractions": {"a": 1.0}}))
    with pytest.raises(DatasetError, match=r"nnunet: b has colours, earlier images are grey. Export them apart"):
        nnunet.export(source, tmp_path / "there")


def test_more_objects_than_a_palette_of_voc_holds():
    masks = np.zeros((255, 16, 16), bool)
    masks.reshape(255, 256)[np.arange(255), np.arange(255)] = True
    objects = Instances(masks, np.ones(255, np.int64), np.ones(255), np.zeros(255, bool))
    source = opened(Choice("shapes", "shapes", {}))
    with pytest.raises(DatasetError, match="voc: image 'i' has 255 objects; a palette holds 254"):
        voc._objects(
            GroundTruth(SemanticMap(np.ones((16, 16), np.uint8)), objects),
            np.ones((16, 16), np.uint8),
            [0, 1],
            source,
            "i",
        )
