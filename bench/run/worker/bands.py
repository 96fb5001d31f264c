"""Images as a model takes them: all bands or those declared as red, green and blue, floats or bytes."""

from __future__ import annotations

from bench.adapter import Adapter
from bench.data.formats.bands import BandOptions
from bench.dataset import option_names
from bench.errors import Unsupported
from bench.records import Job

FLOATS = "floats"
"""The option `depth` of a data set whose models get values that are not rounded; see `bench.data.formats.bands`."""


def with_images_it_takes(job: Job, adapter: Adapter) -> Job:
    """Return the job with images that its model takes.

    Bands are given as the data set gives them, or its `rgb` bands alone. Values that a range scales are floats where
    the model takes these, unless the data set's option `depth` says otherwise.

    Raises:
        Unsupported: If the model takes RGB images alone, and the data set has other bands and no option `rgb`.
    """
    takes_bands = adapter.takes_bands_for(job.model)
    options = dict(job.dataset.options)
    known = option_names(job.dataset.name)
    if {"bands", "range"} & options.keys():  # which every data set of files takes
        known = [*known, *BandOptions.model_fields]
    if takes_bands and adapter.takes_floats and "depth" in known and options.get("depth") is None:
        options["depth"] = FLOATS
    elif not (takes_bands and adapter.takes_floats) and options.get("depth") == FLOATS:
        options["depth"] = "bytes"
    channels = job.task.channels
    if channels != 3 and not takes_bands:
        if options.get("rgb") is None or "bands" not in known:
            raise Unsupported(
                f"{job.model.label} takes RGB images alone; those of data set {job.dataset.label!r} have "
                f"{channels} channels. {_ways_out(known)}"
            )
        options["bands"], channels = options["rgb"], 3
    if options == job.dataset.options:
        return job
    return job.model_copy(
        update={
            "dataset": job.dataset.model_copy(update={"options": options}),
            "task": job.task.model_copy(update={"channels": channels}),
        }
    )


def _ways_out(known: list[str]) -> str:
    if "bands" not in known:
        return "Give it a data set of one or three channels"
    return (
        "Say which are red, green and blue by the data set's option, for example rgb: [3, 2, 1], or give it a data set "
        "with three of the bands, for example bands: [3, 2, 1]"
    )


def band_notes(planned: Job, given: Job) -> tuple[str, ...]:
    """Notes for the record: where the model is not given all bands, and where it is given floats."""
    notes = []
    if given.task.channels != planned.task.channels:
        bands = ", ".join(map(str, given.dataset.options["bands"]))  # type: ignore[arg-type]
        notes.append(f"images: bands {bands} alone, as RGB; of the {planned.task.channels} the model takes no others")
    scaled = given.dataset.options.get("range") or given.dataset.options.get("window")
    if scaled is not None and given.dataset.options.get("depth") == FLOATS:
        notes.append("images: values in the range of the data set as floats from 0 to 255, not rounded")
    return tuple(notes)
