"""Unpacking of archives: whole ones, damaged ones, and ones made to write where they should not."""

from __future__ import annotations

import io
import shutil
import stat
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from bench.data.prepare.archives import ALWAYS_ALLOWED, unpack
from bench.errors import BenchError

FILES = {
    "set/images/a b.jpg": b"first" * 1000,
    "set/images/ü.jpg": b"second",
    "set/empty.txt": b"",
    "set/__MACOSX/set/._x": b"litter",
    "set/images/._a b.jpg": b"litter",
    "set/.DS_Store": b"litter",
}
WANTED = {name: content for name, content in FILES.items() if content != b"litter"}
FORMS = ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"]


def make(path, files):
    """Write a tar or zip, after the suffix of the path."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name), content, compress_type=zipfile.ZIP_DEFLATED)
        return path
    compression = path.suffix.removeprefix(".") if path.suffix != ".tar" else ""
    with tarfile.open(path, f"w:{compression}") as archive:
        for name, content in files.items():
            row = tarfile.TarInfo(name)
            row.size = len(content)
            archive.addfile(row, io.BytesIO(content))
    return path


def make_tar_with(path, row):
    """A tar of a sound file and one entry more."""
    with tarfile.open(path, "w") as archive:
        sound = tarfile.TarInfo("set/sound.txt")
        archive.addfile(sound, io.BytesIO())
        archive.addfile(row)
    return path


def content_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def silent(done, total):
    pass


def refused(archive, folder, **more):
    """The paragraph of an archive that must not be unpacked; checks that nothing of it was."""
    before = content_of(folder.parent)
    with pytest.raises(BenchError) as told:
        unpack(archive, folder, advance=silent, **more)
    assert content_of(folder.parent) == before
    return str(told.value)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_unpacked_without_what_macos_adds(form, tmp_path):
    archive = make(tmp_path / f"a.{form}", FILES)
    seen = []
    paths = unpack(archive, tmp_path / "out", advance=lambda *done: seen.append(done))
    assert content_of(tmp_path / "out") == WANTED
    assert paths == [tmp_path / "out" / name for name in WANTED]
    assert seen[-1] == (5006, 5006)


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_only_wanted_members_are_unpacked(form, tmp_path):
    archive = make(tmp_path / f"a.{form}", FILES)
    unpack(archive, tmp_path / "out", only=("set/images/*",), advance=silent)
    assert sorted(content_of(tmp_path / "out")) == ["set/images/a b.jpg", "set/images/ü.jpg"]


def test_an_archive_without_a_wanted_member_is_another_file(tmp_path):
    archive = make(tmp_path / "a.zip", FILES)
    assert refused(archive, tmp_path / "out", only=("train2017/*",)) == (
        f"{archive} holds no train2017/*. It is another file than the one expected; delete it and give the same "
        "command again, which fetches it anew."
    )


@pytest.mark.parametrize("form", ["tar", "zip"])
@pytest.mark.parametrize("name", ["../x", "set/../../x", "/x", "C:/x", "..\\x", "set\\..\\..\\x"])
def test_a_member_outside_of_the_folder_is_refused_before_anything_is_written(form, name, tmp_path):
    archive = make(tmp_path / f"a.{form}", {"set/sound.txt": b"1", name: b"2"})
    assert refused(archive, tmp_path / "out") == (
        f"{archive} is not unpacked: {name!r} would be written outside of its folder. Nothing of it was written. It "
        "may be forged: delete it, and compare its source before you fetch it again."
    )


@pytest.mark.parametrize(
    ("kind", "link", "word"),
    [
        (tarfile.SYMTYPE, "/etc", "link"),
        (tarfile.SYMTYPE, "sound.txt", "link"),
        (tarfile.LNKTYPE, "set/sound.txt", "link"),
        (tarfile.FIFOTYPE, "", "device"),
        (tarfile.CHRTYPE, "", "device"),
        (tarfile.BLKTYPE, "", "device"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(kind, link, word, tmp_path):
    row = tarfile.TarInfo("set/odd")
    row.type, row.linkname = kind, link
    archive = make_tar_with(tmp_path / "a.tar", row)
    message = refused(archive, tmp_path / "out")
    assert f"is not unpacked: 'set/odd' is a {word}, and a data set needs files and folders only." in message


def test_a_link_in_a_zip_is_refused(tmp_path):
    row = zipfile.ZipInfo("set/odd")
    row.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(row, "../../elsewhere")
    assert "'set/odd' is a link" in refused(tmp_path / "a.zip", tmp_path / "out")


def test_a_link_that_lies_in_the_folder_is_not_written_through(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "set").mkdir(parents=True)
    (tmp_path / "out" / "set" / "images").symlink_to(tmp_path / "elsewhere")
    archive = make(tmp_path / "a.tar", FILES)
    message = refused(archive, tmp_path / "out")
    assert message == (
        f"{tmp_path}/out/set/images is a link, through which something else would be overwritten. Move it away."
    )
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_that_is_itself_a_link_is_fine(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    unpack(make(tmp_path / "a.zip", FILES), tmp_path / "out", advance=silent)
    assert content_of(tmp_path / "disk") == WANTED


def test_a_file_that_is_there_in_full_is_left_and_another_is_never_overwritten(tmp_path):
    archive = make(tmp_path / "a.tar", FILES)
    own = tmp_path / "out" / "set" / "images" / "ü.jpg"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine!!")
    unpack(archive, tmp_path / "out", advance=silent)
    assert own.read_bytes() == b"mine!!"
    own.write_bytes(b"another length")
    assert refused(archive, tmp_path / "out") == (
        f"{own} is there already and is not the file of 6 bytes that a.tar holds. Nothing is overwritten: move it away "
        "and give the same command again."
    )


@pytest.mark.parametrize("form", ["tar.gz", "zip"])
def test_an_interrupted_unpacking_goes_on_behind_what_is_there(form, tmp_path):
    files = {f"set/{number}.txt": b"%d" % number * 1000 for number in range(6)}
    archive = make(tmp_path / f"a.{form}", files)

    def interrupt(done, total):
        if done == 3000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "out", advance=interrupt)
    first = {path: path.stat().st_mtime_ns for path in sorted((tmp_path / "out").rglob("*.txt"))}
    assert len(first) == 3
    unpack(archive, tmp_path / "out", advance=silent)
    assert content_of(tmp_path / "out") == files
    assert {path: path.stat().st_mtime_ns for path in first} == first


def test_a_member_that_was_half_written_is_written_again(tmp_path):
    archive = make(tmp_path / "a.zip", FILES)
    (tmp_path / "out" / "set").mkdir(parents=True)
    (tmp_path / "out" / "set" / ".empty.txt.part").write_bytes(b"half of somethi")
    unpack(archive, tmp_path / "out", advance=silent)
    assert content_of(tmp_path / "out") == WANTED


@pytest.mark.parametrize("form", ["tar.gz", "zip"])
def test_an_archive_that_holds_far_more_than_its_size_is_refused(form, tmp_path):
    archive = make(tmp_path / f"a.{form}", {"zeros": bytes(ALWAYS_ALLOWED + 1)})
    assert "it holds more than 67.1 MB, a multiple of its size that no data set has" in refused(
        archive, tmp_path / "out"
    )


def test_a_name_that_occurs_twice_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for content in (b"one", b"two"):
            row = tarfile.TarInfo("set/a.txt")
            row.size = 3
            archive.addfile(row, io.BytesIO(content))
    assert "it holds 'set/a.txt' twice" in refused(tmp_path / "a.tar", tmp_path / "out")


@pytest.mark.parametrize("form", ["tar.gz", "tar.xz", "zip"])
def test_a_cut_archive_is_told(form, tmp_path):
    archive = make(tmp_path / f"a.{form}", {f"{n}.txt": bytes([n]) * 999 for n in range(50)})
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    message = refused(archive, tmp_path / "out")
    assert message.startswith(f"{archive} cannot be unpacked: ")
    assert message.endswith(". Delete it and give the same command again, which fetches it anew.")


def test_a_damaged_member_of_a_zip_leaves_no_file(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as stored:
        stored.writestr("a.txt", b"the content of the member")
    archive.write_bytes(archive.read_bytes().replace(b"content", b"CONTENT"))
    assert "cannot be unpacked: Bad CRC-32 for file 'a.txt'." in refused(archive, tmp_path / "out")


def test_what_is_no_archive_is_told(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"<html>Sign in to go on</html>")
    assert refused(tmp_path / "a.zip", tmp_path / "out") == (
        f"{tmp_path}/a.zip cannot be unpacked: it is neither a tar nor a zip file. Delete it and give the same command "
        "again, which fetches it anew."
    )


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path):
    inner = make(tmp_path / "inner.zip", {"b.txt": b"2"}).read_bytes()
    archive = make(tmp_path / "a.tar", {"a.txt": b"1", "inner.zip": inner})
    unpack(archive, tmp_path / "out", advance=silent)
    assert sorted(content_of(tmp_path / "out")) == ["a.txt", "inner.zip"]


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(tmp_path, monkeypatch):
    archive = make(tmp_path / "a.zip", FILES)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9000, 5000, 4000))
    assert refused(archive, tmp_path / "out") == (
        f"{tmp_path}/out: 5.0 kB are needed to unpack a.zip, and 4.0 kB are free on that disk. Make room, or give a "
        "folder on another disk."
    )


def test_what_is_there_already_needs_no_room(tmp_path, monkeypatch):
    archive = make(tmp_path / "a.zip", FILES)
    unpack(archive, tmp_path / "out", advance=silent)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9000, 9000, 0))
    assert len(unpack(archive, tmp_path / "out", advance=silent)) == len(WANTED)


def test_a_folder_in_the_place_of_a_file_is_told(tmp_path):
    archive = make(tmp_path / "a.zip", FILES)
    Path(tmp_path / "out" / "set" / "empty.txt").mkdir(parents=True)
    assert f"{tmp_path}/out/set/empty.txt is there already" in refused(archive, tmp_path / "out")
