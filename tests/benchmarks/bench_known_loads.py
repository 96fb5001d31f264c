"""Measures known loads: 200 images/s at 5 ms, 8 times that in batches of 8, p90 of 5 ms.

    python tests/benchmarks/bench_known_loads.py [--seconds 5]

Run it on an idle machine. The fakes wait by the clock, so their latency is known to some microseconds,
and a batch takes them as long as an image. Exit code 1 if something is more than 2 % off.
"""

from __future__ import annotations

import argparse

from adapters.fake.adapter import Adapter
from bench.data.formats.by_name import open_dataset
from bench.measure.scenarios import SINGLE_STREAM_PERCENTILE, stream
from bench.measure.sweep import sweep
from bench.measure.under_load import UnderLoad
from bench.records import DatasetSpec, Job, Target, TaskSpec, Throughput
from bench.suite.model_configs import resolve_model

TOLERANCE = 0.02
CONFIG, LATENCY_MS = "slow_5ms", 5.0


def loaded() -> UnderLoad:
    """The fake with 16 images, in this process; tiny ones, because it looks at every pixel of each."""
    dataset = open_dataset("shapes", {"preset": "easy", "size": [16, 16], "test": 16})
    ids = tuple(dataset.ids("test"))
    model = resolve_model(f"fake/{CONFIG}", label=None, options={}, weights=None)
    job = Job(
        kind="throughput",
        key="",
        key_parts={},
        case_id=CONFIG,
        model=model,
        dataset=DatasetSpec(name="shapes", label="shapes"),
        task=TaskSpec(kind="semantic", classes=dataset.classes),
        target=Target(threads=1),
        dataset_fingerprint="",
        harness_root="",
        adapters_root="",
    )
    adapter = Adapter()
    adapter.build(model, job.task, job.target, None)
    return UnderLoad(adapter, [dataset.image(image_id) for image_id in ids], ids, job)


def main() -> int:
    parser = argparse.ArgumentParser(description="Put a model of known latency under load.")
    parser.add_argument("--seconds", type=float, default=5.0, help="least seconds of each measurement")
    asked = Throughput(min_s=parser.parse_args().seconds, largest_batch=8)
    model = loaded()
    rates = {point.batch_size: point.rate for point in sweep(model, asked, also=1).points}
    table = [
        (f"images/s in batches of {size}", size * 1000 / LATENCY_MS, rate.images_per_s)
        for size, rate in rates.items()
        if rate is not None
    ]
    single = stream(model, asked, 1, SINGLE_STREAM_PERCENTILE, name="single_stream")
    table.append((f"p{SINGLE_STREAM_PERCENTILE:g} of single stream, ms", LATENCY_MS, single.tail.ms or float("nan")))
    print(f"{'':<28}{'true':>10}{'measured':>12}{'error':>9}")
    wrong = 0
    for what, true, measured in table:
        error = measured / true - 1
        right = abs(error) <= TOLERANCE
        wrong += not right
        print(f"{what:<28}{true:>10.1f}{measured:>12.3f}{error:>9.2%}{'' if right else '  MISSED'}")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
