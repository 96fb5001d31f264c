"""A run that grows job by job: what is remembered of it is what reading it anew would give."""

from __future__ import annotations

import random
import time

import pytest

from bench.records.store import manifest
from bench.records.store.job_folders import JobFolders, job_folders
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import (
    damage_of,
    damage_of_job,
    manifest_damage,
    record_facts,
    recorded_sha256,
    withdraw_facts,
)


@pytest.fixture
def run(tmp_path):
    made = RunFolder(tmp_path / "suite" / "run")
    made.jobs.mkdir(parents=True)
    return made


def anew(run) -> manifest._Entries:
    """The manifest as a process that has not written it reads it."""
    return manifest._Entries(run.manifest.read_bytes())


def written(run, name: str, text: str):
    file = run.path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.parametrize("seed", range(10))
def test_after_any_appends_and_withdrawals_the_manifest_in_memory_is_the_one_on_disk(run, seed):
    draw = random.Random(seed)
    for step in range(60):
        folder = run.jobs / f"predict-case{draw.randrange(5)}-r0-{draw.randrange(3):012x}"
        what = draw.random()
        if what < 0.6:
            name = draw.choice(["job.json", "outcome.json", "predictions/index.json"])
            record_facts(run, [written(run, f"jobs/{folder.name}/{name}", str(step))])
        elif what < 0.8:
            withdraw_facts(run, folder)
        elif what < 0.9:
            record_facts(run, [written(run, f"scores/case{draw.randrange(3)}.json", str(step))])
        elif run.manifest.is_file():  # another process appends, or a kill cuts a line off
            text = run.manifest.read_bytes()
            run.manifest.write_bytes(text[:-5] if draw.random() < 0.5 else text + b'{"file": "x')
        kept, read = manifest._entries_of(run), anew(run) if run.manifest.is_file() else manifest._Entries(b"")
        assert (kept.hashes, kept.lines, kept.damage) == (read.hashes, read.lines, read.damage)
        assert {k: set(v) for k, v in kept.inside.items() if v} == {k: set(v) for k, v in read.inside.items() if v}


def test_a_line_that_was_changed_by_hand_between_two_appends_is_still_found(run):
    record_facts(run, [written(run, "scores/a.json", "1")])
    record_facts(run, [written(run, "scores/b.json", "2")])
    text = run.manifest.read_text()
    run.manifest.write_text(text.replace("scores/a", "scores/c"))
    record_facts(run, [written(run, "scores/d.json", "3")])
    assert "line 2 does not follow" in manifest_damage(run)


def test_facts_of_a_job_are_found_by_its_folder_and_those_of_one_whose_name_begins_alike_are_not(run):
    one, other = run.jobs / "time-a-r0-000000000001", run.jobs / "time-a-r0-000000000001x"
    files = [written(run, f"jobs/{folder.name}/samples.npz", "s") for folder in (one, other)]
    record_facts(run, files)
    files[0].write_text("changed")
    assert "samples.npz" in damage_of_job(run, one)
    assert damage_of_job(run, other) is None
    withdraw_facts(run, one)
    assert damage_of_job(run, one) is None
    assert (recorded_sha256(run, files[0]), damage_of(run, files[1])) == (None, None)


def test_folders_are_found_by_key_and_by_case_and_new_ones_without_listing_them_again(run):
    first = run.job("predict", "unet (a)@shapes", 0, "a" * 64)
    first.mkdir()
    folders = JobFolders(run)
    assert folders.of_key("predict", "a" * 64) == [first]
    assert folders.of_key("time", "a" * 64) == []
    later = run.job("predict", "unet (a)@shapes", 0, "b" * 64)
    folders.add(later)
    assert folders.of_case("predict", "unet (a)@shapes", 0) == [first, later]
    assert folders.of_case("predict", "unet (a)@shapes", 1) == []
    later.mkdir()
    assert job_folders(run).of_key("predict", "b" * 64) == [later]  # a reader looks again, since there is one more


def test_appending_to_a_long_manifest_takes_no_longer_than_to_a_short_one(run):
    def seconds(appends: int) -> float:
        started = time.process_time()
        for _ in range(appends):
            record_facts(run, [file])
        return time.process_time() - started

    file = written(run, "scores/a.json", "1")
    short = min(seconds(50) for _ in range(3))
    record_facts(run, [written(run, f"scores/{n}.json", "1") for n in range(5000)])
    assert min(seconds(50) for _ in range(3)) < 5 * short
