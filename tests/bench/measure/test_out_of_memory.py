"""Full memory is told from other failures, released, and asked about beforehand."""

from __future__ import annotations

import weakref

import pytest

from bench.errors import Unsupported
from bench.measure.out_of_memory import Refusal, attempt, free_host_bytes, memory_that_is_full


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"), "oom_device"),
        (RuntimeError("Error Code 1: Cuda Runtime (out of memory): CUDA_ERROR_OUT_OF_MEMORY"), "oom_device"),
        (Exception("onnxruntime: CUDA failure 2: out of memory ; GPU=0"), "oom_device"),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"), "oom_device"),
        (RuntimeError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in https://"), "oom_device"),
        (RuntimeError("CUDA driver error: out of memory"), "oom_device"),
        (RuntimeError("Triton Error [CUDA]: out of memory"), "oom_device"),
        (RuntimeError("NCCL error: unhandled cuda error, Cuda failure 2 'out of memory'"), "oom_device"),
        (RuntimeError("HIP out of memory. Tried to allocate 2.00 GiB"), "oom_device"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"), "oom_device"),
        (RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"), "oom_device"),
        (RuntimeError("GET was unable to find an engine to execute this computation"), "oom_device"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), "oom_device"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "oom_device"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "oom_device"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"), "oom_device"),
        (Exception("TensorRT EP failed to create engine from network ... Error Code 2: OutOfMemory"), "oom_device"),
        (RuntimeError("CUDA error: device-side assert triggered"), None),
        (RuntimeError("out of memory of past events"), None),
        (RuntimeError("Exception from openvino: CL_MEM_OBJECT_ALLOCATION_FAILURE"), "oom_device"),
        (MemoryError(), "oom_host"),
        (RuntimeError("std::bad_alloc"), "oom_host"),
        (Exception("Failed to allocate memory for requested buffer of size 4294967296"), "oom_host"),
        (ValueError("the memory of elephants"), None),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), None),
    ],
)
def test_which_memory_is_full_is_read_off_what_frameworks_say(error, full):
    assert memory_that_is_full(error) == full


ARENA = (
    "[ONNXRuntimeError] : 1 : FAIL : bfc_arena.cc Failed to allocate memory for requested buffer of size 4294967296",
    "Non-zero status code while running Conv node. BFCArena::AllocateRawInternal Available memory of 1 is smaller",
)


@pytest.mark.parametrize("said", ARENA)
def test_an_allocator_that_serves_both_means_the_memory_of_the_device_in_use(said):
    assert memory_that_is_full(RuntimeError(said)) == "oom_host"
    assert memory_that_is_full(RuntimeError(said), device="cuda:1") == "oom_device"


def test_what_a_compiler_caught_and_wrapped_is_read_as_well():
    def wrapped(cause):
        try:
            try:
                raise cause
            except RuntimeError as error:
                raise ValueError("backend='inductor' raised") from error
        except ValueError as error:
            return error

    assert memory_that_is_full(wrapped(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))) == "oom_device"
    assert memory_that_is_full(wrapped(RuntimeError("no kernel"))) is None


class Tensor:
    """Something large."""


def test_what_a_failed_attempt_held_is_released():
    held = []

    def work():
        tensor = Tensor()
        tensor.itself = tensor  # as tensors with a history are: only the collector frees it
        held.append(weakref.ref(tensor))
        raise MemoryError("no more")

    assert attempt(work) == Refusal("oom_host", "no more")
    assert held[0]() is None


def test_a_refusal_is_an_answer_and_another_failure_is_raised():
    def refuse():
        raise Unsupported("batches of 4 only")

    def fail():
        raise ValueError("wrong")

    assert attempt(refuse) == Refusal("unsupported", "batches of 4 only")
    assert attempt(lambda: 3) == 3
    with pytest.raises(ValueError, match="wrong"):
        attempt(fail)


def write_group(folder, limit):
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text("3000\n")
    (folder / "memory.stat").write_text("anon 1000\ninactive_file 500\nactive_file 1500\n")


def test_free_memory_is_the_less_of_the_machines_and_the_groups(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 100 kB\nMemAvailable:       4 kB\n")
    write_group(tmp_path, 6000)
    # The group: 6000 - (3000 - 500 that can be given back) = 3500; the machine: 4096.
    assert free_host_bytes(meminfo, tmp_path) == 3500
    write_group(tmp_path, 60000)
    assert free_host_bytes(meminfo, tmp_path) == 4096
    write_group(tmp_path, "max")
    assert free_host_bytes(meminfo, tmp_path) == 4096


def test_free_memory_that_nobody_tells_is_not_known(tmp_path):
    assert free_host_bytes(tmp_path / "none", tmp_path / "none") is None
