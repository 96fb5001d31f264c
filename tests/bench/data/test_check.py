"""`bench data check` on miniatures, sound ones and ones with a single fault."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.data.check import Checked, passed_over, verdict
from bench.data.export import export_names
from bench.data.opening import Choice, opened
from tests.bench.data.miniatures import bench_data, copied, entries, refused, words_for, written


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    return written("voc", tmp_path_factory.mktemp("voc") / "voc")


@pytest.fixture
def damaged(voc, tmp_path, monkeypatch):
    """A copy of the VOC miniature, in a folder of its own where results go too."""
    monkeypatch.chdir(tmp_path)
    return copied(voc, tmp_path / "copy")


def findings(capsys, choice, *more):
    """Exit code and {kind: messages} of a check."""
    code, _, _ = bench_data(capsys, "check", *words_for(choice), "--out", "findings.json", *more)
    rows = json.loads(Path("findings.json").read_text(encoding="utf-8"))["findings"]
    found = {}
    for row in rows:
        found.setdefault(row["kind"], []).append(row["message"])
    for of_miniatures in ("count", "absent"):  # they have fewer images than are published, and not every class
        found.pop(of_miniatures, None)
    return code, found


@pytest.mark.few(4)
@pytest.mark.parametrize("form", export_names())
def test_nothing_is_wrong_with_a_miniature_of_any_format(form, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exported = written(form, tmp_path / form)
    choice = Choice(form, form, {**exported.options})
    code, out, _ = bench_data(capsys, "check", *words_for(choice))
    assert code == 0, out
    assert f"{form}: nothing wrong in" in out.splitlines()[-1]


def test_drawn_data_sets_are_checked_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sizes = ("--set", "size=[32, 48]", "--set", "train=6", "--set", "val=2", "--set", "test=2")
    code, out, _ = bench_data(capsys, "check", "shapes", *sizes)
    assert (code, out.splitlines()[-1]) == (0, "shapes: nothing wrong in 10 images (train 6, val 2, test 2); 3 notes")


def test_a_truncated_image_is_named_once(damaged, capsys):
    image = entries(damaged, "train")[3].image
    image.write_bytes(image.read_bytes()[:900])
    code, found = findings(capsys, damaged)
    assert code == 1
    assert found == {
        "image": [
            f"{image} cannot be read: it is truncated after 900 bytes. Restore the file from its source, or remove it "
            "together with its mask."
        ]
    }


def test_the_report_counts_and_names_what_is_wrong_and_ends_with_the_verdict(damaged, capsys):
    image = entries(damaged, "val")[0].image
    image.write_bytes(b"no picture")
    code, out, _ = bench_data(capsys, "check", *words_for(damaged))
    assert code == 1
    assert out == (
        "wrong: images that cannot be read: 1\n"
        f"  {image} cannot be read: it is no image of a known format. Restore the file from its source, or remove it "
        "together with its mask.\n"
        "\n"
        "note: classes that a split has no image of: 2\n"
        "  test: no image has bottle; other splits do\n"
        "  no image of any split has car, cat, chair, cow, diningtable, dog, horse, motorbike and 6 more\n"
        "\n"
        "note: splits with fewer images than published: 2\n"
        "  train: 20 found, 1464 published\n"
        "  val: 6 found, 1449 published\n"
        "\n"
        "voc: 1 thing wrong in 30 images (train 20, val 6, test 4); 4 notes\n"
    )


def test_a_mask_that_cannot_be_read_is_told_from_its_image(damaged, capsys):
    mask = entries(damaged, "train")[0].ground_truths[0]
    mask.write_bytes(mask.read_bytes()[:60])
    code, found = findings(capsys, damaged)
    assert code == 1
    assert list(found) == ["mask"]
    assert str(mask) in found["mask"][0]


def test_masks_of_another_size_than_their_image_are_found(damaged, capsys):
    for entry in entries(damaged, "val")[:2]:
        for path in entry.ground_truths:
            with Image.open(path) as mask:
                mask.resize((32, 24), Image.Resampling.NEAREST).save(path)
    code, found = findings(capsys, damaged)
    assert code == 1
    assert list(found) == ["size"]
    assert len(found["size"]) == 2
    assert "the mask has 24 × 32 pixels" in found["size"][0]
    assert "48 × 64" in found["size"][0]


def test_labels_outside_the_table_are_found_with_their_number_of_pixels(damaged, capsys):
    path = entries(damaged, "train")[5].ground_truths[0]
    with Image.open(path) as mask:
        mask.putpixel((3, 4), 77)
        mask.save(path)
    code, found = findings(capsys, damaged)
    assert code == 1
    assert list(found) == ["labels"]
    assert f"{path} has labels outside the table: 77 (1 pixels)" in found["labels"][0]


def test_palette_images_that_became_rgb_are_found(damaged, capsys):
    path = entries(damaged, "test")[1].ground_truths[0]
    with Image.open(path) as mask:
        mask.convert("RGB").save(path)
    code, found = findings(capsys, damaged)
    assert code == 1
    assert set(found) == {"colours", "stored"}
    assert "holds colours, not palette indices" in found["colours"][0]
    assert found["stored"] == [f"{path} is stored as RGB, most others as P"]


def test_a_palette_unlike_the_others_is_a_note(damaged, capsys):
    path = entries(damaged, "test")[1].ground_truths[0]
    with Image.open(path) as mask:
        palette = mask.getpalette()
        palette[3 * 2 : 3 * 3] = [1, 2, 3]
        mask.putpalette(palette)
        mask.save(path)
    code, found = findings(capsys, damaged)
    assert code == 0
    assert found == {"stored": [f"{path} has another palette than most others, from index 2 on"]}


def test_colours_outside_a_colour_table_are_found(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exported = written("camvid", tmp_path / "camvid")
    choice = Choice("camvid", "camvid", dict(exported.options))
    path = entries(choice, "train")[0].ground_truths[0]
    with Image.open(path) as mask:
        mask.putpixel((0, 0), (1, 2, 3))
        mask.save(path)
    code, found = findings(capsys, choice)
    assert code == 1
    assert list(found) == ["colours"]
    assert f"{path} has colours outside the table: RGB 1,2,3 (1 pixels)" in found["colours"][0]


def test_a_broken_polygon_is_found(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exported = written("coco", tmp_path / "coco")
    file = exported.folder / "annotations" / "instances_val2017.json"
    document = json.loads(file.read_text())
    document["annotations"][0]["segmentation"] = [[1, 2, 3, 4, 5, 6, 7]]
    file.write_text(json.dumps(document))
    choice = Choice("coco", "coco", {"root": str(exported.folder), "truth": "instances"})
    code, found = findings(capsys, choice)
    assert code == 1
    assert list(found) == ["truth"]
    assert f"{file}: annotation {document['annotations'][0]['id']}" in found["truth"][0]


def test_empty_masks_are_a_note_and_fail_only_when_strict(damaged, capsys):
    for path, value in zip((e.ground_truths for e in entries(damaged, "val")[:2]), (0, 255), strict=False):
        for mask in path:
            with Image.open(mask) as stored:
                palette = stored.getpalette()
            blank = Image.fromarray(np.full((48, 64), value, np.uint8)).convert("P")
            blank.putpalette(palette)
            blank.save(mask)
    code, found = findings(capsys, damaged)
    assert code == 0
    assert found == {"empty": ["only background", "all void"]}
    assert findings(capsys, damaged, "--strict")[0] == 1


def test_an_id_that_is_listed_twice_is_found_and_the_other_splits_are_checked(damaged, capsys):
    file = Path(damaged.options["root"]) / "ImageSets" / "Segmentation" / "train.txt"
    first = file.read_text(encoding="utf-8").splitlines()[0]
    file.write_text(f"{file.read_text(encoding='utf-8')}{first}\n", encoding="utf-8")
    code, found = findings(capsys, damaged)
    assert code == 1
    assert found == {
        "listing": [
            f"voc: 1 ids of split 'train' are not unique: {first}. An image may occur once, in one split; rename or "
            "remove the others."
        ]
    }


def test_identical_images_in_two_splits_are_a_leak_and_in_one_split_a_note(damaged, capsys):
    train, val = entries(damaged, "train"), entries(damaged, "val")
    shutil.copyfile(train[2].image, val[1].image)
    shutil.copyfile(train[4].image, train[6].image)
    code, found = findings(capsys, damaged)
    assert code == 1
    assert found == {
        "leak": [f"{train[2].image} (train) = {val[1].image} (val)"],
        "repeated": [f"{train[4].image} (train) = {train[6].image} (train)"],
    }


@pytest.mark.parametrize("change", ["compressed", "enlarged", "brighter"])
def test_a_changed_copy_in_another_split_is_nearly_identical(damaged, capsys, change):
    train, val = entries(damaged, "train"), entries(damaged, "val")
    image = cv2.imread(str(train[7].image))
    if change == "brighter":
        image = np.clip(image.astype(int) + 12, 0, 255).astype(np.uint8)
    quality = 40 if change == "compressed" else 95
    if change == "enlarged":
        image = cv2.resize(image, (96, 72), interpolation=cv2.INTER_CUBIC)
        for path in val[3].ground_truths:  # which then need the size of their image
            with Image.open(path) as mask:
                mask.resize((96, 72), Image.Resampling.NEAREST).save(path)
    cv2.imwrite(str(val[3].image), image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    code, found = findings(capsys, damaged)
    assert code == 1
    assert list(found) == ["near"]
    assert found["near"][0].startswith(f"{train[7].image} (train) ~ {val[3].image} (val): ")
    assert found["near"][0].endswith(" of 144 bits of their hashes differ")


def test_several_processes_find_what_one_finds(damaged, capsys):
    for entry in entries(damaged, "train")[::6]:
        entry.image.write_bytes(entry.image.read_bytes()[:700])
    # 30 images would be looked at in this process; copies make it more.
    originals = entries(damaged, "val")
    for number in range(20):
        entry, name = originals[number % 6], f"more{number}"
        for path in (entry.image, *entry.ground_truths):
            shutil.copyfile(path, path.with_stem(name))
    listed = Path(damaged.options["root"]) / "ImageSets" / "Segmentation" / "val.txt"
    names = [entry.image_id for entry in originals] + [f"more{number}" for number in range(20)]
    listed.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    alone = findings(capsys, damaged, "--jobs", 1, "--cache", "one")
    together = findings(capsys, damaged, "--jobs", 2, "--cache", "two")
    assert alone == together
    assert len(alone[1]["image"]) == 4
    assert len(alone[1]["repeated"]) == 6


def test_a_second_check_reads_no_image_again_and_a_changed_file_once(damaged, capsys, monkeypatch):
    bench_data(capsys, "check", *words_for(damaged))
    looked = []
    import bench.data.check as module

    def counted(dataset, image_id):
        looked.append(image_id)
        return inspect(dataset, image_id)

    inspect = module.inspect
    monkeypatch.setattr(module, "inspect", counted)
    code, _, err = bench_data(capsys, "check", *words_for(damaged))
    assert (code, looked) == (0, [])
    assert err == "30 of 30 images are unchanged since they were last checked\n"
    entry = entries(damaged, "val")[2]
    os.utime(entry.ground_truths[0], ns=(1, 1))
    code, _, err = bench_data(capsys, "check", *words_for(damaged))
    assert (code, looked) == (0, [entry.image_id])
    assert err == "29 of 30 images are unchanged since they were last checked\n"


def test_a_long_list_is_cut_and_says_how_to_see_the_rest(damaged, capsys):
    for entry in entries(damaged, "train")[:5]:
        entry.image.write_bytes(b"")
    _, out, _ = bench_data(capsys, "check", *words_for(damaged), "--show", 2)
    lines = out.splitlines()
    assert lines[0] == "wrong: images that cannot be read: 5"
    assert lines[3] == "  … and 3 more; --show 0 lists all"
    _, out, _ = bench_data(capsys, "check", *words_for(damaged), "--show", 0)
    assert sum("cannot be read:" in line for line in out.splitlines()[1:]) == 5


def test_a_split_can_be_checked_alone(damaged, capsys):
    entries(damaged, "train")[0].image.write_bytes(b"")
    code, out, _ = bench_data(capsys, "check", *words_for(damaged), "--split", "val")
    assert code == 0
    assert out.splitlines()[-1] == "voc: nothing wrong in 6 images (val 6); 1 note"


def test_an_unknown_split_is_refused_with_the_nearest(damaged, capsys):
    message = refused(capsys, "check", *words_for(damaged), "--split", "vall")
    assert message == "voc has no split 'vall'. Did you mean 'val'? It has: train, val, test"


def test_no_process_is_no_number_of_processes(damaged, capsys):
    message = refused(capsys, "check", *words_for(damaged), "--jobs", 0)
    assert message == "--jobs 0: expected a whole number from 1 upwards"


def test_objects_that_cover_no_pixel_are_a_note(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exported = written("coco", tmp_path / "coco")
    file = exported.folder / "annotations" / "instances_val2017.json"
    document = json.loads(file.read_text())
    document["annotations"][0]["segmentation"] = [[3.1, 3.1, 3.2, 3.1, 3.2, 3.2]]  # between the centres of pixels
    file.write_text(json.dumps(document))
    objects = sum(row["image_id"] == document["annotations"][0]["image_id"] for row in document["annotations"])
    choice = Choice("coco", "coco", {"root": str(exported.folder), "truth": "instances"})
    code, found = findings(capsys, choice)
    assert (code, found) == (0, {"unseen": [f"1 of {objects} objects cover no pixel"]})


def test_no_images_are_never_called_sound():
    assert verdict(Checked("mine", {}, (), 0)) == "mine: no images were found, so that nothing could be checked"


@pytest.mark.few(5)
@pytest.mark.parametrize("form", export_names())
def test_no_file_of_an_export_is_a_leftover(tmp_path, form):
    exported = written(form, tmp_path / "x")
    dataset = opened(Choice(exported.dataset, exported.dataset, dict(exported.options)))
    assert [finding.message for finding in passed_over(dataset)] == []
