"""The profile job in real workers: what fakes need, and what is not there."""

from __future__ import annotations

import pytest

from bench.records import ProfileResult, Status, read_record
from bench.run.profile_job import NOT_ASKED
from bench.store import layout
from bench.store.runs import new_run
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


def test_what_a_suite_does_not_ask_for_is_not_measured(tmp_path):
    (found,) = profiles(tmp_path, [perfect()], {"memory": False, "energy": False, "operations": False})
    assert found.missing == dict.fromkeys(("memory", "energy", "operations"), NOT_ASKED.reason)
