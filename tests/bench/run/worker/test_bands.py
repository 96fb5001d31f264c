"""A model is given the images that it takes: all bands or three, floats or bytes; the record says which."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.errors import Unsupported
from bench.records import DatasetSpec, TaskSpec
from bench.run.worker.bands import band_notes, with_images_it_takes
from tests.bench.builders import CLASSES, make_job


def adapter(*, bands, floats):
    return SimpleNamespace(takes_bands_for=lambda model: bands, takes_floats=floats)


def given(channels, takes, **options):
    job = make_job(
        dataset=DatasetSpec(name="folder", label="mine", options=options),
        task=TaskSpec(kind="semantic", classes=CLASSES, channels=channels),
    )
    return job, with_images_it_takes(job, takes)


def test_a_model_of_any_bands_gets_them_all_as_floats_and_its_record_says_so():
    job, changed = given(4, adapter(bands=True, floats=True), bands=[1, 2, 3, 4], range=[0, 4095])
    assert changed.dataset.options == {"bands": [1, 2, 3, 4], "range": [0, 4095], "depth": "floats"}
    assert changed.task.channels == 4
    (note,) = band_notes(job, changed)
    assert "as floats from 0 to 255" in note


def test_bytes_are_bytes_where_the_data_set_says_so():
    _, changed = given(3, adapter(bands=True, floats=True), range=[0, 4095], depth="bytes")
    assert changed.dataset.options["depth"] == "bytes"


def test_a_model_of_bytes_gets_bytes_even_where_floats_are_asked_for():
    _, changed = given(3, adapter(bands=False, floats=False), range=[0, 4095], depth="floats")
    assert changed.dataset.options["depth"] == "bytes"


def test_a_model_of_rgb_gets_the_three_bands_that_are_declared():
    job, changed = given(4, adapter(bands=False, floats=False), bands=[1, 2, 3, 4], rgb=[3, 2, 1])
    assert (changed.dataset.options["bands"], changed.task.channels) == ([3, 2, 1], 3)
    assert band_notes(job, changed) == ("images: bands 3, 2, 1 alone, as RGB; of the 4 the model takes no others",)


def test_a_model_of_rgb_is_refused_bands_that_nothing_declares():
    with pytest.raises(Unsupported, match=r"takes RGB images alone; .* rgb: \[3, 2, 1\]"):
        given(4, adapter(bands=False, floats=False), bands=[1, 2, 3, 4])


def test_a_data_set_without_bands_changes_nothing():
    job, changed = given(3, adapter(bands=False, floats=False), root="x")
    assert changed is job
    assert band_notes(job, changed) == ()
