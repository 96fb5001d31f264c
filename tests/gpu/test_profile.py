"""The profile job of a small network on a GPU: the three figures of memory, and energy by the driver's counters."""

from __future__ import annotations

from bench.records import ProfileResult, read_record
from bench.records.store import layout
from bench.records.store.runs import new_run
from tests.bench.suites import job_folders, run_suite, write_suite


def test_a_network_s_memory_and_energy_are_read_on_a_gpu(tmp_path):
    suite = write_suite(
        tmp_path,
        [{"name": "unet/transposed", "options": {"base_width": 16}}],
        targets=[{"device": "cuda", "threads": 1, "image_size": [512, 512]}],
        profile={"energy_s": 3.0, "idle_s": 1.0},
    )
    results = tmp_path / "results"
    run = new_run(results, "suite")
    run_suite(suite, run, results, kinds=("predict", "profile"))
    (folder,) = job_folders(run, "profile")
    found = read_record(ProfileResult, folder / layout.PROFILE)
    memory = found.memory
    # Tensors lie in what the allocator holds, which lies in what the driver sees, context included.
    assert memory.weights_bytes < memory.torch_peak_allocated_bytes <= memory.torch_peak_reserved_bytes
    assert memory.torch_peak_reserved_bytes < memory.device_used_delta_bytes
    assert found.energy.method.startswith("NVML")
    assert found.energy.mean_w > found.energy.idle_w > 0
    assert found.energy.seconds >= 3.0
    assert found.operations.flops > 0
