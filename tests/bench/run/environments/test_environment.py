"""Environments of adapters: made from their requirements, locked, and chosen by a flag or a suite; all offline."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bench.cli.main import main
from bench.errors import BenchError
from bench.records.store.files import write_record
from bench.records.store.runs import new_run, newest_run, read_run
from bench.run.environments import uv
from bench.run.environments.environment import Environment, choose_interpreters, condition, environments_folder, frozen
from bench.run.environments.interpreters import Interpreters, installed_packages, pins
from bench.run.environments.record import write_environment
from bench.run.environments.uv import Sources, find_uv
from bench.run.planning.prepare import prepare
from bench.run.repro.repeat import recorded_interpreters
from tests.bench.suites import SHAPES, run_suite, write_suite

ADAPTER = '''
"""Answers with the class whose number is the major version of the toy package."""
import numpy as np
import toy

from bench.adapter import BaseAdapter, SemanticMap


class Adapter(BaseAdapter):

    def build(self, model, task, target, weights):
        pass

    def preprocess(self, images):
        return list(images)

    def infer(self, batch):
        return batch

    def postprocess(self, raw, sizes):
        return [SemanticMap(np.full(size, int(toy.VERSION[0]), np.uint8)) for size in sizes]

    def versions(self):
        return {"toy": toy.VERSION}
'''


def make_wheel(folder: Path, version: str, *, content: str | None = None) -> Path:
    """A wheel of the package `toy`, made by hand
    (https://packaging.python.org/specifications/binary-distribution-format/)."""
    info = f"toy-{version}.dist-info"
    files = {
        "toy.py": content or f'VERSION = "{version}"\n',
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: toy\nVersion: {version}\nLicense: MIT\nSummary: A toy\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(text)}\n")
    files[f"{info}/RECORD"] = "".join(rows) + f"{info}/RECORD,,\n"
    path = folder / f"toy-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def make_adapter(folder: Path, name: str, requirement: str) -> None:
    (folder / name / "models").mkdir(parents=True)
    (folder / name / "adapter.py").write_text(ADAPTER)
    (folder / name / "requirements.txt").write_text(f"# what it needs\n{requirement}  # pinned\n")
    (folder / name / "models" / "toy.yaml").write_text("description: A toy\ntask: semantic\ntrainable: false\n")


class Place:
    """A folder with wheels, adapters from outside and environments; nothing here asks a network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheels, self.adapters, self.envs = folder / "wheels", folder / "adapters", folder / "envs"
        self.wheels.mkdir()
        for version in ("1.0", "2.0"):
            make_wheel(self.wheels, version)
        make_adapter(self.adapters, "first", "toy==1.0")
        make_adapter(self.adapters, "second", "toy==2.0")

    def env(self, action: str, *words: object, offline: bool = True) -> int:
        flags = ["--envs", self.envs, "--adapters", self.adapters]
        flags += ["--find-links", self.wheels, "--no-index"] if offline and action in ("create", "lock") else []
        return main([str(word) for word in ("env", action, *words, *flags)])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Place:
    """Both adapters in environments of their own, and a run of both in one suite."""
    place = Place(tmp_path_factory.mktemp("made"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_ADAPTERS", str(place.adapters))
        patch.setenv("UV_CACHE_DIR", str(place.folder / "cache"))
        assert place.env("create", "first", "--share") == 0
        assert place.env("create", "second", "--share") == 0
        suite = write_suite(
            place.folder,
            ["first/toy", "second/toy"],
            environments={"first": "isolated"},
            datasets=[{**SHAPES, "max_images": 2}],
        )
        interpreters = choose_interpreters([], ["second"], str(place.envs))
        run = new_run(place.folder / "results", "suite")
        ran = run_suite(suite, run, place.folder / "results", kinds=("predict",), interpreters=interpreters)
        assert not ran.summary.failed
        prepared = prepare(suite, interpreters)
        write_record(run.path / "plan.json", prepared.plan)
        write_environment(run, prepared.interpreters, ["first", "second"])
    return place


@pytest.fixture
def place(tmp_path, monkeypatch) -> Place:
    place = Place(tmp_path)
    monkeypatch.setenv("BENCH_ADAPTERS", str(place.adapters))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return place


def refused(capsys, code: int) -> str:
    """The one paragraph of a usage error."""
    message = capsys.readouterr().err
    assert code == 2
    last = message.splitlines()[-1]
    assert last.startswith("bench ")
    return last


# ------------------------------------------------------------------ two adapters that contradict each other


@pytest.mark.slow
def test_adapters_with_conflicting_pins_run_in_one_suite(made):
    views = read_run(newest_run(made.folder / "results")).cases
    assert [view.predict.outcome.facts.versions["toy"] for view in views] == ["1.0", "2.0"]


def test_the_record_names_each_interpreter_and_the_digest_of_its_lock(made):
    run = newest_run(made.folder / "results")
    recorded = json.loads((run.path / "environment.json").read_text())["interpreters"]
    assert {name: (one["kind"], one["shared"]) for name, one in recorded.items()} == {
        "first": ("isolated", True),
        "second": ("isolated", True),
    }
    assert recorded["first"]["executable"] == str(made.envs / "first/bin/python")
    # Of the entries alone, one a line: there is one.
    wheel = hashlib.sha256((made.wheels / "toy-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    entry = f"toy==1.0 --hash=sha256:{wheel}"
    assert recorded["first"]["lock_sha256"] == hashlib.sha256(entry.encode()).hexdigest()
    assert recorded["first"]["lock_sha256"] != recorded["second"]["lock_sha256"]


def test_a_run_keeps_the_locks_it_was_made_with(made):
    run = newest_run(made.folder / "results")
    assert sorted(file.name for file in (run.path / "locks").iterdir()) == ["first.lock", "second.lock"]
    assert (run.path / "locks/first.lock").read_bytes() == (made.envs / "first/packages.lock").read_bytes()


def test_the_bill_of_materials_lists_both_versions_with_who_had_them(made):
    bill = json.loads((newest_run(made.folder / "results").path / "sbom.cdx.json").read_text())
    toys = {c["version"]: c["properties"][0]["value"] for c in bill["components"] if c["name"] == "toy"}
    assert toys == {"1.0": "first", "2.0": "second"}


def test_environments_are_listed_with_their_state(made, capsys):
    assert made.env("list") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[:4] for row in rows] == [[name, "ready", sys.version.split()[0], "1"] for name in ("first", "second")]


def test_an_environment_that_is_ready_is_not_made_again(made, capsys):
    marker = made.envs / "first/bench-environment.json"
    before = marker.stat().st_mtime_ns
    assert made.env("create", "first", "--share") == 0
    assert "ready already" in capsys.readouterr().err
    assert marker.stat().st_mtime_ns == before


def test_the_packages_of_one_environment_come_as_a_bill(made, capsys):
    assert made.env("sbom", "second") == 0
    bill = json.loads(capsys.readouterr().out)
    assert [c["version"] for c in bill["components"] if c["name"] == "toy"] == ["2.0"]


# ------------------------------------------------------------------ half-made and changed


def test_a_creation_that_was_interrupted_is_refused_and_done_again(place, capsys):
    place.env("create", "first", "--share")
    (place.envs / "first/bench-environment.json").unlink()  # it is written last
    suite = write_suite(place.folder, ["first/toy"])
    capsys.readouterr()
    message = refused(capsys, main(["check", str(suite), "--env", "first", "--envs", str(place.envs)]))
    assert "incomplete: its making was interrupted" in message
    assert "bench env create first" in message
    assert place.env("create", "first", "--share") == 0
    assert condition(Environment(place.envs / "first")).state == "ready"


def test_a_creation_that_fails_leaves_nothing(place, capsys):
    (place.adapters / "first/requirements.txt").write_text("toy==9.9\n")
    assert "toy==9.9" in refused(capsys, place.env("create", "first", "--share"))
    assert not (place.envs / "first").exists()


def test_changed_requirements_and_packages_taken_out_by_hand_are_noticed(place):
    place.env("create", "first", "--share")
    environment = Environment(place.envs / "first")
    (place.adapters / "first/requirements.txt").write_text("toy<2\n")
    assert condition(environment).state == "stale"
    (place.adapters / "first/requirements.txt").write_text("toy==1.0\n")
    assert condition(environment).state == "ready"
    (folder,) = environment.path.glob("lib/python3*/site-packages/toy-1.0.dist-info")
    shutil.rmtree(folder)
    found = condition(environment)
    assert (found.state, found.why) == ("changed", "it no longer holds toy==1.0")


def test_a_folder_that_is_no_environment_is_left_alone(place, capsys):
    (place.envs / "first").mkdir(parents=True)
    (place.envs / "first" / "thesis.txt").write_text("years of work")
    assert "no virtual environment" in refused(capsys, place.env("create", "first", "--share"))
    assert (place.envs / "first" / "thesis.txt").read_text() == "years of work"


# ------------------------------------------------------------------ locks


@pytest.mark.slow
def test_a_lock_decides_what_is_installed_until_it_is_removed(place, capsys):
    (place.adapters / "first/requirements.txt").write_text("toy\n")
    newer = place.wheels / "toy-2.0-py3-none-any.whl"
    aside = newer.rename(place.folder / newer.name)
    environment = Environment(place.envs / "first")
    place.env("create", "first", "--share")
    assert place.env("lock", "first") == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(place.envs / "first.lock")
    aside.rename(newer)
    place.env("create", "first", "--share", "--again")
    assert frozen(environment) == ["toy==1.0"]
    environment.wish.unlink()
    place.env("create", "first", "--share", "--again")
    assert frozen(environment) == ["toy==2.0"]


def test_a_package_that_is_not_the_one_of_the_lock_is_refused(place, capsys, monkeypatch):
    place.env("create", "first", "--share")
    place.env("lock", "first")
    capsys.readouterr()
    make_wheel(place.wheels, "1.0", content='VERSION = "1.0"\nimport mischief\n')
    monkeypatch.setenv("UV_CACHE_DIR", str(place.folder / "empty"))  # which holds the package of the lock
    message = refused(capsys, place.env("create", "first", "--share", "--again"))
    assert "ash" in message  # uv: "Hash mismatch for `toy==1.0`"; its words may change
    assert not (place.envs / "first").exists()


# ------------------------------------------------------------------ usage errors


@pytest.mark.parametrize("action", ["create", "lock", "sbom"])
def test_an_unknown_adapter_is_named_with_the_nearest(place, capsys, action):
    assert "no adapter named 'frist'. Did you mean 'first'?" in refused(capsys, place.env(action, "frist"))


def test_an_environment_that_is_not_there_cannot_be_removed_locked_or_used(place, capsys):
    assert "no environment 'first'" in refused(capsys, place.env("remove", "first"))
    assert "no finished environment" in refused(capsys, place.env("lock", "first"))
    suite = write_suite(place.folder, ["first/toy"], environments={"first": "isolated"})
    assert "missing: was never made" in refused(capsys, main(["check", str(suite), "--envs", str(place.envs)]))


def test_a_suite_that_isolates_an_unknown_adapter_is_refused_with_the_nearest(place, capsys):
    suite = write_suite(place.folder, ["first/toy"], environments={"secnod": "isolated"})
    assert "Did you mean 'second'?" in refused(capsys, main(["check", str(suite)]))


def test_two_interpreters_for_one_adapter_are_refused(place, capsys):
    suite = write_suite(place.folder, ["first/toy"])
    flags = ["--env", "first", "--python", f"first={sys.executable}"]
    assert "give one of them" in refused(capsys, main(["check", str(suite), *flags]))


def test_requirements_that_contradict_each_other_are_explained(place, capsys):
    (place.adapters / "first/requirements.txt").write_text("toy==1.0\ntoy==2.0\n")
    message = refused(capsys, place.env("create", "first", "--share"))
    assert all(part in message for part in ("toy==1.0", "toy==2.0", "requirements.txt"))


def test_without_a_network_the_way_round_it_is_named(place, capsys, monkeypatch):
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    (place.adapters / "first/requirements.txt").write_text("a-package-nobody-has\n")
    message = refused(capsys, place.env("create", "first", "--share", offline=False))
    assert "No package index can be reached" in message
    assert "--find-links" in message


def test_without_uv_the_command_that_installs_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(uv.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match=re.escape(f"{tmp_path / 'python'} -m pip install uv")):
        find_uv()


def test_another_python_cannot_share_compiled_packages(place, capsys, tmp_path):
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\nexit 1\n")
    other.chmod(0o755)
    refused(capsys, place.env("create", "first", "--share", "--python", other))
    assert not (place.envs / "first").exists()


# ------------------------------------------------------------------ where and how


def test_environments_lie_beside_the_adapters_unless_another_folder_is_chosen(tmp_path, monkeypatch):
    assert environments_folder(str(tmp_path)) == tmp_path
    assert environments_folder(None).name == ".venvs"
    monkeypatch.setattr("bench.run.environments.environment.harness_root", lambda: tmp_path)  # an installed package
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert environments_folder(None) == tmp_path / "data/segbench/envs"


def test_of_two_versions_the_first_on_the_path_is_the_installed_one(tmp_path):
    """As an environment and what it shares: the first is imported."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    (own,) = (tmp_path / "env").glob("lib/python3*/site-packages")
    shared = tmp_path / "shared"
    for folder, version in ((own, "1.0"), (shared, "2.0")):
        with zipfile.ZipFile(make_wheel(tmp_path, version)) as wheel:
            wheel.extractall(folder)
    (own / "shared.pth").write_text(f"{shared}\n")
    assert installed_packages(tmp_path / "env/bin/python")["toy"] == "1.0"


@pytest.mark.parametrize(("requirement", "found"), [("toy", "toy==1.0"), ("toy>=2", "toy==2.0")])
def test_the_versions_of_the_harness_are_kept_where_requirements_allow_them(place, requirement, found):
    constraints = place.folder / "constraints.txt"
    constraints.write_text("another==3.0\ntoy==1.0\n")
    sources = Sources((str(place.wheels),), no_index=True)
    python = Path(sys.executable)
    lock = find_uv().resolve(python, [requirement], sources, print, constraints=constraints, complete=False)
    assert pins(lock) == [found]


def test_the_environments_of_a_run_are_rebuilt_from_the_locks_it_kept(made, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_ADAPTERS", str(made.adapters))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    record = read_run(newest_run(made.folder / "results"))
    sources = Sources((str(made.wheels),), no_index=True)
    nowhere = Interpreters(environments=tmp_path / "envs")
    _, missing = recorded_interpreters(record, record.cases, nowhere, None, print)
    assert [one.put_back for one in missing] == ["bench repro --rebuild", "bench repro --rebuild"]
    found, missing = recorded_interpreters(record, record.cases, nowhere, sources, print)
    assert missing == []
    assert [installed_packages(found.python(name))["toy"] for name in ("first", "second")] == ["1.0", "2.0"]
    # Where they are still as they were, they are taken as they are.
    here, missing = recorded_interpreters(record, record.cases, Interpreters(environments=made.envs), None, print)
    assert (here.python("first"), missing) == (made.envs / "first/bin/python", [])
