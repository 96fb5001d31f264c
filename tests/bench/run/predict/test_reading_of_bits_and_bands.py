"""`bench predict` of images of 16 bits and of bands: read by a stated range, or refused with what to type."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bench.errors import BenchError
from bench.records import Case, ClassSpec, DatasetSpec
from bench.run.predict.models import range_of, reading_of_case
from bench.run.predict.worker.frames import batches
from bench.run.predict.worker.request import FileReading, FilesRequest, Item

CLASSES = (ClassSpec(name="a", colour=(0, 0, 0)),)
RAMP = np.linspace(0, 4095, 12 * 16).reshape(12, 16).astype(np.uint16)


def read(folder, reading=None, **images):
    """Name -> the image, or the reason why it is not predicted."""
    items = []
    for name, pixels in images.items():
        cv2.imwrite(str(folder / f"{name}.png"), pixels)
        items.append(Item(source=str(folder / f"{name}.png"), name=name))
    request = FilesRequest(out=str(folder), items=tuple(items), classes=CLASSES, reading=reading)
    given = None if reading is None else reading.reading(takes_bands=False, takes_floats=False)
    found = list(batches(request, 1, mixed=True, reading=given))
    shown = {frame.item.name: frame.image for batch in found for frame in batch.frames}
    return {**shown, **{end.item.name: end.reason for batch in found for end in batch.ends if end.reason}}


def test_few_bits_of_sixteen_are_refused_with_the_range_to_type(tmp_path):
    found = read(tmp_path, twelve=RAMP, sixteen=RAMP * 16, eight=(RAMP // 16).astype(np.uint8))
    assert "is of 16 bits but holds values up to 4095 only" in found["twelve"]
    assert "--range 0,4095" in found["twelve"]
    assert found["sixteen"].max() == 255  # 65520 / 257 = 254.9
    assert np.array_equal(found["eight"][..., 0], RAMP // 16)


def test_a_dark_image_of_eight_bits_is_just_dark(tmp_path):
    dark = (RAMP // 256).astype(np.uint8)
    assert np.array_equal(read(tmp_path, dark=dark)["dark"][..., 1], dark)


def test_a_range_is_the_rule_by_which_values_are_scaled(tmp_path):
    found = read(tmp_path, FileReading(ranges=((0.0, 4095.0),)), a=RAMP, of_eight=(RAMP // 16).astype(np.uint8))
    assert np.array_equal(found["a"], np.repeat(np.rint(RAMP * (255 / 4095))[..., None], 3, axis=2))
    assert "it is of 8 bits, and the range up to 4095" in found["of_eight"]


def test_bands_are_those_of_the_data_set_that_a_model_was_trained_on(tmp_path):
    reading = FileReading(bands=(1, 2, 3, 4), rgb=(3, 2, 1), depth="bytes")
    pixels = np.stack(
        [np.full((4, 5), value, np.uint8) for value in (30, 20, 10, 40)], axis=-1
    )  # blue first, as OpenCV
    assert read(tmp_path, reading, a=pixels)["a"][0, 0].tolist() == [30, 20, 10]  # bands 3, 2 and 1 of 10, 20, 30, 40
    four = reading.reading(takes_bands=True, takes_floats=True)
    assert four.image(tmp_path / "a.png")[0, 0].tolist() == [10, 20, 30, 40]


def case(**options):
    """The case of a run on such a data set; nothing else of it is looked at."""
    return Case.model_construct(id="c", dataset=DatasetSpec(name="folder", label="d", options=options))


def test_a_case_of_a_run_brings_the_range_it_was_trained_with_unless_another_is_asked_for():
    assert reading_of_case(case(), None) is None
    assert reading_of_case(case(range=[0, 4095]), None) == FileReading(ranges=((0.0, 4095.0),))
    assert reading_of_case(case(range=[0, 4095], bands=[1, 2]), "0,1023").ranges == ((0.0, 1023.0),)
    with pytest.raises(BenchError, match=r"was measured on data set 'd'.*--range LOW,HIGH"):
        reading_of_case(case(range={"percentiles": [2, 98]}, root="nowhere"), None)


@pytest.mark.parametrize("text", ["4095", "0,a", "9,1", ""])
def test_a_range_that_is_none_is_refused(text):
    with pytest.raises(BenchError, match="0,4095"):
        range_of(text)
