"""Drawn volumes: the same on every call, of known spacing, with the classes and patients that are promised."""

from __future__ import annotations

import numpy as np

from bench.data.formats.by_name import open_dataset

SMALL = {"patients": 10, "slices": 6, "size": [48, 48]}


def volume(dataset, name: str) -> tuple[np.ndarray, np.ndarray]:
    ids = [i for split in dataset.splits() for i in dataset.ids(split) if i.startswith(name)]
    return np.stack([dataset.image(i)[..., 0] for i in ids]), np.stack([dataset.target(i).semantic.labels for i in ids])


def test_a_scan_is_drawn_alike_each_time_and_otherwise_for_another_seed():
    one, again, other = (open_dataset("phantoms", {**SMALL, "seed": seed}) for seed in (0, 0, 1))
    for a, b in zip(volume(one, "phantom-001-0"), volume(again, "phantom-001-0"), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (volume(one, "phantom-001-0")[0] != volume(other, "phantom-001-0")[0]).any()
    assert one.fingerprint("test") != other.fingerprint("test")


def test_every_scan_shows_the_organ_and_some_have_lesions_within_it():
    dataset = open_dataset("phantoms", SMALL)
    names = {i.rpartition("-")[0] for split in dataset.splits() for i in dataset.ids(split)}
    labels = {name: volume(dataset, name)[1] for name in names}
    assert all((one == 1).mean() > 0.02 for one in labels.values())
    assert 0 < sum((one == 2).any() for one in labels.values()) < len(labels)


def test_scans_of_a_patient_are_alike_and_stay_in_one_split():
    dataset = open_dataset("phantoms", SMALL)
    (first, labels), (second, others) = (volume(dataset, f"phantom-001-{scan}") for scan in (0, 1))
    assert (first != second).mean() > 0.5
    shared = ((labels > 0) & (others > 0)).sum()
    assert shared > 0.5 * max((labels > 0).sum(), (others > 0).sum())
    splits = [{dataset.group(i) for i in dataset.ids(split)} for split in dataset.splits()]
    assert sum(map(len, splits)) == len(set.union(*splits)) == 10


def test_brightness_tells_the_organ_from_the_body_and_not_from_vessels():
    grey, labels = volume(open_dataset("phantoms", SMALL), "phantom-000-0")
    organ, body = grey[labels == 1], grey[(labels == 0) & (grey > 50)]
    assert np.median(organ) > np.median(body) + 20
    assert np.quantile(body, 0.995) > np.quantile(organ, 0.25)
