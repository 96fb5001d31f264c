"""Open Images: masks come to the size of their image, and only classes that were looked for are judged."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.data.formats.by_name import open_dataset as open_by_name
from bench.datasets.open_images import Options, open_dataset
from bench.errors import DatasetError
from tests.bench.data.miniatures import bench_data

CAT, DOG, BIRD = "/m/01yrx", "/m/0bt9lr", "/m/015p6"


def project(root, *, labels=True, images=("aa", "bb")):
    (root / "validation").mkdir(parents=True)
    (root / "validation-masks" / "0").mkdir(parents=True)
    (root / "class-descriptions-boxable.csv").write_text(f"{DOG},Dog\n{CAT},Cat\n{BIRD},Bird\n/m/1,Unused\n")
    for name in images:
        Image.new("RGB", (16, 12)).save(root / f"validation/{name}.jpg")
    lines = ["MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks"]
    for name, label, half in (("aa_1", CAT, 1), ("aa_2", DOG, 2), ("bb_1", BIRD, 1), ("cc_1", CAT, 1)):
        mask = np.zeros((12 // half, 16 // half), np.uint8)
        mask[2 // half : 6 // half, 4 // half : 10 // half] = 255
        Image.fromarray(mask).convert("1").save(root / f"validation-masks/0/{name}.png")
        lines.append(f"{name}.png,{name[:2]},{label},b,0,1,0,1,0.9,")
    (root / "validation-annotations-object-segmentation.csv").write_text("\n".join(lines))
    if labels:
        rows = ["ImageID,Source,LabelName,Confidence", f"aa,v,{CAT},1", f"aa,v,{BIRD},0", f"bb,v,{CAT},1"]
        (root / "validation-annotations-human-imagelabels.csv").write_text("\n".join(rows))
    return root


def opened(root, **options):
    return open_dataset(Options(root=str(root), **options))


def test_objects_are_read_at_the_size_of_the_image_and_the_rest_is_void(tmp_path):
    dataset = opened(project(tmp_path))
    assert [c.name for c in dataset.classes] == ["Bird", "Cat", "Dog"]
    assert dataset.ids("validation") == ("aa", "bb")
    ground_truth = dataset.target("aa")
    box = np.zeros((12, 16), bool)
    box[2:6, 4:10] = True
    assert ground_truth.instances.class_ids.tolist() == [1, 2]
    assert [mask.tolist() for mask in ground_truth.instances.masks] == [box.tolist()] * 2
    assert set(np.unique(ground_truth.semantic.labels[~box]).tolist()) == {255}


def test_only_classes_that_were_looked_for_and_have_their_masks_are_judged(tmp_path):
    dataset = opened(project(tmp_path / "a"))
    # aa: cat and dog have masks, bird is verified not to be there. bb: a cat is there without a mask, dogs unknown.
    assert dataset.target("aa").instances.unchecked == ()
    assert dataset.target("bb").instances.unchecked == (1, 2)
    without = opened(project(tmp_path / "b", labels=False))
    assert without.target("aa").instances.unchecked == (0,)
    assert "are not judged" in " ".join(without.notes("validation"))


def test_images_that_were_not_fetched_are_counted_and_classes_are_chosen_by_name(tmp_path):
    root = project(tmp_path)
    assert "1 of 3 images are not on disk and left out" in " ".join(opened(root).notes("validation"))
    chosen = opened(root, classes=("Dog",))
    assert chosen.target("aa").instances.class_ids.tolist() == [0]
    assert not len(chosen.target("bb").instances.masks)
    with pytest.raises(DatasetError, match=r"no class named 'Dogs' has masks. Did you mean 'Dog'"):
        opened(root, classes=("Dogs",))


def test_a_missing_mask_and_a_table_without_its_columns_are_named(tmp_path):
    root = project(tmp_path)
    (root / "validation-masks/0/bb_1.png").unlink()
    with pytest.raises(DatasetError, match=r"bb_1\.png"):
        opened(root).ids("validation")
    (root / "validation-annotations-object-segmentation.csv").write_text("a,b,c\n1,2,3\n")
    with pytest.raises(DatasetError, match="no columns MaskPath"):
        opened(root)


def test_it_is_detected_and_checked(capsys, tmp_path):
    root = project(tmp_path)
    code, out, _ = bench_data(capsys, "detect", root)
    assert (code, "name: open_images" in out) == (0, True)
    dataset = open_by_name("open_images", {"root": str(root)})
    assert dataset.fingerprint("validation")
