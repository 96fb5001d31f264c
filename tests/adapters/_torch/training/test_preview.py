"""Tests what the preview worker makes of images, and its messages where it cannot."""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("torchvision", reason="torchvision is not installed")

from adapters._torch.training import preview
from adapters._torch.training.augment import Augmenter
from bench.errors import Unsupported
from bench.records import Augmentation, Size
from bench.records.recipe import PreviewRequest
from tests.bench.builders import make_recipe

COUNT, DRAWS = 8, 6


def picture(index: int, shape: tuple[int, int] = (20, 30)) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(index)
    return random.integers(0, 256, (*shape, 3), np.uint8), random.integers(0, 4, shape, np.uint8)


def answered(folder, recipe) -> dict[str, np.ndarray]:
    """The arrays a worker leaves for `COUNT` pictures."""
    pairs = {index: picture(index) for index in range(COUNT)}
    given = {f"{kind}_{i}": pairs[i][k] for i in pairs for k, kind in enumerate(("image", "labels"))}
    np.savez(folder / "images.npz", **given)
    request = PreviewRequest(recipe=recipe, count=COUNT, draws=DRAWS, images="images.npz", out="draws.npz")
    (folder / "request.json").write_text(request.to_json(), encoding="utf-8")
    preview.answer(folder / "request.json")
    with np.load(folder / "draws.npz") as drawn:
        return dict(drawn)


def test_draw_0_is_the_image_itself_and_the_others_are_changed(tmp_path):
    drawn = answered(tmp_path, make_recipe(flip=False, augmentation=Augmentation(rotate_deg=90)))
    assert len(drawn) == COUNT * (DRAWS + 1) * 2
    for index in range(COUNT):
        image, labels = picture(index)
        assert (drawn[f"image_{index}_0"] == image).all()
        assert (drawn[f"labels_{index}_0"] == labels).all()
        copies = [drawn[f"image_{index}_{draw}"] for draw in range(DRAWS + 1)]
        assert len({copy.tobytes() for copy in copies}) == DRAWS + 1


def test_about_half_of_the_copies_are_mirrored_with_their_masks(tmp_path):
    drawn = answered(tmp_path, make_recipe(flip=True))
    mirrored = 0
    for index in range(COUNT):
        image, labels = picture(index)
        for draw in range(1, DRAWS + 1):
            shown, mask = drawn[f"image_{index}_{draw}"], drawn[f"labels_{index}_{draw}"]
            flipped = bool((shown == image[:, ::-1]).all())
            assert flipped or (shown == image).all()
            assert (mask == (labels[:, ::-1] if flipped else labels)).all()
            mirrored += flipped
    assert 12 <= mirrored <= 36  # of 48 tossed coins: three and a half deviations either way


def test_copies_have_the_training_size(tmp_path):
    drawn = answered(tmp_path, make_recipe(image_size=Size(16, 40), augmentation=Augmentation(scale=(0.5, 2.0))))
    assert {array.shape[:2] for array in drawn.values()} == {(16, 40)}


def test_without_torchvision_an_augmentation_is_refused_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(Unsupported, match="needs the package torchvision"):
        Augmenter(Augmentation(noise=0.1), fill=(0.5, 0.5, 0.5))
    Augmenter(Augmentation(), fill=(0.5, 0.5, 0.5))  # nothing is on: nothing is needed


def test_a_refusal_is_told_on_standard_error_with_exit_code_2(tmp_path, monkeypatch, capsys):
    answered(tmp_path, make_recipe(augmentation=Augmentation(noise=0.1)))
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setattr(sys, "argv", ["preview", str(tmp_path / "request.json")])
    assert preview.main() == 2
    assert "leave 'augmentation' out" in capsys.readouterr().err
