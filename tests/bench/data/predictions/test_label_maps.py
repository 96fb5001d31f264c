"""Label and probability maps of other programs come back as the classes they mean, or are refused with the reason."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.data.labels.dataset import open_labelled
from bench.data.predictions.label_maps import LabelMaps
from bench.data.predictions.matching import match_files
from bench.data.predictions.options import Options
from bench.data.predictions.requested import Requested
from bench.errors import BenchError
from bench.records import ClassSpec, Labels, Size
from tests.bench.data.predictions.scenes import SPEC, reader, scenes


def ground_truth(dataset, image_id):
    """The ground truth, with class 0 where it is void: a prediction that any program could have made."""
    labels = dataset.target(image_id).semantic.labels
    return np.where(labels == 255, 0, labels).astype(np.uint8)


def one_hot(labels, classes):
    """Scores by class, (K, H, W), with some noise below a half."""
    noise = np.random.default_rng(0).random((classes, *labels.shape)) * 0.4
    return (np.eye(classes)[labels].transpose(2, 0, 1) + noise).astype(np.float32)


def save_values(folder, image_id, labels, dataset):
    cv2.imwrite(str(folder / f"{image_id}.png"), labels)


def save_colours(folder, image_id, labels, dataset):
    colours = np.array([spec.colour for spec in dataset.classes], dtype=np.uint8)
    Image.fromarray(colours[labels]).save(folder / f"{image_id}.png")


def save_palette(folder, image_id, labels, dataset):
    """Indices in another order than the classes', with the classes' colours in the palette."""
    last = len(dataset.classes) - 1 + 40
    image = Image.fromarray((last - labels).astype(np.uint8), mode="P")
    palette = np.zeros((256, 3), dtype=np.uint8) + 7
    for class_id, spec in enumerate(dataset.classes):
        palette[last - class_id] = spec.colour
    image.putpalette(palette.tobytes())
    image.save(folder / f"{image_id}.png")


def save_grey_as_rgb(folder, image_id, labels, dataset):
    Image.fromarray(np.repeat(labels[..., None], 3, axis=-1)).save(folder / f"{image_id}.bmp")


def save_npy(folder, image_id, labels, dataset):
    np.save(folder / f"{image_id}.npy", labels.astype(np.int64))


def save_tiff(folder, image_id, labels, dataset):
    cv2.imwrite(str(folder / f"{image_id}.tif"), labels)


def save_probabilities_first(folder, image_id, labels, dataset):
    np.save(folder / f"{image_id}.npy", one_hot(labels, len(dataset.classes)))


def save_probabilities_last(folder, image_id, labels, dataset):
    np.savez_compressed(folder / f"{image_id}.npz", one_hot(labels, len(dataset.classes)).transpose(1, 2, 0))


def save_nnunet_probabilities(folder, image_id, labels, dataset):
    np.savez(folder / f"{image_id}.npz", probabilities=one_hot(labels, len(dataset.classes))[:, None])


def save_float_tiff(folder, image_id, labels, dataset):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(folder / f"{image_id}.tif", one_hot(labels, len(dataset.classes)).transpose(1, 2, 0))


def save_nifti(folder, image_id, labels, dataset):
    """As SimpleITK and nnU-Net write a picture: columns first, one slice."""
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti1Image(labels.T[..., None].astype(np.uint8), np.eye(4)), folder / f"{image_id}.nii.gz")


@pytest.mark.parametrize(
    "save",
    [
        save_values, save_colours, save_palette, save_grey_as_rgb, save_npy, save_tiff, save_probabilities_first,
        save_probabilities_last, save_nnunet_probabilities, save_float_tiff, save_nifti,
    ],
)  # fmt: skip
def test_every_way_of_storing_a_label_map_comes_back_pixel_for_pixel(tmp_path, save):
    dataset, ids = scenes()
    for image_id in ids:
        save(tmp_path, image_id, ground_truth(dataset, image_id), dataset)
    found = reader(tmp_path, dataset)
    for image_id in ids:
        np.testing.assert_array_equal(
            found.read(image_id, dataset.size(image_id)).labels, ground_truth(dataset, image_id)
        )
    assert found.flags() == []


def test_names_in_nnunets_dataset_json_decide_whatever_their_order(tmp_path):
    dataset, ids = scenes()
    names = [spec.name for spec in dataset.classes]
    shuffled = {name: (index + 3) % len(names) for index, name in enumerate(names)}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": shuffled, "file_ending": ".png"}))
    table = np.array([shuffled[name] for name in names], dtype=np.uint8)
    for image_id in ids:
        cv2.imwrite(str(tmp_path / f"{image_id}.png"), table[ground_truth(dataset, image_id)])
    found = reader(tmp_path, dataset)
    for image_id in ids:
        np.testing.assert_array_equal(
            found.read(image_id, dataset.size(image_id)).labels, ground_truth(dataset, image_id)
        )


def test_a_pattern_and_folders_say_where_the_id_stands(tmp_path):
    dataset, ids = scenes()
    for image_id in ids:
        (tmp_path / "fold_0").mkdir(exist_ok=True)
        save_values(tmp_path / "fold_0", f"pred_{image_id}_v2", ground_truth(dataset, image_id), dataset)
    with pytest.raises(BenchError, match="none of its 4 files is named after an image") as refused:
        reader(tmp_path, dataset)
    assert "{id}" in str(refused.value)
    found = reader(tmp_path, dataset, pattern="*/pred_{id}_v2.png")
    np.testing.assert_array_equal(found.read(ids[0], dataset.size(ids[0])).labels, ground_truth(dataset, ids[0]))


def test_volumes_where_slices_are_scored_are_refused_with_what_to_save(tmp_path):
    (tmp_path / "case_1.nii.gz").touch()
    ids = ("case_1__z0000", "case_1__z0001")
    asked = Requested(ids, frozenset(), dict(zip(ids, ids, strict=True)), (), {})
    with pytest.raises(BenchError, match=r"slices of volumes: save each slice as .* such as case_1__z0000\.png"):
        match_files(tmp_path, None, (".nii.gz",), asked)


def two_classes(tmp_path, foreground):
    """A data set of background and one class, and 8-bit masks of its ground truth with that value in front."""
    groups = {"rest": ["sky", "ground", "water"], "thing": list(THINGS)}
    spec = SPEC.model_copy(update={"labels": Labels(merge=groups)})
    dataset = open_labelled(spec)
    for image_id in dataset.ids("test"):
        labels = ground_truth(dataset, image_id)
        cv2.imwrite(str(tmp_path / f"{image_id}.png"), np.where(labels == 1, foreground, 0).astype(np.uint8))
    return dataset, spec


THINGS = ("disc", "square", "triangle", "ring", "cross", "dumbbell", "hexagon")


@pytest.mark.parametrize("foreground", [1, 255])
def test_a_binary_mask_has_its_foreground_at_1_or_at_255(tmp_path, foreground):
    dataset, spec = two_classes(tmp_path, foreground)
    found = reader(tmp_path, dataset, spec)
    for image_id in dataset.ids("test"):
        labels = found.read(image_id, dataset.size(image_id)).labels
        np.testing.assert_array_equal(labels, ground_truth(dataset, image_id))
    assert any("255 = 'thing'" in flag.seen for flag in found.flags()) == (foreground == 255)


def test_binary_masks_that_hold_1_and_255_are_refused_because_255_may_be_either(tmp_path):
    dataset, spec = two_classes(tmp_path, 255)
    first = dataset.ids("test")[0]
    cv2.imwrite(str(tmp_path / f"{first}.png"), ground_truth(dataset, first))
    with pytest.raises(BenchError, match="0, 1 and 255"):
        reader(tmp_path, dataset, spec)


def test_one_channel_of_probabilities_is_the_foreground_of_two_classes(tmp_path):
    dataset, spec = two_classes(tmp_path / "..", 1)
    for image_id in dataset.ids("test"):
        np.save(tmp_path / f"{image_id}.npy", np.where(ground_truth(dataset, image_id) == 1, 0.7, 0.2))
    first = dataset.ids("test")[0]
    read = reader(tmp_path, dataset, spec, format="probabilities").read
    np.testing.assert_array_equal(read(first, dataset.size(first)).labels, ground_truth(dataset, first))
    never = reader(tmp_path, dataset, spec, format="probabilities", threshold=0.9).read
    assert not never(first, dataset.size(first)).labels.any()
    np.save(tmp_path / f"{first}.npy", np.where(ground_truth(dataset, first) == 1, 3.0, -3.0))
    with pytest.raises(BenchError, match=r"no probabilities\. If they are logits say threshold: 0"):
        read(first, dataset.size(first))


def test_values_that_begin_with_one_are_refused_with_the_option_that_says_so(tmp_path):
    dataset, ids = scenes()
    full = np.arange(40 * 56, dtype=np.int64).reshape(40, 56) % len(dataset.classes)
    for image_id in ids:
        cv2.imwrite(str(tmp_path / f"{image_id}.png"), (full + 1).astype(np.uint8))
    with pytest.raises(BenchError, match=r"holds values of no class: 10 \(224 pixels\).*offset: 1"):
        reader(tmp_path, dataset).read(ids[0], dataset.size(ids[0]))
    labels = reader(tmp_path, dataset, offset=1).read(ids[0], dataset.size(ids[0])).labels
    np.testing.assert_array_equal(labels, full)


@pytest.mark.parametrize(
    ("shape", "words"), [((20, 28), "not resized here"), ((56, 40), "height and width are exchanged")]
)
def test_another_size_than_the_images_is_refused_and_never_resized(tmp_path, shape, words):
    dataset, ids = scenes()
    for image_id in ids:
        cv2.imwrite(str(tmp_path / f"{image_id}.png"), np.zeros(shape, dtype=np.uint8))
    with pytest.raises(BenchError, match=words):
        reader(tmp_path, dataset).read(ids[0], dataset.size(ids[0]))


def test_a_picture_blended_with_its_image_is_no_label_map(tmp_path):
    dataset, ids = scenes()
    for image_id in ids:
        Image.fromarray(dataset.image(image_id) // 2 + 3).save(tmp_path / f"{image_id}.png")
    with pytest.raises(BenchError, match="colours of no class"):
        reader(tmp_path, dataset).read(ids[0], dataset.size(ids[0]))


def test_missing_maps_are_named_and_refused_unless_they_are_to_count_as_nothing(tmp_path):
    dataset, ids = scenes()
    for image_id in ids[1:]:
        save_values(tmp_path, image_id, ground_truth(dataset, image_id), dataset)
    save_values(tmp_path, dataset.ids("val")[0], ground_truth(dataset, ids[0]), dataset)
    save_values(tmp_path, "somebody_elses", ground_truth(dataset, ids[0]), dataset)
    with pytest.raises(BenchError, match=f"1 of 4 images have no prediction: {ids[0]}"):
        reader(tmp_path, dataset)
    found = reader(tmp_path, dataset, missing="empty")
    assert (found.read(ids[0], dataset.size(ids[0])).labels == 255).all()
    flags = {flag.name: flag.seen for flag in found.flags()}
    assert ids[0] in flags["missing_predictions"]
    assert "somebody_elses.png" in flags["superfluous_predictions"]
    assert dataset.ids("val")[0] in flags["unscored_predictions"]


def test_two_files_for_one_image_are_refused_with_both(tmp_path):
    dataset, ids = scenes()
    for image_id in ids:
        save_values(tmp_path, image_id, ground_truth(dataset, image_id), dataset)
    (tmp_path / "copy").mkdir()
    save_values(tmp_path / "copy", ids[0], ground_truth(dataset, ids[0]), dataset)
    with pytest.raises(BenchError, match=r"both .* and .* would be the prediction"):
        reader(tmp_path, dataset)


def test_names_that_are_no_class_are_told_with_the_nearest(tmp_path):
    dataset, ids = scenes()
    for image_id in ids:
        save_values(tmp_path, image_id, ground_truth(dataset, image_id), dataset)
    with pytest.raises(BenchError, match="'squared' Did you mean 'square'"):
        reader(tmp_path, dataset, classes={"squared": 0})


def test_sixteen_bits_hold_more_than_255_classes(tmp_path):
    classes = tuple(ClassSpec(name=f"c{n}", colour=(0, 0, n % 256)) for n in range(300))
    labels = np.arange(300, dtype=np.uint16).reshape(15, 20)
    cv2.imwrite(str(tmp_path / "a.png"), labels)
    wanted = Requested(("a",), frozenset(), {"a": "a"}, classes, {spec.name: n for n, spec in enumerate(classes)})
    found = LabelMaps(tmp_path, Options(root=str(tmp_path)), wanted).read("a", Size(15, 20)).labels
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, labels)
