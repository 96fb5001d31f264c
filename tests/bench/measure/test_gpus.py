"""Tests which GPU a framework means, whether its build of torch can use it, and who else does."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from bench.measure.devices import auto_device, machine_identity, machine_in_words
from bench.measure.environment import capture
from bench.measure.gpu_sharing import GpuUsers
from bench.measure.gpus import Driver, Gpu, driver, gpu_of, misfit, torch_cuda, visible_gpus
from bench.measure.telemetry import Telemetry, gpu_address
from bench.records.names import harness_root
from tests.bench.measure.scripted_nvml import Card, ScriptedNvml, install

BIG = Card("RTX 4090", "GPU-8932f937-d72c")
SMALL = Card("RTX 3060", "GPU-89aa0000-1111", capability=(8, 6), memory=12 << 30)
CUT = Card("A100", "GPU-77770000-0000", capability=(8, 0), slices=("MIG-aaaa", "MIG-bbbb"))


@pytest.fixture
def three(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return install(monkeypatch, ScriptedNvml(BIG, SMALL, CUT))


@pytest.mark.parametrize(
    ("visible", "seen"),
    [
        (None, ["GPU-8932f937-d72c", "GPU-89aa0000-1111", "MIG-aaaa"]),
        ("", []),
        ("-1", []),
        ("1", ["GPU-89aa0000-1111"]),
        ("1,0", ["GPU-89aa0000-1111", "GPU-8932f937-d72c"]),
        ("0,-1,1", ["GPU-8932f937-d72c"]),  # CUDA stops at the first that names nothing
        ("0,9,1", ["GPU-8932f937-d72c"]),
        ("0,0", []),  # named twice: CUDA shows none
        (" 1 , 0 ", ["GPU-89aa0000-1111", "GPU-8932f937-d72c"]),
        ("GPU-8932f937", ["GPU-8932f937-d72c"]),  # abbreviated
        ("GPU-89", []),  # an abbreviation of two
        ("MIG-bbbb", ["MIG-bbbb"]),
        ("GPU-7777", ["MIG-aaaa"]),
        ("2", ["MIG-aaaa"]),
        ("nonsense", []),
    ],
)
def test_the_gpus_that_a_process_sees_are_those_that_cuda_shows_it(three, monkeypatch, visible, seen):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.uuid for gpu in visible_gpus()] == seen
    assert auto_device() == ("cuda" if seen else "cpu")
    assert three.opened == 0


def test_a_device_is_one_of_those_that_are_seen():
    gpus = [Gpu(4, "GPU-e", "E"), Gpu(2, "GPU-c", "C")]
    assert [gpu_of(device, gpus) for device in ("cuda", "cuda:0", "cuda:1", "cuda:2", "cpu", "mps")] == [
        gpus[0],
        gpus[0],
        gpus[1],
        None,
        None,
        None,
    ]


def test_unlike_gpus_are_unlike_machines_and_a_hidden_one_is_none(three, monkeypatch):
    found = {}
    for visible in ("0", "1", "", "0,1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        found[visible] = machine_identity()
    assert len(set(found.values())) == 4
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert "RTX 3060, driver 580.65.06, " in machine_in_words()


def test_a_gpu_of_the_same_name_with_other_memory_is_another_machine(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    install(monkeypatch, ScriptedNvml(SMALL))
    twelve = machine_identity()
    install(monkeypatch, ScriptedNvml(Card("RTX 3060", "GPU-x", memory=8 << 30)))
    assert machine_identity() != twelve


def test_another_driver_of_its_gpus_makes_a_machine_another_one(three, monkeypatch):
    before = machine_identity()
    monkeypatch.setattr(three, "nvmlSystemGetDriverVersion", lambda: "590.10")
    assert machine_identity() != before
    assert "driver 590.10, " in machine_in_words()


def test_a_machine_without_a_driver_keeps_its_identity(monkeypatch):
    install(monkeypatch, ScriptedNvml(installed=False))
    none = machine_identity()
    install(monkeypatch, ScriptedNvml())
    assert machine_identity() == none
    assert driver() == Driver(version="580.65.06", cuda=(13, 2))


def test_a_gpu_that_is_lost_is_an_answer_and_the_others_are_used(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    install(monkeypatch, ScriptedNvml(Card("A", "GPU-a", lost=True), BIG))
    assert driver().lost == ("GPU 0 does not answer: GPU is lost",)
    assert [gpu.name for gpu in visible_gpus()] == ["RTX 4090"]
    assert auto_device() == "cuda"
    recorded = capture(harness_root())["gpus"]
    assert recorded[0] == "GPU 0 does not answer: GPU is lost"
    assert recorded[1]["uuid"] == BIG.uuid


@pytest.mark.parametrize(
    ("cuda", "capability", "built_for", "why"),
    [
        ((13, 0), (8, 9), (13, 2), None),  # minor versions of one major are served by one driver
        ((12, 8), (8, 9), (13, 2), "needs driver 580 or newer; driver 570.1 serves CUDA 12.8"),
        ((13, 2), (7, 0), (13, 2), "needs? compute capability 7.5; V100 has 7.0"),
        ((12, 8), (7, 0), (12, 6), None),
        ((13, 2), (7, 0), None, None),
        ((11, 4), (8, 0), (12, 8), "needs driver 525 or newer"),
    ],
)
def test_a_build_of_torch_fits_a_driver_and_a_gpu_or_it_is_said_why_not(cuda, capability, built_for, why):
    found = misfit(Driver("570.1", cuda), Gpu(0, "GPU-a", "V100", capability), built_for)
    if why is None:
        assert found is None
    else:
        assert re.search(why, found)


def test_auto_is_the_processor_where_the_driver_is_too_old_for_torch(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("bench.measure.devices.torch_cuda", lambda: (13, 2))
    install(monkeypatch, ScriptedNvml(BIG, cuda=12040, version="550.54"))
    assert auto_device() == "cpu"
    install(monkeypatch, ScriptedNvml(BIG))
    assert auto_device() == "cuda"


@pytest.mark.parametrize(
    ("text", "cuda"),
    [
        ("cuda: Optional[str] = '13.2'\nhip: Optional[str] = None\n", (13, 2)),
        ("__version__ = '2.15.0+cpu'\ncuda: Optional[str] = None\n", None),
        ("cuda = '12.8'\n", (12, 8)),
    ],
)
def test_the_cuda_that_torch_is_built_for_is_read_and_not_imported(tmp_path, text, cuda):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "version.py").write_text(text)
    assert torch_cuda(tmp_path) == cuda
    assert torch_cuda(tmp_path / "nowhere") is None


def test_the_cuda_of_this_interpreters_torch_is_what_torch_says():
    torch = pytest.importorskip("torch")
    said = torch.version.cuda
    assert torch_cuda() == (None if said is None else tuple(map(int, said.split(".")[:2])))


# --------------------------------------------------------------------------- who else uses it


def users_seen(monkeypatch, *looks: list[int], proc: Path = Path("/proc")):
    card = Card("A", "GPU-a")
    nvml = install(monkeypatch, ScriptedNvml(card))
    with GpuUsers("GPU-a", proc) as users:
        for pids in looks:
            card.processes[:] = pids
            users.look()
    assert nvml.opened == 0
    return users.flag()


def test_a_process_that_has_the_gpu_to_itself_is_told_nothing(monkeypatch):
    assert users_seen(monkeypatch, [], [os.getpid()], [os.getpid()]) is None


def test_another_process_on_the_gpu_is_flagged_by_its_name_even_if_it_came_and_went(monkeypatch, tmp_path):
    (tmp_path / "4242").mkdir()
    (tmp_path / "4242" / "stat").write_text("4242 (python-game) S 1 " + "0 " * 40)
    flag = users_seen(monkeypatch, [os.getpid()], [os.getpid(), 4242], [os.getpid()], proc=tmp_path)
    assert (flag.name, "1 other process computed" in flag.seen, "python-game" in flag.seen) == (
        "gpu_shared",
        True,
        True,
    )


def test_in_a_container_one_of_the_hosts_processes_is_ours(monkeypatch):
    assert users_seen(monkeypatch, [99_999_901]) is None
    flag = users_seen(monkeypatch, [99_999_901, 99_999_902])
    assert "1 other process computed" in flag.seen


def test_a_driver_that_does_not_list_processes_says_nothing(monkeypatch):
    card = Card("A", "GPU-a", processes=[1, 2, 3])
    nvml = install(monkeypatch, ScriptedNvml(card))
    monkeypatch.delattr(ScriptedNvml, "nvmlDeviceGetComputeRunningProcesses")
    with GpuUsers(0) as users:
        users.look()
        users.look()
    assert users.flag() is None
    assert nvml.opened == 0


def test_the_sampler_is_given_the_uuid_of_the_gpu_that_the_framework_means(three, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,GPU-8932f937")
    assert [gpu_address(device, visible_gpus()) for device in ("cuda", "cuda:1")] == [SMALL.uuid, BIG.uuid]


def test_a_gpu_that_nobody_can_watch_is_flagged(monkeypatch):
    install(monkeypatch, ScriptedNvml(installed=False))
    # The sampler's own process asks the real driver, which is not there either, or has no GPU of that number.
    with Telemetry("cuda:77") as telemetry:
        telemetry.mark()
    assert [flag.name for flag in telemetry.flags()] == ["gpu_not_watched"]


def test_a_processor_is_watched_by_nobody_and_not_flagged():
    with Telemetry("cpu") as telemetry:
        telemetry.mark()
    assert telemetry.flags() == ()
