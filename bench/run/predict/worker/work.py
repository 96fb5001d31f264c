"""Does the work of `bench predict`: the predict job's path, with files in and pictures out."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from bench.adapter import Adapter, load_adapter, predict
from bench.data.formats.bands import BandReading
from bench.data.labels.mapping import ClassTable, map_prediction
from bench.errors import Unsupported
from bench.measure.memory import reset_peak_rss
from bench.measure.outputs import checked
from bench.measure.stages import BatchTime, staged
from bench.measure.unchanged import InputWatch, of_sample
from bench.records import Job, JobFacts, read_record, void_of
from bench.records.predictions import Instances, Prediction, SemanticMap
from bench.run.predict.worker.frames import Batch, End, Frame, batches, expected
from bench.run.predict.worker.outputs import overlay, write_prediction
from bench.run.predict.worker.request import JOURNAL, REQUEST, FilesRequest, Item
from bench.run.worker.model import built, facts_of, weights_of
from bench.run.worker.progress import PROGRESS_INTERVAL_S, settled, write_progress

STAGES = ("preprocess", "infer", "postprocess")


def predict_request(job: Job, folder: Path) -> JobFacts:
    """Predict every file of the request beside the job, and write its outputs."""
    request = read_record(FilesRequest, folder / REQUEST)
    reset_peak_rss()
    job, reading = _as_read(job, request)
    adapter, load_s = built(job, folder)
    adapter.reset_peak_device_bytes()
    first_call_ms: float | None = None
    done, total, told_at = 0, expected(request), 0.0
    pending: list[Future[None]] = []
    with (folder / JOURNAL).open("a", encoding="utf-8") as file, ThreadPoolExecutor(1) as writer:
        outputs = _Writer(request, file, reading)
        mixed = job.target.image_size is not None
        for number, batch in enumerate(batches(request, job.target.batch_size, mixed=mixed, reading=reading), start=1):
            inputs = _watched(batch, job) if of_sample(number) else None
            if batch.frames and first_call_ms is None:
                first_call_ms = _warm_up(adapter, batch)
            if batch.frames:
                timed = staged(adapter, [frame.image for frame in batch.frames], time.perf_counter_ns)
                if inputs is not None:
                    inputs.check()
                pending.append(writer.submit(outputs.write, batch.frames, _checked(timed, batch, job), timed))
            pending += [writer.submit(outputs.end, end) for end in batch.ends]
            pending = settled(pending)
            done += len(batch.frames) + sum(end.item.kind == "image" for end in batch.ends)
            if time.monotonic() - told_at > PROGRESS_INTERVAL_S:
                told_at = time.monotonic()
                write_progress(folder, min(done, total), total)
        for future in pending:
            future.result()
    return facts_of(
        adapter, weights_of(job, folder), load_s=load_s, first_call_ms=first_call_ms, predicted_images=outputs.written
    )


def _as_read(job: Job, request: FilesRequest) -> tuple[Job, BandReading | None]:
    """Return the job with the channels that its model takes, and how images are read for it."""
    if request.reading is None:
        return job, None
    adapter = load_adapter(job.model.adapter)
    takes_bands = adapter.takes_bands_for(job.model)
    reading = request.reading.reading(takes_bands=takes_bands, takes_floats=adapter.takes_floats)
    if reading.channels != 3 and not takes_bands:
        raise Unsupported(f"{job.model.label} takes RGB images alone, and these are read as {reading.describe()}")
    task = job.task.model_copy(update={"channels": reading.channels})
    return job.model_copy(update={"task": task}), reading


def _warm_up(adapter: Adapter, batch: Batch) -> float:
    """Predict the first batch without keeping it, in ms: kernels are compiled and memory is taken here."""
    started = time.perf_counter()
    predict(adapter, [frame.image for frame in batch.frames])
    adapter.synchronize()
    return (time.perf_counter() - started) * 1e3


def _watched(batch: Batch, job: Job) -> InputWatch:
    images = [frame.image for frame in batch.frames]
    return InputWatch(images, [frame.item.name for frame in batch.frames], job.model.label)


def _checked(timed: BatchTime, batch: Batch, job: Job) -> list[Prediction]:
    names = [frame.item.name for frame in batch.frames]
    return checked(timed.predictions, [frame.image for frame in batch.frames], names, job)


class _Writer:
    """Writes outputs and journal, in the order in which they come."""

    def __init__(self, request: FilesRequest, journal: TextIO, reading: BandReading | None) -> None:
        self._request, self._journal, self._reading = request, journal, reading
        self._out, self._classes = Path(request.out), request.classes
        self._mapping = None if request.class_ids is None else ClassTable(request.class_ids, request.classes)
        self._films: dict[str, _Film] = {}
        self.written = 0

    def write(self, frames: Sequence[Frame], predictions: Sequence[Prediction], timed: BatchTime) -> None:
        """Write the files of a batch, each with its line in the journal."""
        per_image = dict(zip(STAGES, (ns / 1e6 / len(frames) for ns in timed.stage_ns or ()), strict=False))
        for frame, prediction in zip(frames, predictions, strict=True):
            started = time.perf_counter()
            item, classes = frame.item, self._classes
            if self._mapping is not None:
                prediction = map_prediction(prediction, self._mapping)
            name = item.name if frame.number is None else f"{item.name}/{frame.number:06d}"
            shown = frame.image if self._reading is None else self._reading.shown(frame.image)
            picture = overlay(shown, prediction, classes, self._request.show_from)
            files = write_prediction(prediction, picture, self._out, name, classes, self._request.overlay)
            if frame.number is not None:
                self._film(frame).add(picture)
            row = {
                "source": item.source,
                "frame": frame.number,
                "size": list(frame.image.shape[:2]),
                "files": files,
                "found": self._found(prediction),
                "batch": len(frames),
                "timings_ms": {
                    "decode": frame.decode_s * 1e3,
                    **per_image,
                    "write": (time.perf_counter() - started) * 1e3,
                },
            }
            self.written += 1
            self._note({**row, "status": "ok"} if frame.number is None else row)

    def end(self, end: End) -> None:
        """Note an item that is through or cannot be read, and finish its film."""
        film = self._films.pop(end.item.source, None)
        files = {} if film is None else film.finish()
        status = "ok" if end.reason is None else "unreadable"
        said = {"reason": end.reason, "note": end.note or (film.note if film else None)}
        self._note({"source": end.item.source, "status": status, **said, "files": files})

    def _film(self, frame: Frame) -> _Film:
        source = frame.item.source
        if source not in self._films:
            # A camera that does not say how fast it was is taken to have made 25 frames a second.
            fps = (frame.fps or 25.0) / self._request.every
            height, width = frame.image.shape[:2]
            self._films[source] = _Film(self._out, frame.item, fps, (width, height))
        return self._films[source]

    def _found(self, prediction: Prediction) -> dict[str, Any]:
        """Return pixels per class of a label map; else objects or segments per class."""
        names, found = [spec.name for spec in self._classes], dict[str, Any]()
        if isinstance(prediction, SemanticMap):
            counts = np.bincount(prediction.labels.ravel(), minlength=void_of(prediction.labels) + 1)
            found = {name: int(count) for name, count in zip(names, counts[: len(names)], strict=True) if count}
            return {"pixels": found, "pixels_of_no_class": int(counts[void_of(prediction.labels)])}
        ids = [s.class_id for s in prediction.segments] if hasattr(prediction, "segments") else []
        ids = prediction.class_ids.tolist() if hasattr(prediction, "class_ids") else ids
        found = {"objects": {name: ids.count(index) for index, name in enumerate(names) if index in ids}}
        if isinstance(prediction, Instances):
            found["objects_shown"] = int((prediction.scores >= self._request.show_from).sum())
        return found

    def _note(self, row: dict[str, Any]) -> None:
        self._journal.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._journal.flush()


CODECS = ("avc1", "vp09", "mp4v")
"""The first of these that this OpenCV writes is taken; H.264 and VP9 play in browsers, MPEG-4 part 2 in players alone.

Wheels of OpenCV hold no encoder of H.264; they have VP9, which took 123 ms of CPU time for a frame of 1280 x 720 where
mp4v took 4 to 6 (OpenCV 5.0, one core of a cloud machine). OpenCV of distributions and of conda mostly has H.264.
"""


class _Film:
    """The overlays of a video as MP4, under its name once it is complete."""

    def __init__(self, out: Path, item: Item, fps: float, size: tuple[int, int]) -> None:
        self._out, self._name = out, f"{item.name}_overlay.mp4"
        path = out / self._name
        self._unfinished = path.with_name(f".{path.stem}.unfinished.mp4")
        self._unfinished.parent.mkdir(parents=True, exist_ok=True)
        self._size = size
        for self._codec in CODECS:
            self._film = cv2.VideoWriter(str(self._unfinished), cv2.VideoWriter.fourcc(*self._codec), fps, size)
            if self._film.isOpened():
                break

    def add(self, picture: Any) -> None:
        """Append a frame, RGB; one of another size than the first is scaled to it."""
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        same = (bgr.shape[1], bgr.shape[0]) == self._size
        self._film.write(bgr if same else cv2.resize(bgr, self._size, interpolation=cv2.INTER_AREA))

    @property
    def note(self) -> str | None:
        """Return what is to be known of the film; None where it plays anywhere."""
        if self._codec != CODECS[-1]:
            return None
        return f"{self._name} is MPEG-4 part 2, which no browser plays: this OpenCV writes neither H.264 nor VP9"

    def finish(self) -> dict[str, str]:
        """Close it; empty where this OpenCV cannot write MP4."""
        opened = self._film.isOpened()
        self._film.release()
        if not opened or not self._unfinished.is_file():
            return {}
        self._unfinished.replace(self._out / self._name)
        return {"film": self._name}
