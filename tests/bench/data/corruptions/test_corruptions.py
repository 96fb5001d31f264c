"""Corruptions: the same for a seed, worse with severity, of the published strength; the ground truth follows."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bench.data.corruptions.dataset import CorruptedDataset
from bench.data.corruptions.names import FAMILIES, FAMILY_OF, corrupted, name_error, named
from bench.data.corruptions.size import FACTORS, scaled_ground_truth
from bench.data.formats.by_name import open_dataset
from bench.dataset import GroundTruth, Spacing
from bench.errors import Unsupported
from bench.records import Corruption
from bench.records.predictions import Instances, Panoptic, Segment, SemanticMap

KEPT_SIZE = [name for name in FAMILY_OF if name not in FACTORS]


def scene(size=(96, 128), seed=0):
    dataset = open_dataset("shapes", {"preset": "standard", "size": list(size), "seed": seed, "test": 2})
    return dataset.image("shapes-test-00000")


def changed(name, severity, image, seed=0):
    return corrupted(image, Corruption(name=name, severity=severity, seed=seed), "an image")


@pytest.mark.parametrize("name", FAMILY_OF)
def test_the_same_seed_name_severity_and_image_give_the_same_pixels_of_the_same_size(name):
    image = scene()
    before = image.copy()
    first, again = changed(name, 3, image), changed(name, 3, image)
    assert first.dtype == np.uint8
    assert first.shape == image.shape
    assert (first == again).all()
    assert (image == before).all()


@pytest.mark.parametrize("name", KEPT_SIZE)
def test_every_corruption_changes_the_image_and_most_the_more_severe_it_is(name):
    image = scene().astype(np.float64)
    distances = [np.abs(changed(name, s, image.astype(np.uint8)) - image).mean() for s in range(1, 6)]
    assert min(distances) > 0.5
    # `saturate` goes towards grey, then towards colours, and elastic change shears first and bends then, as published;
    # motion turns with its random direction.
    if name not in ("saturate", "glass_blur", "elastic_transform"):
        assert distances[4] > distances[0]


@pytest.mark.parametrize("name", ["gaussian_noise", "shot_noise", "impulse_noise", "motion_blur", "snow", "fog"])
def test_another_seed_or_another_image_gets_other_random_numbers(name):
    image = scene()
    one = corrupted(image, Corruption(name=name, severity=3), "a")
    assert (one != corrupted(image, Corruption(name=name, severity=3), "b")).any()
    assert (one != corrupted(image, Corruption(name=name, severity=3, seed=1), "a")).any()


GREY = np.full((200, 200, 3), 128, dtype=np.uint8)


@pytest.mark.parametrize(("severity", "scale"), [(1, 0.08), (2, 0.12), (3, 0.18)])
def test_gaussian_noise_has_the_published_standard_deviation(severity, scale):
    noise = changed("gaussian_noise", severity, GREY) / 255.0 - 128 / 255
    assert noise.mean() == pytest.approx(0, abs=0.002)
    # Cut off at 0 and 1, which is 2.8 standard deviations away at the third severity.
    assert noise.std() == pytest.approx(scale, rel=0.02)


@pytest.mark.parametrize(("severity", "photons"), [(1, 60), (2, 25), (3, 12)])
def test_shot_noise_has_the_variance_of_counted_photons(severity, photons):
    dark = np.full((200, 200, 3), 64, dtype=np.uint8)
    found = changed("shot_noise", severity, dark) / 255.0
    assert found.mean() == pytest.approx(64 / 255, rel=0.02)
    assert found.var() == pytest.approx(64 / 255 / photons, rel=0.04)


@pytest.mark.parametrize(("severity", "share"), [(1, 0.03), (5, 0.27)])
def test_impulse_noise_replaces_the_published_share_by_black_and_white_alike(severity, share):
    found = changed("impulse_noise", severity, GREY)
    assert (found == 0).mean() == pytest.approx(share / 2, abs=0.004)
    assert (found == 255).mean() == pytest.approx(share / 2, abs=0.004)


def test_speckle_noise_leaves_black_as_it_is():
    assert not changed("speckle_noise", 5, np.zeros((20, 20, 3), dtype=np.uint8)).any()


@pytest.mark.parametrize("name", ["gaussian_blur", "defocus_blur", "motion_blur", "zoom_blur", "glass_blur"])
def test_blur_keeps_a_flat_image_and_the_mean_of_a_point(name):
    assert (changed(name, 5, GREY) == 128).all()
    if name not in ("zoom_blur", "glass_blur"):
        point = np.zeros((101, 101, 3), dtype=np.uint8)
        point[50, 50] = 255
        wide = cv2.dilate(point, np.ones((21, 21), np.uint8))
        assert changed(name, 1, wide).mean() == pytest.approx(wide.mean(), rel=0.02)


def test_contrast_and_brightness_are_those_of_the_published_formulas():
    image = scene()
    floats = image / 255.0
    mean = floats.mean(axis=(0, 1), keepdims=True)
    assert np.abs(changed("contrast", 2, image) / 255 - ((floats - mean) * 0.3 + mean)).max() <= 0.5 / 255 + 1e-9
    hsv = cv2.cvtColor(floats.astype(np.float32), cv2.COLOR_RGB2HSV)
    brighter = cv2.cvtColor(changed("brightness", 2, image).astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    assert np.abs(brighter[..., 2] - np.clip(hsv[..., 2] + 0.2, 0, 1)).max() < 0.01


def test_jpeg_is_what_a_decoder_makes_of_the_published_quality():
    image = scene()
    _, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 15])
    expected = cv2.cvtColor(cv2.imdecode(content, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert (changed("jpeg_compression", 3, image) == expected).all()


def test_names_families_and_all_stand_for_corruptions_and_a_typing_error_is_told():
    assert named(["fog", "noise"]) == (*FAMILIES["noise"], "fog")
    assert named(["all"]) == tuple(FAMILY_OF)
    assert name_error("blur") is None
    assert "Did you mean 'fog'?" in name_error("fogg")


def ground_truth_of(labels, objects):
    ids = np.zeros(labels.shape, dtype=np.int32)
    for number, mask in enumerate(objects, start=1):
        ids[mask] = number
    return GroundTruth(
        semantic=SemanticMap(labels, spacing=Spacing(1.0, 2.0, 3.0)),
        instances=Instances(
            np.stack(objects), np.ones(len(objects), np.int64), np.ones(len(objects)), np.zeros(len(objects), np.bool_)
        ),
        panoptic=Panoptic(ids, tuple(Segment(n, 1) for n in range(1, len(objects) + 1))),
    )


@pytest.mark.parametrize("severity", range(1, 6))
def test_a_smaller_object_has_its_area_divided_by_the_square_of_the_factor_and_the_rim_is_void(severity):
    factor = FACTORS["smaller"][severity - 1]
    labels = np.zeros((120, 120), dtype=np.uint8)
    labels[40:80, 30:90] = 1
    found = scaled_ground_truth(ground_truth_of(labels, [labels == 1]), factor)
    assert (found.semantic.labels == 1).sum() == pytest.approx(2400 * factor**2, rel=0.06)
    inside = round(120 * factor)
    assert (found.semantic.labels == 255).sum() == 120 * 120 - inside * inside
    assert (found.instances.masks[0] == (found.semantic.labels == 1)).all()
    assert (found.instances.void == (found.semantic.labels == 255)).all()
    assert (found.panoptic.segment_ids == found.instances.masks[0]).all()
    assert found.semantic.spacing == Spacing(1.0 / factor, 2.0 / factor, 3.0)


def test_a_larger_view_shows_the_middle_and_drops_objects_that_are_not_in_it():
    labels = np.zeros((100, 100), dtype=np.uint8)
    labels[45:55, 45:55], labels[0:4, 0:4] = 1, 1
    middle, corner = np.zeros_like(labels, dtype=bool), np.zeros_like(labels, dtype=bool)
    middle[45:55, 45:55], corner[0:4, 0:4] = True, True
    found = scaled_ground_truth(ground_truth_of(labels, [middle, corner]), 2.0)
    assert len(found.instances.masks) == 1
    assert found.instances.masks[0].sum() == 400
    assert [segment.id for segment in found.panoptic.segments] == [1]
    assert not (found.semantic.labels == 255).any()


def test_image_and_ground_truth_are_scaled_alike():
    rng = np.random.default_rng(0)
    labels = np.zeros((90, 110), dtype=np.uint8)
    labels[20:70, 30:60] = 1
    image = np.where(labels[..., None] == 1, np.uint8(250), np.uint8(5)) + rng.integers(
        0, 3, (90, 110, 1), dtype=np.uint8
    )
    image = np.repeat(image, 3, axis=2)
    for name in FACTORS:
        shown = changed(name, 3, image)[..., 0]
        ground_truth = scaled_ground_truth(GroundTruth(SemanticMap(labels)), FACTORS[name][2]).semantic.labels
        known = ground_truth != 255
        assert ((shown > 128) == (ground_truth == 1))[known].mean() > 0.98


@pytest.mark.parametrize("severity", range(1, 6))
def test_image_and_ground_truth_are_warped_alike_and_objects_that_leave_are_dropped(severity):
    shapes = open_dataset("shapes", {"preset": "easy", "size": [96, 128], "train": 1, "val": 1, "test": 2})
    colour = np.linspace(0, 250, len(shapes.classes) + 1).round().astype(np.uint8)

    class Painted:
        """The scenes, each class in a grey of its own, so that the image says what the ground truth is."""

        def __getattr__(self, name):
            return getattr(shapes, name)

        def image(self, image_id):
            labels = shapes.target(image_id).semantic.labels
            return np.repeat(colour[np.minimum(labels, len(shapes.classes))][..., None], 3, axis=2)

    warped = CorruptedDataset(Painted(), Corruption(name="elastic_transform", severity=severity), "test")
    ground_truth, image = warped.target("shapes-test-00000"), warped.image("shapes-test-00000")[..., 0]
    labels = np.minimum(ground_truth.semantic.labels, len(shapes.classes))
    inside = cv2.erode(
        (cv2.dilate(labels, np.ones((3, 3))) == cv2.erode(labels, np.ones((3, 3)))).astype(np.uint8), np.ones((3, 3))
    )
    assert (image == colour[labels])[inside > 0].mean() > 0.99
    assert (labels != np.minimum(shapes.target("shapes-test-00000").semantic.labels, len(shapes.classes))).any()
    assert ground_truth.instances.masks.any(axis=(1, 2)).all()
    assert {segment.id for segment in ground_truth.panoptic.segments} == set(
        np.unique(ground_truth.panoptic.segment_ids)
    ) - {0}


def test_frost_is_laid_on_as_published_in_patches_of_bluish_white():
    black = changed("frost", 3, np.zeros((128, 128, 3), dtype=np.uint8)).astype(np.float64)
    assert 0.05 < black.mean() / 255 < 0.6
    assert (black[..., 2] >= black[..., 0]).all()
    assert black.std() > 8
    white = changed("frost", 3, np.full((128, 128, 3), 100, dtype=np.uint8)).astype(np.float64)
    assert np.abs(white - (0.7 * 100 + black)).max() <= 1.5


def test_only_the_scored_split_is_corrupted_and_the_fingerprint_says_so():
    clean = open_dataset("shapes", {"preset": "easy", "size": [32, 32], "train": 2, "val": 1, "test": 2})
    foggy = CorruptedDataset(clean, Corruption(name="fog", severity=2), "test")
    assert (foggy.image("shapes-train-00000") == clean.image("shapes-train-00000")).all()
    assert (foggy.image("shapes-test-00000") != clean.image("shapes-test-00000")).any()
    assert (
        foggy.target("shapes-test-00000").semantic.labels == clean.target("shapes-test-00000").semantic.labels
    ).all()
    other = CorruptedDataset(clean, Corruption(name="fog", severity=3), "test")
    assert len({clean.fingerprint("test"), foggy.fingerprint("test"), other.fingerprint("test")}) == 3


@pytest.mark.parametrize("name", ["shot_noise", "fog", "larger", "contrast"])
def test_floats_from_0_to_255_stay_floats_and_are_changed_as_bytes_are(name):
    image = scene().astype(np.float32)
    found = changed(name, 2, image)
    assert found.dtype == np.float32
    assert np.abs(found - changed(name, 2, image.astype(np.uint8)).astype(np.float32)).max() <= 1.1


def test_images_of_other_channels_are_refused():
    clean = open_dataset("shapes", {"size": [32, 32], "train": 1, "val": 1, "test": 1})
    foggy = CorruptedDataset(clean, Corruption(name="fog", severity=2), "test")
    clean.image = lambda _: np.zeros((8, 8, 5), dtype=np.uint8)
    with pytest.raises(Unsupported, match="made for RGB images"):
        foggy.image("shapes-test-00000")


def test_classes_of_a_model_are_matched_with_those_of_the_images_as_they_are():
    from bench.data.labels.dataset import open_labelled
    from bench.data.labels.predictions import places_of
    from bench.records import DatasetSpec, Labels

    labels = Labels(merge={"blob": ("disc", "ring")}, rest="keep")
    spec = DatasetSpec(name="shapes", label="shapes", labels=labels)
    foggy = spec.model_copy(update={"corruption": Corruption(name="fog", severity=1)})
    assert places_of(open_labelled(foggy)) == places_of(open_labelled(spec))
    assert places_of(open_labelled(foggy))["disc"] == places_of(open_labelled(spec))["blob"]
