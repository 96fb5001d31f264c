"""Decides how `bench predict` reads images that are not 8-bit grey or RGB: as the model was trained on them."""

from __future__ import annotations

from bench.data.formats.bands import BandOptions, BandReading, Percentiles
from bench.data.labels.dataset import open_labelled
from bench.errors import BenchError
from bench.records import Case
from bench.run.predict.worker.request import FileReading

BAND_OPTIONS = ("bands", "range", "rgb", "depth")


def reading_of_case(case: Case, asked: str | None) -> FileReading | None:
    """Return how the images of a case's data set are read, with another range if one is asked for.

    Raises:
        BenchError: If the data set measures its range and is not here.
    """
    own = {key: value for key, value in case.dataset.options.items() if key in BAND_OPTIONS}
    if not own:
        return None if asked is None else FileReading(ranges=(range_of(asked),))
    options = BandOptions.model_validate(own, strict=False)
    reading = options.reading()
    if asked is None and isinstance(options.range, Percentiles):
        reading = _measured(case)
    if reading is None:
        return None if asked is None else FileReading(ranges=(range_of(asked),))
    ranges = reading.ranges if asked is None else (range_of(asked),)
    return FileReading(bands=reading.bands, rgb=reading.rgb, ranges=ranges, depth=options.depth)


def _measured(case: Case) -> BandReading | None:
    try:
        found: BandReading | None = getattr(open_labelled(case.dataset), "bands", None)
    except BenchError as error:
        raise BenchError(
            f"case {case.id}: the range of its images was measured on data set {case.dataset.label!r}, which cannot be "
            f"opened here: {error} Give the range by hand: --range LOW,HIGH"
        ) from None
    return found


def range_of(text: str) -> tuple[float, float]:
    """Return the values that become 0 and 255; raises `BenchError` if the text is no such pair."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise BenchError(f"--range {text}: expected two numbers, low,high, for example 0,4095") from None
    if not low < high:
        raise BenchError(f"--range {text}: the second number must be the larger one, for example 0,4095")
    return low, high
