"""A run goes into one file and out of it again as it was, or not at all."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from bench.cli.main import main
from bench.records.store.files import content_sha256
from bench.records.store.layout import RunFolder
from bench.records.store.runs import newest_run
from bench.run.archive.tar import CONTENTS
from tests.bench.suites import perfect, write_suite


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Results of a small run."""
    folder = tmp_path_factory.mktemp("finished")
    suite = write_suite(folder, [perfect()])
    assert main(["run", str(suite), "--kind", "predict", "--results", str(folder / "results")]) == 0
    return folder / "results"


@pytest.fixture
def results(finished, tmp_path) -> Path:
    """A copy of these results that may be spoilt."""
    shutil.copytree(finished, tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def archive(finished, tmp_path) -> Path:
    """An archive of the run."""
    file = tmp_path / "run.tar"
    assert export(finished, file) == 0
    return file


def export(results: Path, file: Path) -> int:
    return main(["export", newest_run(results).name, str(file), "--results", str(results)])


def take_in(file: Path, results: Path) -> int:
    return main(["import", str(file), "--results", str(results)])


def hashes(run: RunFolder) -> dict[str, str]:
    files = [file for file in run.path.rglob("*") if file.is_file() and not file.name.startswith(".")]
    return {file.relative_to(run.path).as_posix(): content_sha256(file) for file in files}


def members(file: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(file) as packed:
        return [(entry, packed.extractfile(entry).read()) for entry in packed]


def pack(file: Path, entries: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(file, "w") as packed:
        for entry, content in entries:
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    return file


def refused(capsys, file: Path, results: Path) -> str:
    """The message with which an archive is refused; nothing of it is left."""
    capsys.readouterr()
    assert take_in(file, results) == 2
    assert not results.exists() or list(results.iterdir()) == []
    return capsys.readouterr().err


@pytest.mark.parametrize("name", ["run.tar", "run.tar.gz"])
def test_a_run_comes_out_as_it_went_in_and_can_be_audited(finished, tmp_path, name, capsys):
    assert export(finished, tmp_path / name) == 0
    assert take_in(tmp_path / name, tmp_path / "elsewhere") == 0
    run = newest_run(tmp_path / "elsewhere")
    assert hashes(run) == hashes(newest_run(finished))
    assert f"bench report {run.path}" in capsys.readouterr().out
    assert main(["audit", str(run.path), "--results", str(tmp_path / "elsewhere")]) == 0


def test_the_same_run_gives_the_same_bytes_wherever_and_whenever_it_is_written(finished, archive, tmp_path):
    assert take_in(archive, tmp_path / "elsewhere") == 0
    again = tmp_path / "again.tar"
    assert export(tmp_path / "elsewhere", again) == 0
    assert again.read_bytes() == archive.read_bytes()


def test_any_changed_byte_of_a_file_is_found(archive, tmp_path, capsys):
    whole = archive.read_bytes()
    with tarfile.open(archive) as packed:
        places = [entry.offset_data + entry.size // 2 for entry in packed if entry.size]
    for number, place in enumerate(places):
        changed = tmp_path / f"changed_{number}.tar"
        changed.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert "Nothing of it is left" in refused(capsys, changed, tmp_path / "elsewhere")


@pytest.mark.parametrize("name", ["run.tar", "run.tar.gz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.95])
def test_an_archive_that_ends_early_is_refused(finished, tmp_path, name, share, capsys):
    assert export(finished, tmp_path / name) == 0
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
    assert "Traceback" not in refused(capsys, tmp_path / name, tmp_path / "elsewhere")


def renamed(entries, name):
    listed = json.loads(entries[0][1])
    first = next(iter(listed["files"]))
    listed["files"] = {name if key == first else key: value for key, value in listed["files"].items()}
    entries[0] = (entries[0][0], json.dumps(listed).encode())
    entries[1][0].name = f"{listed['suite']}/{listed['run']}/{name}"


def outside(entries):
    renamed(entries, "../../../../outside")


def absolute(entries):
    renamed(entries, "/tmp/outside")


def link(entries):
    entries[1][0].type, entries[1][0].linkname = tarfile.SYMTYPE, "/etc/passwd"


def further(entries):
    entries.append((tarfile.TarInfo("further"), b"text"))


def lacking(entries):
    entries.pop()


def twice(entries):
    entries.append(entries[-1])


def another_suite(entries):
    listed = json.loads(entries[0][1])
    entries[0] = (entries[0][0], json.dumps({**listed, "suite": ".."}).encode())


def contents_last(entries):
    entries.append(entries.pop(0))


@pytest.mark.parametrize(
    "change", [outside, absolute, link, further, lacking, twice, another_suite, contents_last], ids=lambda c: c.__name__
)
def test_what_a_forger_might_write_is_refused(archive, tmp_path, change, capsys):
    entries = members(archive)
    change(entries)
    inside = tmp_path / "a" / "b" / "results"
    message = refused(capsys, pack(tmp_path / "forged.tar", entries), inside)
    assert str(tmp_path / "forged.tar") in message
    assert not list(tmp_path.rglob("outside"))


def test_a_run_whose_own_manifest_does_not_fit_is_refused_though_its_hashes_are_right(results, tmp_path, capsys):
    run = newest_run(results)
    plan = run.path / "plan.json"
    plan.write_text(plan.read_text().replace('"seed"', '"seed" '))
    capsys.readouterr()
    assert export(results, tmp_path / "spoilt.tar") == 2  # as it is on the way out
    assert f"bench audit {run.path}" in capsys.readouterr().err
    assert not (tmp_path / "spoilt.tar").exists()


def test_the_very_same_run_may_be_imported_twice_and_another_one_is_not_overwritten(archive, results, capsys):
    assert take_in(archive, results) == 0
    assert "exists already, with the same files" in capsys.readouterr().out
    (newest_run(results).path / "report.md").write_text("mine")
    assert take_in(archive, results) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert (newest_run(results).path / "report.md").read_text() == "mine"


@pytest.mark.parametrize(("name", "said"), [("run.zip", "ends with .tar"), ("there.tar", "nothing is overwritten")])
def test_an_archive_is_a_new_tar(finished, tmp_path, name, said, capsys):
    (tmp_path / "there.tar").write_text("mine")
    capsys.readouterr()
    assert export(finished, tmp_path / name) == 2
    assert said in capsys.readouterr().err
    assert (tmp_path / "there.tar").read_text() == "mine"


def test_some_other_file_is_no_archive_of_a_run(tmp_path, capsys):
    entry = tarfile.TarInfo("text")
    message = refused(capsys, pack(tmp_path / "other.tar", [(entry, b"text")]), tmp_path / "elsewhere")
    assert "is no archive of a run" in message
    assert "there is no file" in refused(capsys, tmp_path / "nowhere.tar", tmp_path / "elsewhere")


def test_the_archive_holds_nothing_of_who_wrote_it(archive):
    first, *_ = entries = members(archive)
    assert first[0].name == CONTENTS
    assert {(e.mtime, e.uid, e.gid, e.uname, e.gname, e.mode) for e, _ in entries} == {(0, 0, 0, "", "", 0o644)}
