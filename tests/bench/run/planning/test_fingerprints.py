"""Files are read again only when they changed, and a changed file makes exactly the jobs stale that used it."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
import yaml
from PIL import Image

from bench.data.labels.dataset import open_labelled
from bench.errors import SuiteError
from bench.records import DatasetSpec, Labels
from bench.run.environments.interpreters import Interpreters
from bench.run.planning import content_hashes
from bench.run.planning.content_hashes import ContentHashes
from bench.run.planning.fingerprints import Fingerprints
from bench.run.planning.prepare import prepare

OLD_S = time.time() - 1000
RNG = np.random.default_rng(5)


def write(path, pixels, changed_s=OLD_S):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
    os.utime(path, (changed_s, changed_s))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of six images, two of each split, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "data"
    for split in ("train", "val", "test"):
        for number in range(2):
            write(root / "images" / f"{split}{number}.png", RNG.integers(0, 256, (4, 4, 3)))
            write(root / "masks" / f"{split}{number}.png", RNG.integers(0, 2, (4, 4)))
    (root / "classes.yaml").write_text("[ground, hole]\n")
    return root


def spec(folder, **more):
    patterns = {split: f"^{split}" for split in ("train", "val", "test")}
    options = {"root": str(folder), "split_by": "pattern", "patterns": patterns}
    return DatasetSpec(name="folder", label="mine", options=options, **more)


def test_a_file_is_read_once_and_again_when_its_size_or_time_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(content_hashes, "SETTLED_S", -1.0)  # the inode's time of change cannot be set to the past
    file, memory = tmp_path / "a", tmp_path / "memory.sqlite"

    def reads():
        hashes = ContentHashes(memory)
        (sha,) = hashes.of([file])
        return sha, hashes.read

    file.write_bytes(b"one")
    os.utime(file, (OLD_S, OLD_S))
    first, read = reads()
    assert (first, read) == ("7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed", 1)
    assert reads() == (first, 0)
    os.utime(file, (OLD_S + 5, OLD_S + 5))
    assert reads() == (first, 1)
    file.write_bytes(b"three")
    os.utime(file, (OLD_S + 5, OLD_S + 5))
    assert reads()[1] == 1
    assert reads()[0] != first


def test_a_file_changed_a_moment_ago_is_not_remembered(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"x")
    for _ in range(2):
        hashes = ContentHashes(tmp_path / "memory.sqlite")
        hashes.of([file])
        assert hashes.read == 1


def test_a_missing_file_has_no_hash_and_a_memory_that_cannot_be_written_is_done_without(tmp_path, capsys):
    (tmp_path / "blocked").write_text("a file where a folder is wanted")
    hashes = ContentHashes(tmp_path / "blocked" / "memory.sqlite")
    (tmp_path / "a").write_bytes(b"x")
    assert hashes.of([tmp_path / "a", tmp_path / "gone"])[1] == ""
    assert hashes.read == 1
    assert "files are hashed anew" in capsys.readouterr().err


def test_the_fingerprint_is_that_of_the_data_set_itself(folder):
    dataset = open_labelled(spec(folder))
    found = Fingerprints(ContentHashes(None)).of(dataset, "mine", "test", None)
    assert found == dataset.fingerprint("test")
    mapped = open_labelled(spec(folder, labels=Labels(classes=("hole",), rest="ignore")))
    found = Fingerprints(ContentHashes(None)).of(mapped, "mine", "test", None)
    assert found == mapped.fingerprint("test") != dataset.fingerprint("test")


def test_an_image_beyond_max_images_does_not_count(folder):
    def fingerprint(most):
        return Fingerprints(ContentHashes(None)).of(open_labelled(spec(folder)), "mine", "test", most)

    one, two = fingerprint(1), fingerprint(2)
    write(folder / "masks" / "test1.png", np.ones((4, 4)))
    assert fingerprint(1) == one
    assert fingerprint(2) != two


def parts(job):
    return job.key_parts["data"]


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_changed_file_makes_exactly_the_jobs_stale_that_used_it(folder, tmp_path, kind):
    model = {"models": ["unet/transposed"]}
    entry = {"name": "folder", "options": spec(folder).options}
    suite = {**model, "datasets": [entry], "recipe": {"budget": {"steps": 1}, "device": "cpu"}}
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({**suite, "targets": [{"device": "cpu"}]}))

    def planned():
        (case,) = prepare(path, Interpreters()).cases
        return case

    before = planned()
    again = planned()
    assert (again.train.key, again.predict.key) == (before.train.key, before.predict.key)
    write(folder / kind / "test0.png", np.full((4, 4, 3) if kind == "images" else (4, 4), 1), OLD_S + 7)
    scored = planned()
    assert scored.train.key == before.train.key
    assert scored.predict.key != before.predict.key
    assert scored.times[0].key != before.times[0].key
    write(folder / kind / "train0.png", np.full((4, 4, 3) if kind == "images" else (4, 4), 0), OLD_S + 7)
    trained = planned()
    assert trained.train.key != scored.train.key
    assert parts(trained.predict) == parts(scored.predict)
    assert trained.predict.key_parts["weights"] == trained.train.key


def test_a_run_without_training_does_not_look_at_the_training_split(folder, tmp_path):
    path = tmp_path / "x.yaml"
    entry = {"name": "folder", "options": spec(folder).options}
    suite = {"models": ["unet/transposed"], "datasets": [entry], "targets": [{"device": "cpu"}]}
    path.write_text(yaml.safe_dump(suite))
    (before,) = prepare(path, Interpreters()).cases
    write(folder / "images" / "train0.png", np.zeros((4, 4, 3)), OLD_S + 7)
    (after,) = prepare(path, Interpreters()).cases
    assert after.predict.key == before.predict.key


def test_a_model_of_another_space_is_built_with_its_own_classes_and_scored_with_the_suites(folder, tmp_path):
    path = tmp_path / "x.yaml"
    entry = {"name": "folder", "options": spec(folder).options, "labels": {"classes": ["hole"], "rest": "background"}}
    model = {"name": "unet/transposed", "trained_on": ["pit", "grass"], "synonyms": {"pit": "hole"}}
    suite = {"models": [model], "datasets": [entry], "targets": [{"device": "cpu"}]}
    path.write_text(yaml.safe_dump(suite))
    with pytest.raises(SuiteError, match="data set 'folder': unet/transposed was trained on its own list"):
        prepare(path, Interpreters())
    path.write_text(yaml.safe_dump({**suite, "models": [{**model, "unmapped": "background"}]}))
    prepared = prepare(path, Interpreters())
    assert [c.name for c in prepared.cases[0].predict.task.classes] == ["pit", "grass"]
    assert [c.name for c in prepared.plan.cases[0].task.classes] == ["background", "hole"]
