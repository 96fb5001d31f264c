"""`bench predict`: any images in, masks, overlays and one JSON out; nothing lost, nothing overwritten unasked."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.cli.main import main
from bench.data.formats.by_name import open_dataset
from bench.records import ClassSpec
from bench.run.predict.inputs import Source, find_sources, named_items, output_suffixes, passed_over
from bench.run.predict.worker.frames import Frame, batches
from bench.run.predict.worker.request import FilesRequest, Item
from tests.bench.run.processes import wait_for
from tests.bench.suites import SHAPES, perfect, write_suite

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
CLASSES = (
    ClassSpec(name="background", colour=(0, 0, 0)),
    ClassSpec(name="cell", colour=(200, 100, 0), is_thing=True),
)
SET = ["--set", f"dataset={json.dumps(SHAPES['options'])}"]


@pytest.fixture(scope="module")
def shapes():
    return open_dataset("shapes", SHAPES["options"])


@pytest.fixture
def photos(tmp_path, shapes):
    """A folder with four images: two of one stem, one in a sub-folder with a space and an umlaut in its name."""
    folder = tmp_path / "my photos"
    for name, image_id in zip(PHOTOS, shapes.ids("test"), strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imencode(path.suffix, shapes.image(image_id)[..., ::-1])[1].tofile(path)
    return folder


PHOTOS = ("a.bmp", "a.png", "sub dir/ü b.png", "z.png")


@pytest.fixture
def classes(tmp_path, shapes):
    """A classes.yaml with the classes of the drawn scenes."""
    path = tmp_path / "classes.yaml"
    rows = [
        {"name": c.name, "value": i, "thing": c.is_thing, "colour": list(c.colour)}
        for i, c in enumerate(shapes.classes)
    ]
    path.write_text(json.dumps({"classes": rows}), encoding="utf-8")
    return path


def predict(capsys, *words: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    code = main(["predict", *(str(word) for word in words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, *words: object) -> str:
    """The one paragraph of a usage error."""
    code, out, err = predict(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("bench predict: ")
    assert "Traceback" not in err
    assert "\n" not in err.strip()
    return err


def results(out: Path) -> dict:
    return json.loads((out / "predictions.json").read_text(encoding="utf-8"))


def by_name(out: Path) -> dict[str, dict]:
    return {row["name"]: row for row in results(out)["images"]}


def test_every_image_of_a_folder_gets_its_own_mask_palette_picture_and_overlay(
    capsys, tmp_path, photos, classes, shapes
):
    out = tmp_path / "out"
    code, told, _ = predict(capsys, "fake/perfect", photos, "--out", out, "--classes", classes, "--device", "cpu", *SET)
    assert code == 0
    assert told.splitlines()[0] == "4 of 4 predicted"
    names = ("a", "a.png", "sub dir/ü b", "z")
    for name, image_id in zip(names, shapes.ids("test"), strict=True):
        ground_truth = shapes.target(image_id).semantic.labels
        assert (np.array(Image.open(out / f"{name}.png")) == ground_truth).all()
        palette = Image.open(out / f"{name}_palette.png")
        assert palette.mode == "P"
        shown = np.array(palette.convert("RGB"))
        expected = np.array([*(c.colour for c in shapes.classes)], dtype=np.uint8)
        assert (shown[ground_truth < 255] == expected[ground_truth[ground_truth < 255]]).all()
        assert Image.open(out / f"{name}_overlay.jpg").size == ground_truth.shape[::-1]
    rows = by_name(out)
    assert set(rows) == set(names)
    for row in rows.values():
        assert row["status"] == "ok"
        assert set(row["timings_ms"]) == {"decode", "preprocess", "infer", "postprocess", "write"}
    document = results(out)
    assert "numpy" in document["run"]["versions"]
    assert document["run"]["first_call_ms"] > 0
    assert not (out / ".bench-predict").exists()


def test_an_unreadable_image_is_told_at_the_end_and_the_others_are_written(capsys, tmp_path, photos, classes):
    (photos / "b.jpg").write_bytes(b"no image")
    out = tmp_path / "out"
    words = ["fake/perfect", photos, "--out", out, "--classes", classes, "--device", "cpu", *SET]
    code, told, err = predict(capsys, *words)
    assert code == 1
    assert told.splitlines()[0] == "4 of 5 predicted"
    assert err == (
        f"unreadable: {photos / 'b.jpg'} cannot be read: it is no image of a known format. Restore it from its source, "
        "or leave it out.\n"
    )
    assert by_name(out)["b"]["status"] == "unreadable"
    assert (out / "z.png").is_file()


def test_a_second_call_does_only_what_is_new_and_overwrite_does_all_again(capsys, tmp_path, photos, classes):
    out = tmp_path / "out"
    words = ["fake/perfect", photos, "--out", out, "--classes", classes, "--device", "cpu", *SET]
    predict(capsys, *words)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    (photos / "new.png").write_bytes((photos / "z.png").read_bytes())
    code, told, _ = predict(capsys, *words)
    assert (code, told.splitlines()[0]) == (0, "5 of 5 predicted, 4 of them by an earlier call")
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert (out / "new.png").is_file()
    code, told, _ = predict(capsys, *words, "--overwrite")
    assert (code, told.splitlines()[0]) == (0, "5 of 5 predicted")
    assert all(path.stat().st_mtime_ns > time for path, time in before.items())


def test_what_was_done_before_a_crash_is_kept_and_the_next_call_goes_on(capsys, tmp_path, photos, classes):
    out = tmp_path / "out"
    words = [photos, "--out", out, "--classes", classes, "--device", "cpu"]
    # One call to warm up and two that go well; the third image crashes.
    code, _, err = predict(capsys, "fake/crashes", *words, "--set", "after=3")
    assert code == 1
    assert "this fake crashes, as its name says 2 of 4 are done" in err.replace("name says.", "name says")
    assert [row["status"] for row in results(out)["images"]] == ["ok", "ok", "pending", "pending"]
    first = (out / "a.png").stat().st_mtime_ns
    code, told, _ = predict(capsys, "fake/crashes", *words, "--set", "after=3")
    assert (code, told.splitlines()[0]) == (0, "4 of 4 predicted, 2 of them by an earlier call")
    assert (out / "a.png").stat().st_mtime_ns == first


@pytest.mark.slow
def test_an_interrupted_call_keeps_what_is_done_and_the_next_one_goes_on(capsys, tmp_path, photos, classes):
    out = tmp_path / "out"
    words = ["fake/slow_5ms", photos, "--out", out, "--classes", classes, "--device", "cpu", "--set", "infer_ms=400"]
    command = [sys.executable, "-m", "bench.cli.main", "predict", *map(str, words)]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        # Jobs in the background of a shell that has no job control inherit an ignored SIGINT.
    )
    journal = out / ".bench-predict" / "journal.jsonl"
    wait_for(lambda: journal.is_file() and journal.stat().st_size)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on from here" in err
    done = sum(row["status"] == "ok" for row in results(out)["images"])
    assert 1 <= done < 4
    code, told, _ = predict(capsys, *words)
    assert (code, told.splitlines()[0]) == (0, f"4 of 4 predicted, {done} of them by an earlier call")


def test_predictions_of_another_model_are_not_overwritten_unasked(capsys, tmp_path, photos, classes):
    out = tmp_path / "out"
    words = [photos, "--out", out, "--classes", classes, "--device", "cpu"]
    predict(capsys, "fake/slow_5ms", *words)
    error = refused(capsys, "fake/perfect", *words, *SET)
    assert f'{out} holds predictions made otherwise (model "fake/slow_5ms" there, "fake/perfect" now' in error
    assert "replace them with --overwrite" in error


def test_a_file_of_the_users_in_the_output_folder_is_not_overwritten(capsys, tmp_path, photos, classes):
    out = tmp_path / "out"
    out.mkdir()
    (out / "z.png").write_text("mine")
    error = refused(capsys, "fake/perfect", photos, "--out", out, "--classes", classes, "--device", "cpu", *SET)
    assert f"{out / 'z.png'} is there already, and not by bench predict" in error
    assert (out / "z.png").read_text() == "mine"


def test_instances_are_coco_results_that_pycocotools_reads(capsys, tmp_path, photos, classes, shapes):
    masks = pytest.importorskip("pycocotools.mask")
    out = tmp_path / "out"
    words = ["--out", out, "--classes", classes, "--device", "cpu", *SET]
    code, _, _ = predict(capsys, "fake/perfect_instances", photos / "z.png", *words)
    assert code == 0
    ground_truth = shapes.target(list(shapes.ids("test"))[-1]).of("instance")
    rows = json.loads((out / "z.json").read_text(encoding="utf-8"))
    assert [row["category_id"] for row in rows] == [class_id + 1 for class_id in ground_truth.class_ids]
    for row, mask in zip(rows, ground_truth.masks, strict=True):
        assert (masks.decode(row["segmentation"]).astype(bool) == mask).all()
        assert row["area"] == mask.sum()


def test_segments_are_ids_in_three_bytes_with_their_classes(capsys, tmp_path, photos, classes, shapes):
    out = tmp_path / "out"
    words = ["--out", out, "--classes", classes, "--device", "cpu", *SET]
    assert predict(capsys, "fake/perfect_panoptic", photos / "z.png", *words)[0] == 0
    ground_truth = shapes.target(list(shapes.ids("test"))[-1]).of("panoptic")
    rgb = np.array(Image.open(out / "z.png")).astype(int)
    assert (rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2] == ground_truth.segment_ids).all()
    rows = json.loads((out / "z.json").read_text(encoding="utf-8"))["segments_info"]
    assert {(row["id"], row["category_id"] - 1) for row in rows} == {(s.id, s.class_id) for s in ground_truth.segments}


def test_a_video_gets_every_nth_frame_and_a_film_of_overlays(capsys, tmp_path, classes):
    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 10, (48, 32))
    for value in range(7):
        writer.write(np.full((32, 48, 3), value * 30, dtype=np.uint8))
    writer.release()
    out = tmp_path / "out"
    words = ["--out", out, "--classes", classes, "--device", "cpu", "--every", 3]
    assert predict(capsys, "fake/slow_5ms", film, *words)[0] == 0
    assert sorted(path.name for path in (out / "film").glob("??????.png")) == ["000000.png", "000003.png", "000006.png"]
    shown = cv2.VideoCapture(str(out / "film_overlay.mp4"))
    assert shown.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert shown.get(cv2.CAP_PROP_FPS) == pytest.approx(10 / 3, abs=0.01)


@pytest.mark.slow
def test_a_case_of_a_run_predicts_with_what_it_was_trained_to(capsys, tmp_path, photos):
    suite = write_suite(
        tmp_path,
        [perfect(), {"name": "fake/trains", "label": "learner"}],
        recipe={"budget": {"steps": 2}, "device": "cpu"},
        metrics=["mean_iou"],
    )
    folder = tmp_path / "results"
    main(["run", str(suite), "--results", str(folder), "--kind", "train", "--kind", "predict"])
    capsys.readouterr()
    words = ["--results", folder, "--case", "learner", photos, "--out", tmp_path / "out"]
    code, told, _ = predict(capsys, *words)
    assert (code, told.splitlines()[0]) == (0, "4 of 4 predicted")
    made = results(tmp_path / "out")
    assert made["run"]["weights"].endswith("weights.txt")
    assert [c["name"] for c in made["made_by"]["classes"]] == [c.name for c in open_dataset("shapes", {}).classes]
    error = refused(capsys, "--results", folder, "--case", "lerner", photos, "--out", tmp_path / "out2")
    assert "no case 'lerner'. Did you mean 'learner'?" in error


@pytest.mark.slow
@needs_torch
def test_the_output_of_a_binary_unet_with_threshold_is_one_command(capsys, tmp_path):
    import torch

    from adapters._torch.weights import save_weights
    from adapters.unet.adapter import make_unet
    from bench.records import TaskSpec
    from bench.suite.model_configs import resolve_model

    options = {"base_width": 2, "depth": 2}
    human = (ClassSpec(name="background", colour=(0, 0, 0)), ClassSpec(name="human", colour=(0, 0, 255)))
    torch.manual_seed(0)
    network = make_unet(resolve_model("unet/classic_human", options=options), TaskSpec(kind="semantic", classes=human))
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    normalised = (
        torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255 - torch.tensor(network.mean).view(1, 3, 1, 1)
    ) / torch.tensor(network.std).view(1, 3, 1, 1)
    module = network.module.eval()
    with torch.inference_mode():
        logits = module(normalised)
        # Shifted by the last bias so that half of the pixels lie above the threshold.
        shift = torch.logit(torch.tensor(0.4)) - logits.median()
        list(module.parameters())[-1] += shift
    probability = (logits + shift).sigmoid()[0, 0].numpy()
    save_weights(network, module.state_dict(), tmp_path / "w.pt")
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    words = ["unet/classic_human", tmp_path / "photo.png", "--weights", tmp_path / "w.pt", "--device", "cpu"]
    words += ["--set", "base_width=2", "--set", "depth=2", "--threshold", "0.4", "--out", tmp_path / "out"]
    assert predict(capsys, *words)[0] == 0
    written = np.array(Image.open(tmp_path / "out" / "photo.png"))
    sure = abs(probability - 0.4) > 1e-4
    assert (written[sure] == (probability > 0.4)[sure]).all()
    assert set(np.unique(written)) == {0, 1}
    assert (tmp_path / "out" / "photo_overlay.jpg").is_file()

    other = tmp_path / "classes.yaml"
    other.write_text("[background, car]", encoding="utf-8")
    error = refused(capsys, *words[:-2], "--out", tmp_path / "o2", "--classes", other)
    assert "w.pt was trained for the classes background, human; --classes" in error
    assert not (tmp_path / "o2").exists()


def test_usage_errors_are_told_in_one_paragraph_and_nothing_is_written(capsys, tmp_path, photos, classes):
    out = tmp_path / "out"
    known = ["--classes", classes, "--device", "cpu", "--out", out]
    assert "Did you mean 'fake/perfect'?" in refused(capsys, "fake/perfct", photos, *known)
    assert "no images are given" in refused(capsys, "fake/perfect", *known)
    assert "Did you mean 'z.png'?" in refused(capsys, "fake/perfect", photos / "y.png", *known)
    assert "there is no image in it" in refused(capsys, "fake/perfect", f"{photos}/*.webp", *known)
    assert "give --classes FILE.yaml" in refused(capsys, "fake/perfect", photos, "--out", out)
    assert "has no weights of its own" in refused(capsys, "unet/classic_human", photos, "--out", out)
    assert "answers prompts" in refused(capsys, "sam/sam_vit_b", photos, "--out", out)
    size = refused(capsys, "fake/perfect", photos, *known, "--image-size", "480x640")
    assert "expected height,width in pixels" in size
    assert "is a file; name a folder" in refused(capsys, "fake/perfect", photos, *known[:4], "--out", photos / "z.png")
    assert "is the folder of the images" in refused(capsys, "fake/perfect", photos, *known[:4], "--out", photos)
    assert not out.exists()


def test_a_config_that_is_not_supported_here_is_a_usage_error_with_its_reason(capsys, tmp_path, photos, classes):
    error = refused(
        capsys, "fake/unsupported", photos, "--classes", classes, "--device", "cpu", "--out", tmp_path / "out"
    )
    assert "this fake supports nothing, as its name says" in error
    assert not (tmp_path / "out").exists()


def test_a_call_that_was_refused_by_the_model_does_not_stand_in_the_way_of_the_next(capsys, tmp_path, photos, classes):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    words = ["fake/slow_5ms", photos, "--classes", classes, "--device", "cpu", "--out", out]
    assert "infer_msec" in refused(capsys, *words, "--set", "infer_msec=1")
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    assert predict(capsys, *words)[0] == 0


def test_lists_and_globs_name_files_and_each_is_taken_once(tmp_path, photos):
    listing = tmp_path / "list.txt"
    listing.write_text("# mine\nmy photos/z.png\n\nmy photos/sub dir/ü b.png\n", encoding="utf-8")
    sources = find_sources([str(listing), f"{photos}/*.png"], out=tmp_path / "out", own=[])
    assert [str(source.relative) for source in sources] == ["my photos/z.png", "my photos/sub dir/ü b.png", "a.png"]
    sources = find_sources([f"{photos}/*.png"], out=photos, own=[photos / "z.png"])
    assert [source.path.name for source in sources] == ["a.png"]


def test_no_two_images_write_the_same_file_even_where_case_is_ignored(tmp_path):
    names = ["a.jpg", "A.png", "a_overlay.png", "a_palette.png", "a.jpg.png"]
    sources = [Source(tmp_path / str(index) / name, Path(name)) for index, name in enumerate(names * 2)]
    suffixes = output_suffixes("semantic", "png")
    items = named_items(sources, {}, suffixes)
    files = [f"{item.name}{suffix}".casefold() for item in items for suffix in suffixes]
    assert len(files) == len(set(files)) == 10 * len(suffixes)
    again = named_items(sources, {item.source: item for item in items}, suffixes)
    assert again == items


def test_images_of_different_sizes_share_no_batch_in_which_they_would_be_padded(tmp_path):
    for index, width in enumerate([8, 8, 9, 9, 9, 8]):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.zeros((8, width, 3), dtype=np.uint8))
    items = tuple(Item(source=str(tmp_path / f"{index}.png"), name=str(index)) for index in range(6))
    request = FilesRequest(out=str(tmp_path), items=items, classes=CLASSES)

    def grouped(*, mixed: bool) -> list[list[str]]:
        return [[frame.item.name for frame in batch.frames] for batch in batches(request, 2, mixed=mixed)]

    assert grouped(mixed=False) == [["0", "1"], ["2", "3"], ["4"], ["5"]]
    assert grouped(mixed=True) == [["0", "1"], ["2", "3"], ["4", "5"]]
    assert all(
        isinstance(f, Frame) and f.decode_s > 0 for batch in batches(request, 2, mixed=True) for f in batch.frames
    )


def test_what_a_folder_holds_beside_images_is_counted(tmp_path):
    for name in ("a.png", "b.JPG", "film.mp4", "notes.txt", "more/c.txt", ".hidden/d.png", "out/e.txt", "bare"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"")
    (said,) = passed_over([str(tmp_path / "in"), "*.png"], out=tmp_path / "in" / "out", own=[])
    listed = said.removeprefix(f"{tmp_path / 'in'}: passed over, being no images: ").partition(" (")[0]
    assert sorted(listed.split(", ")) == ["1 .mp4", "1 hidden", "1 without a suffix", "2 .txt"]
    assert said.endswith("(a video is predicted where it is named by itself)")
    assert passed_over([str(tmp_path / "in" / "more" / "nothing")], out=tmp_path, own=[]) == []
