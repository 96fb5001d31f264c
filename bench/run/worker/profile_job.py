"""The profile job: memory, energy, busy time and operations of one model, in a process that does nothing else.

Memory comes first, before anything else has touched it; then energy and the device's busy time; then the operations,
whose counting costs memory and time.
"""

from __future__ import annotations

import time
from pathlib import Path

from bench.adapter import Adapter, load_adapter, predict
from bench.data.labels.dataset import open_labelled
from bench.errors import BenchError, Unsupported
from bench.measure.device_busy import device_busy
from bench.measure.energy import energy_pass, open_meter
from bench.measure.memory import MemoryPass
from bench.measure.pipelined import for_seconds, pipelined
from bench.measure.telemetry import Telemetry
from bench.measure.unchanged import InputWatch
from bench.records import EnergyUse, Job, JobFacts, Measurement, Missing, Operations, Profile, ProfileResult, explained
from bench.records.predictions import RgbImage
from bench.records.store import layout
from bench.records.store.files import write_record
from bench.run.worker.images import Images, test_ids
from bench.run.worker.model import built, facts_of, weights_bytes_of, weights_of

MEMORY_BATCHES = 2
"""The first may pay for what later ones do not, and the other way round."""
WARM_UP_BATCHES = 3
NOT_ASKED = Missing("the suite does not ask for it")


def profile_job(job: Job, folder: Path) -> JobFacts:
    """Measure what the suite's `profile` asks for; leaves `profile.json`."""
    if job.profile is None:
        raise BenchError("a profile job says what to measure; its job.json does not")
    batches = _Batches(job)
    first = batches(0)
    load_adapter(job.model.adapter)  # what its module imports belongs to what is there before the model
    with Telemetry(job.target.device) as telemetry:
        memory = MemoryPass(telemetry, job.target.device)
        adapter, load_s = built(job, folder)
        memory.model_built(adapter)
        for _ in range(MEMORY_BATCHES):
            predict(adapter, first)
        adapter.synchronize()
        memory_use = memory.result(
            adapter,
            weights_bytes=weights_bytes_of(adapter, weights_of(job, folder)),
            batches=MEMORY_BATCHES,
            batch_size=job.target.batch_size,
        )
        energy = _energy(adapter, batches, telemetry, job, job.profile)
        busy = device_busy(adapter, batches) if job.profile.device_busy else NOT_ASKED
    if job.target.device.startswith("cuda"):
        telemetry.save(folder / layout.TELEMETRY)
    operations = _operations(adapter, first) if job.profile.operations else NOT_ASKED
    batches.check()
    found = {
        "memory": memory_use if job.profile.memory else NOT_ASKED,
        "energy": energy,
        "operations": operations,
        "device_busy": busy,
    }
    write_record(folder / layout.PROFILE, ProfileResult(**explained(found)))
    return facts_of(adapter, weights_of(job, folder), load_s=load_s)


class _Batches:
    """Batches of the scored split; each image is loaded when it is first asked for."""

    def __init__(self, job: Job) -> None:
        dataset = open_labelled(job.dataset)
        # The images of the timed pass; they are loaded after memory is measured.
        count = (job.measurement or Measurement()).images
        self._images = Images(dataset, test_ids(job, dataset)[:count], job.model.prompt)
        self._size, self._model = job.target.batch_size, job.model.label
        self._loaded: dict[str, RgbImage] = {}
        self._inputs: list[InputWatch] = []

    def __call__(self, number: int) -> list[RgbImage]:
        """Return a batch by its number; the images come round again."""
        ids = self._images.ids
        return [self._image(ids[(number * self._size + i) % len(ids)]) for i in range(self._size)]

    def _image(self, image_id: str) -> RgbImage:
        if image_id not in self._loaded:
            self._loaded[image_id] = self._images.image(image_id)
            self._inputs.append(InputWatch([self._loaded[image_id]], [image_id], self._model))
        return self._loaded[image_id]

    def check(self) -> None:
        """Raise `ShapeError` if the model changed an image."""
        for watch in self._inputs:
            watch.check()

    def load_all(self) -> None:
        """Load what is not loaded yet."""
        for image_id in self._images.ids:
            self._image(image_id)


def _energy(adapter: Adapter, batches: _Batches, telemetry: Telemetry, job: Job, asked: Profile) -> EnergyUse | Missing:
    if not asked.energy:
        return NOT_ASKED
    meter = open_meter(job.target.device, telemetry)
    if isinstance(meter, Missing):
        return meter
    batches.load_all()

    def warm_up() -> None:
        for number in range(WARM_UP_BATCHES):
            predict(adapter, batches(number))
        adapter.synchronize()

    def load() -> int:
        return pipelined(adapter, batches, time.perf_counter_ns, for_seconds(asked.energy_s)).count

    return energy_pass(meter, load, idle_s=asked.idle_s, warm_up=warm_up)


def _operations(adapter: Adapter, images: list[RgbImage]) -> Operations | Missing:
    try:
        return adapter.operations(images)
    except Unsupported as reason:
        return Missing(str(reason))
