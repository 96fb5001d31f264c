"""`bench predict` with films: every frame counted, overlays as a film, and what is cut short said so."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from bench.cli.main import main

SIZE = (32, 48)


def film(path, code, frames, *, detailed=False):
    """Write a film whose frame n is of the grey value 20 n, or noise, of which frames are large."""
    random, size = np.random.default_rng(0), (120, 160) if detailed else SIZE
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 10, size[::-1])
    assert writer.isOpened()
    for number in range(frames):
        grey = np.full((*size, 3), 20 * number, dtype=np.uint8)
        writer.write(random.integers(0, 256, grey.shape, dtype=np.uint8) if detailed else grey)
    writer.release()
    return path


@pytest.fixture
def predict(tmp_path, capsys):
    """Predict files with the fake that answers class 0, and return exit code, what was said, and the rows by name."""
    (tmp_path / "classes.yaml").write_text("[background, cell]", encoding="utf-8")

    def call(*words):
        out = tmp_path / "out"
        code = main(
            ["predict", "fake/slow_5ms", *map(str, words), "--out", str(out), "--device", "cpu", "--classes",
             str(tmp_path / "classes.yaml")]
        )  # fmt: skip
        said = capsys.readouterr()
        rows = json.loads((out / "predictions.json").read_text(encoding="utf-8"))["images"]
        return code, said, {row["name"]: row for row in rows}

    return call


def frames_of(path):
    """Frames of a film that can be read, counted one by one."""
    video, count = cv2.VideoCapture(str(path)), 0
    while video.grab():
        count += 1
    return count


def test_every_frame_of_a_film_has_a_mask_and_its_place_in_the_film_of_overlays(tmp_path, predict):
    kinds = {"a.mp4": "mp4v", "b.avi": "MJPG", "größe 1.avi": "XVID"}
    exit_code, said, rows = predict(
        *(film(tmp_path / name, code, 9) for name, code in kinds.items()), "--batch-size", 4
    )
    assert exit_code == 0
    assert said.out.splitlines()[0] == "3 of 3 predicted"
    assert set(rows) == {"a", "b", "größe 1"}
    for name, row in rows.items():
        assert [frame["frame"] for frame in row["frames"]] == list(range(9))
        assert all(frame["size"] == list(SIZE) for frame in row["frames"])
        assert set(row["frames"][0]["timings_ms"]) == {"decode", "preprocess", "infer", "postprocess", "write"}
        assert len(list((tmp_path / "out" / name).glob("??????.png"))) == 9
        overlays = tmp_path / "out" / row["files"]["film"]
        assert frames_of(overlays) == 9
        shown = cv2.VideoCapture(str(overlays))
        assert shown.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
        # Class 0 is called background, so that frames are shown as they are, but for two lossy codecs.
        means = [float(shown.read()[1].mean()) for _ in range(9)]
        assert means == pytest.approx([20 * number for number in range(9)], abs=9)


def test_a_film_that_was_cut_off_is_predicted_as_far_as_it_goes_and_told(tmp_path, predict):
    path = film(tmp_path / "cut.avi", "MJPG", 12, detailed=True)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    left = frames_of(path)
    assert 0 < left < 12
    code, said, rows = predict(path)
    assert code == 0
    assert len(rows["cut"]["frames"]) == left
    assert rows["cut"]["status"] == "ok"
    assert said.err == f"note: {path}: {left} of 12 frames could be read; it is cut off or damaged after them.\n"


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_film_without_a_frame_that_can_be_read_is_unreadable_and_the_others_are_predicted(tmp_path, predict, share):
    sound, broken = film(tmp_path / "a.avi", "MJPG", 3), film(tmp_path / "b.mp4", "mp4v", 9)
    broken.write_bytes(broken.read_bytes()[: int(share * broken.stat().st_size)])  # an mp4 has its table at its end
    code, said, rows = predict(broken, sound)
    assert code == 1
    assert said.out.splitlines()[0] == "1 of 2 predicted"
    assert f"unreadable: {broken} cannot be read: OpenCV finds no frame in it" in said.err
    assert (rows["a"]["status"], rows["b"]["status"]) == ("ok", "unreadable")


def test_films_and_images_go_together_in_the_order_given(tmp_path, predict):
    first, second = film(tmp_path / "a.avi", "MJPG", 3), film(tmp_path / "c.avi", "MJPG", 2)
    image = tmp_path / "b.png"
    cv2.imwrite(str(image), np.zeros((*SIZE, 3), dtype=np.uint8))
    code, _, rows = predict(first, image, second, "--batch-size", 2)
    assert code == 0
    assert {name: len(row.get("frames", [])) for name, row in rows.items()} == {"a": 3, "b": 0, "c": 2}
    assert {row["status"] for row in rows.values()} == {"ok"}
