"""Workers that outlive their parent, do not leave, or say what no JSON reader takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.records import Status
from bench.records.names import harness_root
from bench.records.store import layout
from bench.records.store.runs import new_run
from bench.run.outcome import settle
from bench.run.process import ProcessEnd
from bench.run.worker import process
from tests.bench.suites import perfect, run_suite, write_suite

SURROGATE = """
from adapters.fake.adapter import Adapter as Fake
class Adapter(Fake):
    def build(self, model, task, target, weights, **more):
        raise RuntimeError("cannot open 'caf\\udce9.png'")
"""
LINGERS = """
from adapters.fake.adapter import Adapter as Fake
import sys, threading, time
sys.modules["__main__"].EXIT_GRACE_S = 1
class Adapter(Fake):
    def build(self, *arguments, **more):
        threading.Thread(target=time.sleep, args=(600,)).start()
        return super().build(*arguments, **more)
"""


def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """A folder of adapters with one more, `odd/perfect`, whose model config is that of the fake."""
    folder = tmp_path / "adapters" / "odd"
    (folder / "models").mkdir(parents=True)
    (folder / "adapter.py").write_text(source, encoding="utf-8")
    model_config = harness_root() / "adapters" / "fake" / "models" / "perfect.yaml"
    (folder / "models" / "perfect.yaml").write_text(model_config.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setenv("BENCH_ADAPTERS", str(tmp_path / "adapters"))


def started(identity: str) -> int:
    """Exit code of a process that looks whether the one with this identity is there."""
    command = "from bench.run.worker.process import _leave_without_parent as look; look(); raise SystemExit(7)"
    environment = {**os.environ, process.PARENT: identity, "PYTHONPATH": str(harness_root())}
    return subprocess.run([sys.executable, "-c", command], env=environment, check=False).returncode


def test_a_worker_whose_parent_is_gone_or_another_with_its_number_leaves_before_it_does_anything():
    here = process.process_identity(os.getpid())
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        identity = process.process_identity(ended.pid)
        ended.wait()
    assert started(here) == 7
    assert started(identity) == 1
    assert started(f"{os.getpid()}:1") == 1  # the number is used again, the start is another


def test_a_message_with_a_name_that_is_no_text_is_one_failed_row_and_the_suite_goes_on(tmp_path, monkeypatch):
    outside(tmp_path, monkeypatch, SURROGATE)
    run = new_run(tmp_path / "results", "suite")
    (run.path / layout.PLAN).touch()
    suite = write_suite(tmp_path, ["odd/perfect", perfect()])
    ran = run_suite(suite, run, tmp_path / "results", kinds=("predict",))
    assert ran.outcome("predict", "odd/perfect").status is Status.CRASHED
    assert "caf\\udce9.png" in ran.outcome("predict", "odd/perfect").reason
    assert ran.outcome("predict", "fake/perfect").status is Status.OK


def test_a_worker_that_has_said_how_it_ended_is_ended_soon_and_flagged(tmp_path, monkeypatch):
    outside(tmp_path, monkeypatch, LINGERS)
    run = new_run(tmp_path / "results", "suite")
    (run.path / layout.PLAN).touch()
    suite = write_suite(tmp_path, [{"name": "odd/perfect", "options": perfect()["options"]}])
    outcome = run_suite(suite, run, tmp_path / "results", kinds=("predict",)).outcome("predict", "odd/perfect")
    assert outcome.status is Status.OK
    assert "slow_exit" in {flag.name for flag in outcome.facts.flags}


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b'{"status": "\\udce9"}', b"[" * 100_000, b"null"])
def test_an_outcome_that_cannot_be_read_counts_as_none(tmp_path, content):
    run = new_run(tmp_path / "results", "suite")
    (run.path / layout.PLAN).touch()
    folder = run.path / "jobs" / "x"
    folder.mkdir(parents=True)
    (folder / layout.OUTCOME).write_bytes(content)
    end = ProcessEnd(exit_code=3, signal=None, timed_out=False, wall_s=1.0, kernel_oom_kills=0)
    assert settle(folder, end, started_at="2026-01-01T00:00:00Z", timeout_s=9.0).status is Status.CRASHED
