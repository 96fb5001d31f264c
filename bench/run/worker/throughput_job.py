"""The throughput job: one model under load, by batch size and by MLPerf's scenarios."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.labels.dataset import open_labelled
from bench.errors import BenchError
from bench.measure.memory import reset_peak_rss
from bench.measure.out_of_memory import Refusal, attempt
from bench.measure.scenarios import MULTI_STREAM_PERCENTILE, SINGLE_STREAM_PERCENTILE, offline, server, stream
from bench.measure.sweep import sweep
from bench.measure.telemetry import Telemetry
from bench.measure.under_load import UnderLoad
from bench.records import Job, JobFacts, Measurement, Scenario, Throughput
from bench.records.store import layout
from bench.records.store.files import write_record
from bench.records.throughput import Loads
from bench.run.worker.images import Images, test_ids
from bench.run.worker.model import built, facts_of, weights_of


def throughput_job(job: Job, folder: Path) -> JobFacts:
    """Put the model under the loads that the suite asks for; leaves what came of it and the raw times."""
    asked = job.throughput
    if asked is None:
        raise BenchError("a throughput job says under which loads; its job.json does not")
    dataset = open_labelled(job.dataset)
    protocol = job.measurement or Measurement()
    images = Images(dataset, test_ids(job, dataset)[: protocol.images], job.model.prompt)
    reset_peak_rss()
    with Telemetry(job.target.device) as telemetry:
        adapter, load_s = built(job, folder)
        model = UnderLoad(adapter, [images.image(image_id) for image_id in images.ids], images.ids, job)
        _warm_up(model, job.target.batch_size, protocol.warm_up_s(job.target.device))

        def between() -> None:
            telemetry.mark()
            model.inputs.check()

        loads = loads_of(model, asked, target_batch=job.target.batch_size, between=between)
    write_record(folder / layout.THROUGHPUT, loads)
    raw: dict[str, Any] = {**model.raw}
    np.savez_compressed(folder / layout.LATENCIES, **raw)
    telemetry.save(folder / layout.TELEMETRY)
    return facts_of(adapter, weights_of(job, folder), load_s=load_s, flags=telemetry.flags())


def _warm_up(model: UnderLoad, batch_size: int, least_s: float) -> None:
    start = time.monotonic()
    model.warm_up(batch_size)
    while time.monotonic() - start < least_s:
        model.warm_up(batch_size)


def loads_of(
    model: UnderLoad, asked: Throughput, *, target_batch: int, between: Callable[[], None] = lambda: None
) -> Loads:
    """Measure every load, one after the other; what is refused or does not fit into memory stops only itself.

    Args:
        model: The model, warmed up.
        asked: Loads, and the length of each.
        target_batch: Batch size of `offline` without a sweep.
        between: Called before each load and after the last, outside what is timed.
    """
    between()
    found: dict[str, Any] = {}
    refused: dict[Scenario, str] = {}
    if asked.sweep:
        found["sweep"] = sweep(model, asked, also=target_batch)
    chosen = found["sweep"].chosen_batch if asked.sweep else None
    measure: dict[Scenario, Callable[[], object]] = {
        "single_stream": lambda: stream(model, asked, 1, SINGLE_STREAM_PERCENTILE, name="single_stream"),
        "multi_stream": lambda: stream(model, asked, asked.streams, MULTI_STREAM_PERCENTILE, name="multi_stream"),
        "offline": lambda: offline(model, asked, chosen or target_batch),
        "server": lambda: server(model, asked),
    }
    for scenario, work in measure.items():
        if scenario not in asked.scenarios:
            continue
        between()
        result = attempt(work, device=model.job.target.device)
        if isinstance(result, Refusal):
            refused[scenario] = f"{result.ended}: {result.reason}"
        else:
            found[scenario] = result
    between()
    return Loads(**found, refused=refused)
