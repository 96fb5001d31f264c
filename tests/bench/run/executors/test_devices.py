"""`--devices`: what a list of GPUs or cores means, and what is wrong with one."""

from __future__ import annotations

import pytest

from bench.errors import BenchError
from bench.measure.gpus import Gpu
from bench.run.executors import choose as devices
from bench.run.executors.choose import executor_of, slots_of


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(devices, "allowed_cores", lambda: tuple(range(8)))


def test_sets_of_cores_are_pinned_whether_they_measure_or_share():
    slots = slots_of("cpu:0-2, cpu:4+6-7")
    assert [(slot.name, slot.cores, slot.measuring_cores, slot.device) for slot in slots] == [
        ("cpu:0-2", (0, 1, 2), (0, 1, 2), "cpu"),
        ("cpu:4+6-7", (4, 6, 7), (4, 6, 7), "cpu"),
    ]
    assert slots[0].alike == slots[1].alike
    assert slots_of("cpu:0,cpu:1-2")[0].alike != slots[0].alike  # one core is another machine than three


def test_gpus_share_the_cores_unless_they_measure_and_are_named_as_the_driver_does(monkeypatch):
    found = (Gpu(0, "GPU-a", "X", memory_bytes=1), Gpu(1, "GPU-b", "X", memory_bytes=1), Gpu(2, "", "Y"))
    monkeypatch.setattr(devices, "visible_gpus", lambda: found)
    slots = slots_of("1,0,2")
    assert [(slot.name, slot.gpu, slot.cores, slot.measuring_cores) for slot in slots] == [
        ("cuda:1", "GPU-b", (0, 1), None),
        ("cuda:0", "GPU-a", (2, 3), None),
        ("cuda:2", "2", (4, 5), None),
    ]
    assert slots[0].alike == slots[1].alike != slots[2].alike


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected numbers of GPUs"),
        ("cpu:3-1", "no set of cores"),
        ("cpu:a", "no set of cores"),
        ("cpu:7-9", "names the cores 8, 9, but those allowed here are 0, 1, 2"),
        ("cpu:0-3,cpu:3-5", "share the cores 3"),
        ("0,cpu:1", "GPUs and sets of cores"),
        ("0", "there is no GPU 0 here"),
        ("cuda:0", "there is no GPU cuda:0 here"),
    ],
)
def test_a_list_that_names_what_is_not_there_says_so(monkeypatch, text, said):
    monkeypatch.setattr(devices, "visible_gpus", lambda: ())
    with pytest.raises(BenchError, match=said):
        slots_of(text)


@pytest.mark.parametrize(
    ("engine", "flags", "said"),
    [
        ("ray", {"devices": "0"}, "--devices goes with --executor local"),
        ("local", {"address": "head:6379"}, "--address goes with --executor ray"),
        ("local", {"slurm": ["partition=gpu"]}, "--slurm goes with --executor slurm"),
        ("local", {"share_node": True}, "--share-node goes with --devices"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(engine, flags, said):
    with pytest.raises(BenchError, match=said):
        executor_of(engine, fresh=True, **flags)
