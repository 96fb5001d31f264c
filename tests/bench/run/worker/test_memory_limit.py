"""A worker that wants more memory than its share is refused it, and says so; the machine is left alone."""

from __future__ import annotations

import resource

import pytest

from bench.records import Status, Target
from bench.records.store.runs import new_run
from bench.run.worker import memory_limit
from bench.run.worker.memory_limit import SHARE, limit_memory
from tests.bench.builders import make_job, make_recipe
from tests.bench.suites import run_suite, write_suite


@pytest.fixture
def asked(monkeypatch):
    """Collects the limits that would be set, in bytes."""
    limits: list[int] = []
    monkeypatch.setattr(memory_limit.resource, "setrlimit", lambda _, pair: limits.append(pair[0]))
    monkeypatch.setattr(memory_limit, "free_host_bytes", lambda: 1000 * 1024**2)
    monkeypatch.setattr(memory_limit, "kernel_bytes", lambda _: 100 * 1024**2)
    monkeypatch.setattr(memory_limit, "FIRST_TO_GO", 0)
    return limits


@pytest.mark.parametrize(
    ("share", "mebibytes"), [("0.5", 600), ("1", 1100), ("7", 1100), ("nonsense", 1000), (None, 1000)]
)
def test_the_limit_is_a_share_of_what_is_free_beside_what_is_held(asked, monkeypatch, share, mebibytes):
    monkeypatch.delenv(SHARE, raising=False)
    if share is not None:
        monkeypatch.setenv(SHARE, share)
    assert limit_memory(make_job()) == mebibytes * 1024**2
    assert asked == [mebibytes * 1024**2]


@pytest.mark.parametrize(
    "job", [make_job(target=Target(device="cuda")), make_job(kind="train", recipe=make_recipe(device="cuda:1"))]
)
def test_a_job_on_a_device_has_no_limit(asked, job):
    assert limit_memory(job) is None
    assert asked == []


def test_a_share_of_nothing_is_no_limit(asked, monkeypatch):
    monkeypatch.setenv(SHARE, "0")
    assert limit_memory(make_job()) is None


@pytest.mark.parametrize("share", ["0.02"])
def test_a_model_that_eats_memory_is_out_of_memory_by_its_limit(tmp_path, monkeypatch, share):
    monkeypatch.setenv(SHARE, share)
    model = {"name": "fake/eats_memory", "options": {"mebibytes": 2000}}
    ran = run_suite(write_suite(tmp_path, [model]), new_run(tmp_path, "suite"), tmp_path, kinds=("predict",))
    outcome = ran.outcome("predict", "fake/eats_memory")
    assert outcome.status is Status.OOM_HOST
    assert "RLIMIT_DATA" in outcome.reason
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY  # of this process
