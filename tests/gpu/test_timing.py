"""Clocks and audits on a GPU, against triton's own benchmark and between processes."""

from __future__ import annotations

import statistics
import time

import pytest
import torch

from adapters._torch import device as devices
from bench.measure.device_busy import device_busy
from bench.measure.pipelined import for_seconds, pipelined
from bench.measure.stages import staged
from bench.records import DeviceBusy, Outcome, Size, read_record
from bench.records.store import layout
from bench.records.store.runs import new_run
from bench.report.summary.audit import audit_predictions
from bench.suite.model_configs import resolve_model
from tests.adapters.parity import picture
from tests.adapters.rectangles import THREE_CLASSES
from tests.adapters.test_contract import built
from tests.bench.suites import BRIEF, job_folders, run_suite, write_suite

WIDE = {"base_width": 32}


def median_ms(values):
    return statistics.median(values) / 1e6


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16"])
def test_infer_takes_what_triton_says(precision, measured):
    testing = pytest.importorskip("triton.testing", reason="triton is not installed")
    adapter = built("unet/transposed", WIDE, THREE_CLASSES, device="cuda", precision=precision)
    images = [picture(Size(512, 512))]
    for _ in range(20):
        staged(adapter, images, time.perf_counter_ns)
    timed = [staged(adapter, images, time.perf_counter_ns) for _ in range(50)]
    batch = adapter.preprocess(images)
    by_triton_ms = testing.do_bench(lambda: adapter.infer(batch), warmup=100, rep=400, return_mode="median")
    by_events_ms = median_ms([one.device_ns for one in timed])
    measured("infer_ms", median_ms([one.stage_ns[1] for one in timed]))
    measured("device_ms", by_events_ms)
    measured("triton_ms", by_triton_ms)
    # do_bench empties the second-level cache before each pass, which a pass of 512 x 512 hardly feels.
    assert by_events_ms == pytest.approx(by_triton_ms, rel=0.15)


@pytest.mark.parametrize("side", [128, 512])
def test_a_device_is_never_busy_for_longer_than_a_synchronised_pass(side, measured):
    adapter = built("unet/transposed", {"base_width": 16}, THREE_CLASSES, device="cuda")
    images = [picture(Size(side, side))]
    found = device_busy(adapter, lambda _: images)
    assert isinstance(found, DeviceBusy), found
    measured("infer_ms", found.infer_ms)
    measured("busy_ms", found.busy_ms)
    assert 0 < found.busy_ms < 1.1 * found.infer_ms


def test_throughput_overlaps_what_latency_adds_up(measured):
    adapter = built("unet/transposed", WIDE, THREE_CLASSES, device="cuda")
    images = [picture(Size(512, 512))] * 4
    for _ in range(10):
        staged(adapter, images, time.perf_counter_ns)
    stages = [staged(adapter, images, time.perf_counter_ns).stage_ns for _ in range(20)]
    slowest, summed = (median_ms([how(one) for one in stages]) for how in (max, sum))
    flow = pipelined(adapter, lambda _: images, time.perf_counter_ns, for_seconds(2.0))
    batch_ms = flow.wall_ns / len(flow.images) / 1e6
    measured("slowest_stage_ms", slowest)
    measured("sum_of_stages_ms", summed)
    measured("pushed_through_ms", batch_ms)
    assert batch_ms < 0.95 * summed


@pytest.mark.parametrize(
    "model",
    ["unet/transposed", "torchvision/maskrcnn_small", "ultralytics/yolo11n_seg", "detectron2/panoptic_fpn"],
)
@pytest.mark.parametrize("cudnn_benchmark", [True, False])
def test_two_processes_answer_alike_enough_for_the_audit(model, cudnn_benchmark, tmp_path, measured):
    target = {"device": "cuda", "threads": 1, "image_size": [96, 96], "cudnn_benchmark": cudnn_benchmark}
    suite = write_suite(tmp_path, [model], targets=[target], measurement={**BRIEF, "replicates": 2})
    run = new_run(tmp_path / "results", "suite")
    run_suite(suite, run, tmp_path / "results", kinds=("predict", "time"))
    (predicted,) = job_folders(run, "predict")
    for folder in job_folders(run, "time"):
        outcome = read_record(Outcome, folder / layout.OUTCOME)
        if outcome.status == "unsupported":
            pytest.skip(outcome.reason)
        assert outcome.status == "ok", (outcome.reason, (folder / "worker.log").read_text())
        found = audit_predictions(
            predicted / layout.PREDICTIONS, folder / layout.AUDIT, resolve_model(model).task, device="cuda"
        )
        measured("identical", f"{found.identical} of {found.compared}")
        measured("equal_pixels", found.equal_pixels)
        assert found.ok


def test_the_clock_of_events_is_that_of_the_host():
    gpu = devices.open_device("cuda")
    devices.synchronize(gpu)
    timer, start = devices.CudaTimer(gpu), time.perf_counter()
    timer.start()
    torch.cuda._sleep(2_000_000_000)
    timer.stop()
    device_s = timer.elapsed_ms() / 1e3
    assert device_s == pytest.approx(time.perf_counter() - start, rel=0.02)
