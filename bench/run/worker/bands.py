"""Images of more bands than a model takes: it is given those that the data set declares as red, green and blue."""

from __future__ import annotations

from bench.adapter import Adapter
from bench.errors import Unsupported
from bench.records import Job


def with_images_it_takes(job: Job, adapter: Adapter) -> Job:
    """Return the job with images that its model takes: as the data set gives them, or its `rgb` bands alone.

    Raises:
        Unsupported: If the model takes RGB images alone, and the data set has other bands and no option `rgb`.
    """
    if job.task.channels == 3 or adapter.takes_bands_for(job.model):
        return job
    rgb = job.dataset.options.get("rgb")
    if rgb is None:
        raise Unsupported(
            f"{job.model.label} takes RGB images alone; those of data set {job.dataset.label!r} have "
            f"{job.task.channels} channels. Say which are red, green and blue by the data set's option, for example "
            "rgb: [3, 2, 1], or give it a data set with three of the bands, for example bands: [3, 2, 1]"
        )
    dataset = job.dataset.model_copy(update={"options": {**job.dataset.options, "bands": rgb}})
    return job.model_copy(update={"dataset": dataset, "task": job.task.model_copy(update={"channels": 3})})


def told(planned: Job, given: Job) -> tuple[str, ...]:
    """A note for the record where the model is not given all bands."""
    if given.task.channels == planned.task.channels:
        return ()
    bands = ", ".join(map(str, given.dataset.options["bands"]))  # type: ignore[arg-type]
    return (f"images: bands {bands} alone, as RGB; of the {planned.task.channels} the model takes no others",)
