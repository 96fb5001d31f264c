"""A worker may write in its own job folder, caches and temporary folder; the kernel refuses it everything else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.records import Status
from bench.records.store.runs import new_run
from bench.run.worker.confinement import WRITABLE, temporary_of
from tests.bench.suites import perfect, run_suite, write_suite

PROGRAM = """
import json, os, pathlib, sys, tempfile
from bench.run.worker.confinement import confine, confinement_in_words
own, *places = map(pathlib.Path, sys.argv[1:])
confine(own)
def outcome(act):
    try:
        act()
        return "done"
    except PermissionError:
        return "refused"
told = {"words": confinement_in_words(), "temporary": tempfile.gettempdir()}
for place in places:
    told[str(place)] = outcome(lambda: (place / "new").write_text("x"))
(own / "mine").write_text("x")
(own / "folder").mkdir()
(own / "mine").replace(own / "folder" / "mine")
tempfile.NamedTemporaryFile().close()
other = places[0] / "facts.json"
told["overwrite"] = outcome(lambda: other.write_text("x"))
told["append"] = outcome(lambda: other.open("a"))
told["truncate"] = outcome(lambda: os.truncate(other, 0))
told["remove"] = outcome(other.unlink)
told["replace"] = outcome(lambda: (own / "folder" / "mine").replace(other))
told["link"] = outcome(lambda: (places[0] / "link").symlink_to(other))
told["read"] = other.read_text()
open("/dev/null", "w").write("x")
print(json.dumps(told))
"""


def landlock() -> bool:
    """Whether this kernel has Landlock and it is switched on."""
    done = subprocess.run(
        [sys.executable, "-c", "from bench.run.worker.confinement import _version; print(_version())"],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout) >= 1


needs_landlock = pytest.mark.skipif(not landlock(), reason="this kernel has no Landlock")


@pytest.fixture
def told(tmp_path) -> dict[str, str]:
    """What a confined process could do."""
    own, other, cache, named = (tmp_path / name for name in ("own", "other", "cache", "named"))
    own.mkdir()
    other.mkdir()
    (other / "facts.json").write_text("whole")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, (own, other, cache, named, tmp_path))],
        env={**os.environ, "XDG_CACHE_HOME": str(cache), WRITABLE: str(named), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    temporary = Path(found["temporary"])
    assert temporary == temporary_of(own)
    temporary.rmdir()  # what was made in it is gone
    return {key.rpartition("/")[2]: value for key, value in found.items() if key != str(tmp_path)} | {
        "above": found[str(tmp_path)]
    }


@needs_landlock
def test_the_kernel_refuses_a_worker_all_that_lies_outside_of_its_folders(told):
    assert told["words"].startswith("own folder, caches and temporary folder only (Landlock, version ")
    outside = ("other", "above", "overwrite", "append", "truncate", "remove", "replace", "link")
    assert [told[what] for what in outside] == ["refused"] * len(outside)
    assert told["read"] == "whole"


@needs_landlock
def test_caches_and_folders_that_are_named_may_be_written(told):
    assert (told["cache"], told["named"]) == ("done", "done")


@needs_landlock
@pytest.mark.parametrize("place", [".", "jobs", "link"])
def test_results_within_a_place_that_workers_may_write_in_are_not_said_to_be_safe_from_them(tmp_path, place):
    own = tmp_path / "jobs" / "own"
    own.mkdir(parents=True)
    (tmp_path / "link").symlink_to(".")
    told = "import sys, pathlib; from bench.run.worker import confinement as c; "
    told += "c.confine(pathlib.Path(sys.argv[1])); print(c.confinement_in_words())"
    done = subprocess.run(
        [sys.executable, "-c", told, str(own)],
        env={**os.environ, WRITABLE: str(tmp_path / place)},
        capture_output=True,
        text=True,
        check=True,
    )
    temporary_of(own).rmdir()
    assert done.stdout.startswith(f"{tmp_path / place}, where the results lie: facts of the run are compared")


@needs_landlock
def test_a_model_that_changes_facts_of_others_where_it_may_write_is_flagged(tmp_path, monkeypatch):
    folder = tmp_path / "adapters" / "vandal"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "m.yaml").write_text("description: d\ntask: semantic\ntrainable: false\noptions: {}\n")
    told = "from bench.records.predictions import SemanticMap; return [SemanticMap(one[..., 0] // 255) for one in raw]"
    vandal = VANDAL.replace('"vandalised"', '"predictions" / "index.json"').replace("return raw", told)
    (folder / "adapter.py").write_text(vandal)
    monkeypatch.setenv("BENCH_ADAPTERS", str(tmp_path / "adapters"))
    monkeypatch.setenv(WRITABLE, str(tmp_path))
    run = new_run(tmp_path, "suite")
    run_suite(write_suite(tmp_path, [perfect()]), run, tmp_path, kinds=("predict",))
    suite = write_suite(tmp_path, [perfect(), {"name": "vandal/m", "label": "vandal"}])
    outcome = run_suite(suite, run, tmp_path, kinds=("predict",)).outcome("predict", "vandal")
    assert any(note.startswith(f"writes: {tmp_path}, where the results lie") for note in outcome.facts.notes)
    assert [flag.name for flag in outcome.facts.flags] == ["wrote_elsewhere"]


@needs_landlock
def test_a_model_that_writes_into_another_job_is_refused_and_told_what_it_may(tmp_path, monkeypatch):
    folder = tmp_path / "adapters" / "vandal"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "m.yaml").write_text("description: d\ntask: semantic\ntrainable: false\noptions: {}\n")
    (folder / "adapter.py").write_text(VANDAL)
    monkeypatch.setenv("BENCH_ADAPTERS", str(tmp_path / "adapters"))
    run = new_run(tmp_path, "suite")
    suite = write_suite(tmp_path, [perfect(), {"name": "vandal/m", "label": "vandal"}])
    ran = run_suite(suite, run, tmp_path, kinds=("predict",))
    outcome = ran.outcome("predict", "vandal")
    assert outcome.status is Status.CRASHED
    assert WRITABLE in outcome.reason
    assert "PermissionError" in outcome.reason
    assert ran.outcome("predict", "fake/perfect").status is Status.OK
    assert not list(run.path.rglob("vandalised"))
    assert not temporary_of(run.jobs / "any").exists()


VANDAL = '''"""Writes into whatever other job there is."""
import sys
from pathlib import Path
from bench.adapter import BaseAdapter


class Adapter(BaseAdapter):
    def build(self, model, task, target, weights): ...
    def preprocess(self, images): return list(images)
    def infer(self, batch):
        for other in Path(sys.argv[-1]).parent.glob("predict-*"):
            if other != Path(sys.argv[-1]):
                (other / "vandalised").write_text("x")
        return batch
    def postprocess(self, raw, sizes): return raw
    def describe(self): return {"device_name": "cpu"}
    def versions(self): return {}
'''
