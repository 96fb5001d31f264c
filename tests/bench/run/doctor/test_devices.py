"""Tests what the doctor says of counters: readable, closed with what opens them, or not there."""

from __future__ import annotations

import os

import pytest

from bench.run.doctor import checks as devices
from bench.run.doctor.checks import device_findings, perf, rapl


@pytest.fixture(params=[False, True], ids=["host", "container"])
def container(request, monkeypatch) -> bool:
    monkeypatch.setattr(devices, "in_container", lambda: request.param)
    return request.param


def test_every_counter_is_looked_at_and_none_is_called_missing():
    found = device_findings()
    assert [one.subject for one in found] == ["container", "GPU driver", "GPU energy", "CPU energy", "perf events"]
    assert {one.state for one in found} <= {"ready", "note"}  # a measurement does without each of them


@pytest.mark.parametrize(("value", "state"), [("2\n", "ready"), ("4\n", "note")])
def test_the_kernel_decides_whether_users_may_count_events(tmp_path, container, value, state):
    setting = tmp_path / "perf_event_paranoid"
    setting.write_text(value)
    found = perf(setting)
    assert found.state == state
    if state == "note":
        assert found.fix == (
            "start the container with --cap-add PERFMON" if container else "sudo sysctl kernel.perf_event_paranoid=2"
        )


def test_a_kernel_without_events_is_nothing_to_fix(tmp_path):
    found = perf(tmp_path / "perf_event_paranoid")
    assert (found.state, found.fix) == ("note", "")


def test_a_machine_without_energy_counters_has_nothing_to_fix(tmp_path):
    found = rapl(tmp_path)
    assert (found.state, found.fix) == ("note", "")


def test_energy_counters_that_can_be_read_are_counted(tmp_path):
    for name in ("intel-rapl:0", "intel-rapl:1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text("1\n")
    assert rapl(tmp_path).detail == "RAPL, 2 of 2 counters"


def test_energy_counters_that_are_closed_come_with_what_opens_them(tmp_path, monkeypatch, container):
    (tmp_path / "intel-rapl:0").mkdir()
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("1\n")
    monkeypatch.setattr(devices.os, "access", lambda path, mode: False)  # root may read everything
    found = rapl(tmp_path)
    assert f"user {os.getuid()}" in found.detail
    assert ("container" in found.fix) is container
    assert ("chmod a+r" in found.fix) is not container
