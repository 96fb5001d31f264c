"""The driver as it answers on this machine, and which card a process means."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import torch

from bench.measure.gpu_sharing import GpuUsers
from bench.measure.gpus import driver, gpu_of, misfit, torch_cuda, visible_gpus
from bench.measure.telemetry import Telemetry, gpu_address
from tests.gpu.test_device import queue_work

UUID_BY_TORCH = """
import torch
for index in range(torch.cuda.device_count()):
    print(torch.cuda.get_device_properties(index).uuid)
"""


def test_nvml_answers_and_fits_the_torch_that_is_installed(measured):
    found = driver()
    assert found.reason is None
    assert found.gpus
    measured("driver", found.version)
    measured("gpus", [gpu.name for gpu in found.gpus])
    assert [misfit(found, gpu, torch_cuda()) for gpu in found.gpus] == [None] * len(found.gpus)


def test_the_device_of_the_harness_is_that_of_torch():
    gpu = gpu_of("cuda:0", visible_gpus())
    properties = torch.cuda.get_device_properties(0)
    assert gpu.name == properties.name
    assert gpu.capability == (properties.major, properties.minor)
    if not gpu.uuid.startswith("MIG-"):
        assert gpu.uuid == f"GPU-{properties.uuid}"


def shown(visible: str) -> list[str]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": visible, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    command = [sys.executable, "-c", UUID_BY_TORCH]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("visible", ["0", "", "-1", "0,-1", "0,0", "99", "uuid", "short uuid"])
def test_cuda_visible_devices_hides_what_the_harness_says_it_hides(visible):
    uuid = driver().gpus[0].uuid
    value = {"uuid": uuid, "short uuid": uuid[:12]}.get(visible, visible)
    expected = [gpu.uuid.removeprefix("GPU-") for gpu in visible_gpus(visible=value)]
    if any(one.startswith("MIG-") for one in expected):
        pytest.skip("this card is cut into slices, of which torch tells other numbers")
    assert shown(value) == expected


def test_clocks_power_and_temperature_are_sampled(measured):
    with Telemetry("cuda") as telemetry:
        telemetry.mark()
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            queue_work()
            torch.cuda.synchronize()
        telemetry.mark()
    measured("flags", [flag.name for flag in telemetry.flags()])
    assert not [flag for flag in telemetry.flags() if flag.name == "gpu_not_watched"]


BESIDE = """
import pathlib, sys, time, torch
there, end = pathlib.Path(sys.argv[1]), time.monotonic() + 60
torch.zeros(1, device="cuda")
there.touch()
while there.exists() and time.monotonic() < end:
    time.sleep(0.05)
"""


def test_another_process_on_the_card_is_seen_and_this_one_is_not(tmp_path):
    torch.zeros(1, device="cuda")
    address, there = gpu_address("cuda:0", visible_gpus()), tmp_path / "there"
    with GpuUsers(address) as alone:
        alone.look()
    assert alone.flag() is None
    # The shell ends at once, so that its process is no longer of this one's.
    subprocess.run(["sh", "-c", '"$0" -c "$1" "$2" &', sys.executable, BESIDE, str(there)], check=True)
    end = time.monotonic() + 60
    while not there.exists() and time.monotonic() < end:
        time.sleep(0.1)
    with GpuUsers(address) as shared:
        shared.look()
    there.unlink()
    flag = shared.flag()
    assert flag is not None
    assert flag.name == "gpu_shared"
