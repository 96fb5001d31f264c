"""Augmentation: image and mask stay together, ids stay ids, and nothing depends on anything but the seed."""

from __future__ import annotations

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("torchvision", reason="torchvision is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters._torch.training.augment import Augmenter
from bench.records import IGNORE_LABEL, Augmentation

GREY = (128 / 255, 128 / 255, 128 / 255)
PALETTE = {
    0: (0, 0, 0),
    1: (255, 0, 0),
    2: (0, 255, 0),
    7: (0, 0, 255),
    254: (255, 255, 255),
    IGNORE_LABEL: (128, 128, 128),
}
GEOMETRY = {
    "enlarge": Augmentation(scale=(1.0, 2.5)),
    "reduce": Augmentation(scale=(0.5, 1.0)),
    "rotate": Augmentation(rotate_deg=180),
    "elastic": Augmentation(elastic_px=3),
    "all": Augmentation(scale=(0.6, 1.8), rotate_deg=45, elastic_px=2),
}
LOOKS = {"colour": Augmentation(colour=0.5), "blur": Augmentation(blur_px=2), "noise": Augmentation(noise=0.1)}
ANY = [*GEOMETRY.values(), *LOOKS.values()]
NAMES = [*GEOMETRY, *LOOKS]

seeds = st.integers(0, 2**63)
sizes = st.tuples(st.integers(1, 90), st.integers(1, 90))


def patches(seed: int, shape: tuple[int, int], side: int = 12) -> np.ndarray:
    """A label map of squares, big enough that none is lost between two samples."""
    coarse = np.random.default_rng(seed).choice(list(PALETTE), size=[-(-n // side) for n in shape])
    return np.kron(coarse, np.ones((side, side)))[: shape[0], : shape[1]].astype(np.uint8)


def painted(labels: np.ndarray) -> np.ndarray:
    """The image whose colours say which label a pixel has."""
    image = np.zeros((*labels.shape, 3), np.uint8)
    for label, rgb in PALETTE.items():
        image[labels == label] = rgb
    return image


def named_by_colour(image: np.ndarray) -> np.ndarray:
    """The label whose colour is nearest, pixel by pixel."""
    far = np.stack([np.abs(image.astype(int) - rgb).sum(axis=-1) for rgb in PALETTE.values()])
    return np.array(list(PALETTE), np.uint8)[far.argmin(axis=0)]


def away_from_edges(labels: np.ndarray, reach: int = 2) -> np.ndarray:
    """Pixels whose neighbours up to `reach` away are in the frame and have the same label, looked at one by one."""
    padded = np.pad(labels.astype(int), reach, constant_values=-1)
    height, width = labels.shape
    alike = np.ones(labels.shape, bool)
    for down in range(2 * reach + 1):
        for across in range(2 * reach + 1):
            alike &= padded[down : down + height, across : across + width] == labels
    return alike


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.indices(shape)
    return ((y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2).astype(np.uint8)


def centroid(weights: np.ndarray) -> np.ndarray:
    return np.array([(axis * weights).sum() for axis in np.indices(weights.shape)]) / weights.sum()


# ------------------------------------------------------------------ image and mask


@pytest.mark.parametrize("augmentation", GEOMETRY.values(), ids=GEOMETRY)
@given(picture=seeds, seed=seeds, shape=st.tuples(st.integers(48, 90), st.integers(48, 90)))
@settings(max_examples=25, deadline=None)
def test_away_from_edges_the_mask_says_what_the_image_shows(augmentation, picture, seed, shape):
    labels = patches(picture, shape)
    image, mask = Augmenter(augmentation, fill=GREY)(painted(labels), labels, seed=seed)
    inside = away_from_edges(mask)
    assert (named_by_colour(image) == mask)[inside].all()


@pytest.mark.parametrize("augmentation", GEOMETRY.values(), ids=GEOMETRY)
@pytest.mark.parametrize("seed", range(12))
def test_image_and_mask_are_not_half_a_pixel_apart(augmentation, seed):
    labels = disc((112, 100), (58.0, 47.0), 26)
    image, mask = Augmenter(augmentation, fill=(0, 0, 0))(np.stack([255 * labels] * 3, -1), labels, seed=seed)
    shown = image[..., 0] / 255
    # A mask has jagged rims: each of its some 160 pixels there is off by 0.3 at random, which moves the centroid
    # of 2100 pixels by 26 √160 0.3 / 2100 = 0.05.
    assert centroid(shown) == pytest.approx(centroid(mask == 1), abs=0.25)
    assert shown.sum() == pytest.approx((mask == 1).sum(), rel=0.05)


@pytest.mark.parametrize("augmentation", ANY, ids=NAMES)
@given(picture=seeds, seed=seeds, shape=sizes)
@settings(max_examples=20, deadline=None)
def test_no_id_is_invented_and_sizes_and_types_stay(augmentation, picture, seed, shape):
    labels = np.random.default_rng(picture).choice([0, 3, 19, 254], size=shape).astype(np.uint8)
    image, mask = Augmenter(augmentation, fill=GREY)(painted(labels), labels, seed=seed)
    assert set(np.unique(mask)) <= {*np.unique(labels), IGNORE_LABEL}
    assert (mask.shape, mask.dtype) == (shape, np.uint8)
    assert (image.shape, image.dtype) == ((*shape, 3), np.uint8)


@pytest.mark.parametrize("augmentation", LOOKS.values(), ids=LOOKS)
def test_a_change_of_looks_leaves_the_mask(augmentation):
    labels = patches(1, (40, 56))
    image, mask = Augmenter(augmentation, fill=GREY)(painted(labels), labels, seed=4)
    assert (mask == labels).all()
    assert (image != painted(labels)).any()


def test_what_comes_from_outside_is_void_and_has_the_fill_colour():
    labels = np.zeros((64, 64), np.uint8)
    white = np.full((64, 64, 3), 255, np.uint8)
    image, mask = Augmenter(Augmentation(scale=(0.5, 0.5)), fill=(0.2, 0.4, 0.6))(white, labels, seed=3)
    # 64 centres at steps of two fit 32 times into 63 pixels: a quarter of the frame.
    assert (mask == 0).sum() == pytest.approx(32 * 32, rel=0.05)
    outside = (mask == IGNORE_LABEL) & away_from_edges(mask)
    assert outside.sum() > 2000
    assert (image[outside] == (51, 102, 153)).all()
    assert (image[(mask == 0) & away_from_edges(mask)] == 255).all()


# ------------------------------------------------------------------ a function of the seed


@pytest.mark.parametrize("augmentation", ANY, ids=NAMES)
def test_the_same_seed_gives_the_same_and_another_another(augmentation):
    labels = patches(2, (48, 64))
    image = painted(labels)
    one, again, other = (Augmenter(augmentation, fill=GREY)(image, labels, seed=s) for s in ((5, 1), (5, 1), (5, 2)))
    assert all((a == b).all() for a, b in zip(one, again, strict=True))
    assert (one[0] != other[0]).any()


def test_a_whole_number_is_a_seed_too():
    labels = patches(2, (48, 64))
    augmenter = Augmenter(GEOMETRY["all"], fill=GREY)
    results = [augmenter(painted(labels), labels, seed=seed) for seed in (8, [8], 9)]
    assert (results[0][1] == results[1][1]).all()
    assert (results[0][1] != results[2][1]).any()


@pytest.mark.parametrize("augmentation", ANY, ids=NAMES)
def test_the_global_random_states_stay_as_they_were_and_do_not_matter(augmentation):
    labels = patches(3, (40, 40))
    image, results = painted(labels), []
    for state in (1, 2):
        random.seed(state)
        np.random.seed(state)
        torch.manual_seed(state)
        before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
        results.append(Augmenter(augmentation, fill=GREY)(image, labels, seed=0))
        assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before
    assert all((a == b).all() for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("augmentation", ANY, ids=NAMES)
def test_what_comes_in_is_not_changed_and_may_be_a_mirrored_view(augmentation):
    labels = patches(4, (33, 47))
    image = painted(labels)
    augmenter = Augmenter(augmentation, fill=GREY)
    of_view = augmenter(image[:, ::-1], labels[:, ::-1], seed=1)
    of_copy = augmenter(image[:, ::-1].copy(), labels[:, ::-1].copy(), seed=1)
    assert (image == painted(patches(4, (33, 47)))).all()
    assert (labels == patches(4, (33, 47))).all()
    assert all((a == b).all() for a, b in zip(of_view, of_copy, strict=True))


def test_switching_a_change_on_leaves_the_draws_of_the_others():
    labels = patches(5, (64, 64))
    turned = Augmenter(Augmentation(rotate_deg=30), fill=GREY)(painted(labels), labels, seed=6)[1]
    with_more = Augmentation(rotate_deg=30, colour=0.4, blur_px=1, noise=0.1)
    assert (Augmenter(with_more, fill=GREY)(painted(labels), labels, seed=6)[1] == turned).all()


@pytest.mark.parametrize("augmentation", [Augmentation(), Augmentation(scale=(1.0, 1.0))])
def test_off_is_the_identity(augmentation):
    labels = patches(6, (30, 40))
    image, mask = Augmenter(augmentation, fill=GREY)(painted(labels), labels, seed=0)
    assert not augmentation.changes
    assert (image == painted(labels)).all()
    assert (mask == labels).all()


@pytest.mark.parametrize("augmentation", ANY, ids=NAMES)
def test_each_change_counts_as_one(augmentation):
    assert augmentation.changes


# ------------------------------------------------------------------ how much


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2.0])
def test_a_scale_changes_areas_by_its_square(factor):
    labels = disc((128, 128), (63.5, 63.5), 16)
    areas = []
    for seed in range(20):
        image = np.stack([255 * labels] * 3, -1)
        _, mask = Augmenter(Augmentation(scale=(factor, factor)), fill=(0, 0, 0))(image, labels, seed=seed)
        areas.append((mask == 1).sum())
    # At factor 2 the part that is taken out may cut the disc.
    assert max(areas) == pytest.approx(labels.sum() * factor**2, rel=0.05)


def test_an_enlarged_image_has_nothing_from_outside():
    labels = patches(7, (50, 70)) % 3
    for seed in range(20):
        _, mask = Augmenter(Augmentation(scale=(1.0, 3.0)), fill=GREY)(painted(labels), labels, seed=seed)
        assert (mask < 3).all()


def test_texture_finer_than_a_reduced_image_can_show_becomes_its_mean():
    y, x = np.indices((96, 96))
    board = np.stack([255 * ((y + x) % 2).astype(np.uint8)] * 3, -1)
    labels = np.zeros((96, 96), np.uint8)
    image, mask = Augmenter(Augmentation(scale=(1 / 3, 1 / 3)), fill=GREY)(board, labels, seed=2)
    shown = image[(mask == 0) & away_from_edges(mask)]
    # Sampled at every third pixel without a blur, a chess board would stay one: 0 and 255.
    assert len(shown) > 500
    assert (np.abs(shown.astype(int) - 128) < 12).all()


def test_rotations_go_both_ways_up_to_the_largest_angle():
    labels = np.zeros((101, 101), np.uint8)
    labels[48:53, 15:86] = 1
    angles = []
    for seed in range(60):
        _, mask = Augmenter(Augmentation(rotate_deg=30), fill=GREY)(painted(labels), labels, seed=seed)
        y, x = np.nonzero(mask == 1)
        angles.append(np.degrees(0.5 * np.arctan2(2 * np.cov(x, y)[0, 1], np.var(x) - np.var(y))))
        assert centroid(mask == 1) == pytest.approx([50, 50], abs=0.2)  # about the centre
        assert len(x) == pytest.approx(71 * 5, rel=0.05)
    assert -31 < min(angles) < -24
    assert 24 < max(angles) < 31


def test_an_elastic_change_moves_by_about_what_it_is_told():
    labels = np.zeros((128, 128), np.uint8)
    ramp = np.indices((128, 128))[1].astype(np.uint8)  # its colour says which column a pixel came from
    image = np.stack([ramp] * 3, -1)
    moved = []
    for seed in range(200):
        changed, _ = Augmenter(Augmentation(elastic_px=6), fill=GREY)(image, labels, seed=seed)
        moved.append(int(changed[64, 64, 0]) - 64)
    # In the middle lies a control point: its displacement is normal with deviation 6 u, u uniform in 0-1,
    # and E[u²] = 1/3, so that the deviation over many is 6 / √3 = 3.46.
    assert np.std(moved) == pytest.approx(6 / 3**0.5, rel=0.2)
    assert abs(np.mean(moved)) < 0.8


def test_noise_has_a_deviation_up_to_the_largest():
    labels = np.zeros((64, 64), np.uint8)
    grey = np.full((64, 64, 3), 128, np.uint8)
    augmenter = Augmenter(Augmentation(noise=0.1), fill=GREY)
    deviations = [np.std(augmenter(grey, labels, seed=seed)[0] / 255.0) for seed in range(40)]
    assert 0.085 < max(deviations) < 0.104
    assert min(deviations) < 0.02


def test_a_blur_spreads_a_point_by_up_to_its_deviation():
    labels = np.zeros((65, 65), np.uint8)
    stripe = np.zeros((65, 65, 3), np.uint8)
    stripe[:, 28:37] = 255
    augmenter = Augmenter(Augmentation(blur_px=3), fill=GREY)
    spreads = []
    for seed in range(40):
        row = augmenter(stripe, labels, seed=seed)[0][32, :, 0] / 255.0
        assert row.sum() == pytest.approx(9, rel=0.02)
        variance = (row * (np.arange(65) - 32) ** 2).sum() / row.sum()
        spreads.append(max(0.0, variance - (9**2 - 1) / 12) ** 0.5)  # variances add: the stripe's own is (n² - 1) / 12
    assert 2.6 < max(spreads) < 3.1
    assert min(spreads) < 0.5


def test_colours_change_by_up_to_the_share_that_is_asked_for():
    labels = np.zeros((16, 16), np.uint8)
    grey = np.full((16, 16, 3), 100, np.uint8)
    # Of an even grey contrast, saturation and hue change nothing: brightness is seen alone.
    augmenter = Augmenter(Augmentation(colour=0.5), fill=GREY)
    levels = [augmenter(grey, labels, seed=seed)[0].mean() for seed in range(60)]
    assert 49.5 <= min(levels) < 58
    assert 142 < max(levels) <= 150.5
