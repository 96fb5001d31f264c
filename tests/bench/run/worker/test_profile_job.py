"""The profile job in real workers: what fakes need, and what is not there."""

from __future__ import annotations

import time

import pytest

from bench.measure.energy import Drawn
from bench.records import ProfileResult, Status, read_record
from bench.records.store import layout
from bench.records.store.runs import new_run
from bench.run.environments.interpreters import Interpreters
from bench.run.planning.prepare import prepare
from bench.run.worker import profile_job as job_module
from bench.run.worker.profile_job import NOT_ASKED, profile_job
from tests.bench.suites import job_folders, perfect, run_suite, write_suite

MIB = 1 << 20
EATER = {"name": "fake/eats_memory", "options": {"mebibytes": 64}}
BRIEF_PROFILE = {"energy_s": 2.0, "idle_s": 0.5}


def profiles(tmp_path, models, asked) -> list[ProfileResult]:
    """Profiles of some models, in the order of their names."""
    results = tmp_path / "results"
    run = new_run(results, "suite")
    ran = run_suite(write_suite(tmp_path, models, profile=asked), run, results, kinds=("predict", "profile"))
    assert [outcome.status for _, outcome in ran.listener.ends] == [Status.OK] * 2 * len(models)
    return [read_record(ProfileResult, folder / layout.PROFILE) for folder in job_folders(run, "profile")]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The fake that takes 64 MiB a call, then the one that takes next to nothing."""
    return profiles(tmp_path_factory.mktemp("profiled"), [EATER, perfect()], BRIEF_PROFILE)


@pytest.mark.slow
def test_what_a_model_takes_for_a_batch_is_seen_though_it_gives_it_back(measured):
    eater, modest = (found.memory for found in measured)
    if not eater.peak_started_anew:
        pytest.skip("this kernel lets no peak of memory start anew")
    # The kernel counts pages thread by thread and adds them up late, so some may be missing.
    assert eater.host_rss_batch_bytes >= 60 * MIB
    assert modest.host_rss_batch_bytes < 32 * MIB
    assert eater.host_rss_peak_bytes >= eater.host_rss_before_bytes + 60 * MIB
    assert (eater.batches, eater.batch_size) == (2, 1)


def test_what_fakes_do_not_have_is_null_with_a_reason(measured):
    for found in measured:
        assert found.memory.missing["weights_bytes"] == "the adapter tells none"
        assert found.memory.missing["device_used_delta_bytes"].startswith("the device is the processor")
        assert found.missing["operations"] == "the adapter counts none"


def test_energy_is_measured_or_the_reason_says_which_counter_is_missing(measured):
    for found in measured:
        if found.energy is None:
            assert "RAPL" in found.missing["energy"] or "root" in found.missing["energy"]
        else:
            assert found.energy.seconds >= BRIEF_PROFILE["energy_s"]
            assert found.energy.images > 0


PARTS = ("memory", "energy", "operations", "device_busy")


def test_what_a_suite_does_not_ask_for_is_not_measured(tmp_path):
    (found,) = profiles(tmp_path, [perfect()], dict.fromkeys(PARTS, False))
    assert found.missing == dict.fromkeys(PARTS, NOT_ASKED.reason)


class Steps:
    """A meter that reads 10 W at first and 30 W then."""

    method, covers = "a script", "nothing"

    def __init__(self) -> None:
        self.watts = iter((10.0, 30.0))

    def during(self, work) -> Drawn:
        start_s = time.monotonic()
        work()
        return Drawn(time.monotonic() - start_s, next(self.watts))


@pytest.mark.slow
def test_images_are_pushed_through_while_the_meter_reads(tmp_path, monkeypatch):
    suite = write_suite(tmp_path, [perfect()], profile=BRIEF_PROFILE, targets=[{"device": "cpu", "batch_size": 3}])
    (plan,) = prepare(suite, Interpreters()).cases
    monkeypatch.setattr(job_module, "open_meter", lambda *_: Steps())
    profile_job(plan.profile, tmp_path)
    energy = read_record(ProfileResult, tmp_path / layout.PROFILE).energy
    assert 0.5 <= energy.idle_s < energy.seconds
    assert energy.seconds >= 2.0
    assert energy.images % 3 == 0
    assert energy.joules_per_image == pytest.approx(20.0 * energy.seconds / energy.images)
