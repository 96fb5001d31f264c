"""`bench preview`: sheets of what a recipe makes of the training images, and usage errors told in one paragraph."""

from __future__ import annotations

import json
from importlib.util import find_spec

import cv2
import numpy as np
import pytest

from bench.cli.main import main
from bench.records import ClassSpec
from bench.records.store.layout import plain_name
from bench.report.draw.contact_sheet import Tile, overlay_with_void
from tests.bench.suites import SHAPES, perfect, write_suite

RECIPE = {"budget": {"steps": 1}, "device": "cpu", "augmentation": {"rotate_deg": 20, "scale": [0.5, 2.0]}}
needs_torchvision = pytest.mark.skipif(
    find_spec("torch") is None or find_spec("torchvision") is None, reason="torch or torchvision is not installed"
)


def preview(capsys, suite, folder, *words: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    code = main(["preview", str(suite), "--out", str(folder), *(str(word) for word in words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, suite, folder, *words: object) -> str:
    """The one paragraph of a usage error, after which nothing was written."""
    code, out, err = preview(capsys, suite, folder, *words)
    assert (code, out) == (2, "")
    assert err.startswith("bench preview: ")
    assert "Traceback" not in err
    assert "\n" not in err.strip()
    assert not folder.is_dir()
    return err


@pytest.mark.slow
@needs_torchvision
def test_there_is_a_sheet_for_each_recipe_that_treats_images_differently(capsys, tmp_path):
    models = [
        "unet/transposed",
        {"name": "unet/bilinear", "recipe": {"loss": "dice"}},  # the images are treated alike
        {"name": "unet/nearest", "recipe": {"flip": False, "augmentation": {"scale": [1.0, 1.0]}}},
        perfect(),  # is not trained
    ]
    suite = write_suite(tmp_path, models, recipe=RECIPE)
    code, out, err = preview(capsys, suite, tmp_path / "sheets", "--images", 2)
    assert code == 0
    names = [plain_name(f"shapes@unet/{model}") for model in ("transposed", "nearest")]
    named = [tmp_path / "sheets" / f"{name}.png" for name in names]
    assert out.split() == [str(path) for path in named]
    assert "trained: unet/transposed, unet/bilinear\n" in err
    assert f"{named[1]}: 'flip' is off and 'augmentation' changes nothing" in err
    assert str(named[0]) not in err
    sheets = [cv2.imread(str(path)) for path in named]
    assert sheets[0].shape == sheets[1].shape
    assert sheets[0].shape[1] > sheets[0].shape[0]  # two rows of six


@pytest.mark.slow
@needs_torchvision
def test_a_sheet_has_as_many_rows_as_images_are_asked_for_and_there(capsys, tmp_path):
    few = {**SHAPES, "label": "few", "options": {**SHAPES["options"], "train": 1}}
    suite = write_suite(tmp_path, ["unet/transposed"], recipe=RECIPE, datasets=[SHAPES, few])
    assert preview(capsys, suite, tmp_path, "--images", 3)[0] == 0
    three, one = (cv2.imread(str(tmp_path / f"{label}.png")).shape[0] for label in ("shapes", "few"))
    # A tile of 1.75 inches with its gap of 0.06, at 150 dots per inch.
    assert three - one == pytest.approx(2 * 1.81 * 150, abs=2)


def test_classes_are_tinted_and_void_is_striped():
    image = np.full((48, 48, 3), 100, np.uint8)
    labels = np.zeros((48, 48), np.uint8)
    labels[:, 24:] = 255
    shown = overlay_with_void(image, Tile(labels), (ClassSpec(name="red", colour=(200, 0, 0)),))
    assert (shown[:, :24] == (150, 50, 50)).all()  # half the image, half the class
    # Half white, and grey 150 where a stripe is.
    assert {tuple(rgb) for rgb in shown[:, 24:].reshape(-1, 3).tolist()} == {(178, 178, 178), (150, 150, 150)}


def test_a_suite_without_a_recipe_is_told_how_to_get_one(capsys, tmp_path):
    message = refused(capsys, write_suite(tmp_path, ["unet/transposed"]), tmp_path / "sheets")
    assert "suite.yaml: has no 'recipe'" in message
    assert "recipe: {budget: {epochs: 20}" in message


def test_a_recipe_that_applies_to_no_model_is_told(capsys, tmp_path):
    message = refused(capsys, write_suite(tmp_path, [perfect()], recipe=RECIPE), tmp_path / "sheets")
    assert "applies to none of its models" in message


@pytest.mark.parametrize("number", [0, -1, 51])
def test_a_number_of_images_that_is_no_sheet_is_refused(capsys, tmp_path, number):
    suite = write_suite(tmp_path, ["unet/transposed"], recipe=RECIPE)
    assert "expected 1 to 50" in refused(capsys, suite, tmp_path / "sheets", "--images", number)


def test_an_interpreter_without_torchvision_is_named_with_the_command_that_fixes_it(capsys, tmp_path):
    python = tmp_path / "python"
    torch = {"name": "torch", "version": "2.4.0"}
    answer = json.dumps({"implementation": "CPython", "version": "3.11.0", "packages": [torch]})
    python.write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="utf-8")
    python.chmod(0o755)
    suite = write_suite(tmp_path, ["unet/transposed"], recipe=RECIPE)
    message = refused(capsys, suite, tmp_path / "sheets", "--python", f"unet={python}")
    assert f"{python} does not have" in message
    assert f"{python} -m pip install torch torchvision" in message


@needs_torchvision
def test_a_file_in_place_of_the_folder_is_named(capsys, tmp_path):
    (tmp_path / "sheets").write_text("", encoding="utf-8")
    suite = write_suite(tmp_path, ["unet/transposed"], recipe=RECIPE)
    assert "cannot be made a folder" in refused(capsys, suite, tmp_path / "sheets")


def test_an_unknown_change_is_named_with_its_place(capsys, tmp_path):
    suite = write_suite(tmp_path, ["unet/transposed"], recipe={**RECIPE, "augmentation": {"rotate": 20}})
    assert "recipe.augmentation.rotate" in refused(capsys, suite, tmp_path / "sheets")
