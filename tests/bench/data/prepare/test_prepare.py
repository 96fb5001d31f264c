"""`bench data prepare` against a local server that holds miniatures, packed as their sources pack them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections import namedtuple
from dataclasses import replace

import pytest

from bench.data.opening import opened
from bench.data.prepare.prepare import counted, introduction, planned, report
from bench.datasets import pets
from tests.bench.data.local_server import Served, serving
from tests.bench.data.miniatures import bench_data, refused, written
from tests.bench.data.packing import fetched, packed_tar, plan_of, prepared, serve, told


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def pets_archives(tmp_path_factory):
    """Name -> bytes of the two archives of the pets, and the export that they were made of."""
    folder = tmp_path_factory.mktemp("pets")
    exported = written("pets", folder / "pets")
    (exported.folder / "images" / "Export_1.mat").write_bytes(b"the source has a few of these")
    (exported.folder / "annotations" / "trimaps" / "._Export_1.png").write_bytes(b"and of these")
    return exported, {
        f"{name}.tar.gz": packed_tar(folder / f"{name}.tar.gz", exported.folder, name)
        for name in ("images", "annotations")
    }


# --- pets: two archives, one part --------------------------------------------------------------


def test_the_pets_are_fetched_unpacked_and_opened(server, pets_archives, tmp_path):
    exported, archives = pets_archives
    serve(server, archives)
    lines = []
    plan = prepared(plan_of(server, "pets", tmp_path / "pets"), lines=lines)
    assert fetched(server) == ["images.tar.gz", "annotations.tar.gz"]
    assert lines[0].startswith("to be fetched: ")
    assert lines[1].startswith("images.tar.gz: ")
    assert lines[1].endswith(", md5 as published")
    assert sorted(p.name for p in plan.folder.iterdir()) == [".lock", "annotations", "images", "prepare.json"]
    assert not (plan.folder / "annotations" / "trimaps" / "._Export_1.png").exists()
    [result] = counted(plan)
    dataset, original = opened(result.choice), opened(replace(result.choice, options=dict(exported.options)))
    assert dict(result.found) == {split: len(original.ids(split)) for split in original.splits()}
    for split in original.splits():
        assert dataset.fingerprint(split) == original.fingerprint(split)


def test_counts_that_are_not_those_published_are_told_last(server, pets_archives, tmp_path):
    serve(server, pets_archives[1])
    plan = prepared(plan_of(server, "pets", tmp_path / "pets"))
    results = counted(plan)
    lines = report(plan, results).splitlines()
    assert ["train", "23", "3312"] in [line.split() for line in lines]
    assert lines[-1] == "pets: not as published: train, val, test"


def test_counts_as_published_end_with_what_to_write_in_a_suite(server, pets_archives, tmp_path, monkeypatch):
    monkeypatch.setattr(pets, "EXPECTED", {"train": 23, "val": 3, "test": 4})
    serve(server, pets_archives[1])
    plan = prepared(plan_of(server, "pets", tmp_path / "pets"))
    assert report(plan, counted(plan)).endswith(
        "Write in the suite:\n"
        "\n"
        "datasets:\n"
        "  - name: pets\n"
        f"    options: {{root: {tmp_path}/pets}}\n"
        "\n"
        "pets: as published"
    )


def test_source_terms_and_addresses_are_told_before_anything_is_fetched(server, tmp_path):
    text = introduction(planned("pets", tmp_path / "pets", []))
    assert text == (
        f"pets: {pets.SOURCE}\n"
        f"Terms: {pets.LICENCE}\n"
        "\n"
        f"To be fetched into {tmp_path}/pets:\n"
        "  pets: images and trimaps\n"
        "    https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz\n"
        "    https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz"
    )
    assert list(tmp_path.iterdir()) == []
    assert server.requests == []


def test_an_interrupted_download_goes_on_and_nothing_is_fetched_twice(server, pets_archives, tmp_path):
    serve(server, pets_archives[1])
    server.files["/annotations.tar.gz"].cuts = [500]
    assert "the connection ended after 500 of" in told(plan_of(server, "pets", tmp_path / "pets"))
    prepared(plan_of(server, "pets", tmp_path / "pets"))
    assert fetched(server) == ["images.tar.gz", "annotations.tar.gz", "annotations.tar.gz"]
    assert server.requests[-1][1]["Range"] == "bytes=500-"


def test_an_interrupted_unpacking_goes_on_without_fetching_again(server, pets_archives, tmp_path):
    serve(server, pets_archives[1])
    own = tmp_path / "pets" / "annotations" / "list.txt"
    plan = plan_of(server, "pets", tmp_path / "pets")
    prepare_state(plan)
    own.parent.mkdir()
    own.write_text("in the way")
    assert told(plan).startswith(f"{own} is there already and is not the file of")
    own.unlink()
    before = (tmp_path / "pets" / "images" / "Export_1.jpg").stat().st_mtime_ns
    prepared(plan_of(server, "pets", tmp_path / "pets"))
    assert fetched(server) == ["images.tar.gz", "annotations.tar.gz"]
    assert (tmp_path / "pets" / "images" / "Export_1.jpg").stat().st_mtime_ns == before


def prepare_state(plan):
    """What a command leaves that is interrupted before its first byte."""
    plan.folder.mkdir(parents=True)
    (plan.folder / "prepare.json").write_text(json.dumps({"dataset": plan.name, "parts": []}))


def test_a_complete_data_set_is_not_asked_for_again(server, pets_archives, tmp_path):
    serve(server, pets_archives[1])
    prepared(plan_of(server, "pets", tmp_path / "pets"))
    server.requests.clear()
    plan = plan_of(server, "pets", tmp_path / "pets")
    assert f"All that is asked for is in {tmp_path}/pets already." in introduction(plan)
    prepared(plan)
    assert server.requests == []


def test_the_command_opens_what_is_there_and_ends_with_1_where_counts_differ(server, pets_archives, tmp_path, capsys):
    serve(server, pets_archives[1])
    prepared(plan_of(server, "pets", tmp_path / "pets"))
    code, out, _ = bench_data(capsys, "prepare", "pets", "--out", tmp_path / "pets")
    assert code == 1
    assert out.startswith(f"pets: {pets.SOURCE}\nTerms: {pets.LICENCE}\n\nAll that is asked for is in")
    assert out.endswith("pets: not as published: train, val, test\n")


def test_archives_are_kept_on_request(server, pets_archives, tmp_path):
    serve(server, pets_archives[1])
    prepared(plan_of(server, "pets", tmp_path / "pets"), keep_archives=True)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "pets" / "archives").iterdir()}
    assert kept == pets_archives[1]


def test_an_archive_put_there_by_hand_is_used(server, pets_archives, tmp_path):
    serve(server, pets_archives[1])
    plan = plan_of(server, "pets", tmp_path / "pets")
    prepare_state(plan)
    (plan.folder / "archives").mkdir()
    (plan.folder / "archives" / "images.tar.gz").write_bytes(pets_archives[1]["images.tar.gz"])
    prepared(plan)
    assert fetched(server) == ["annotations.tar.gz"]


def test_an_archive_with_another_checksum_than_published_is_removed(server, pets_archives, tmp_path):
    serve(server, pets_archives[1])
    plan = planned("pets", tmp_path / "pets", [], mirror=server.url)  # with the checksums of the real archives
    found = hashlib.md5(pets_archives[1]["images.tar.gz"]).hexdigest()
    assert told(plan) == (
        f"{server.url}/images.tar.gz has the md5 {found}, not 5c4f3ee8e5d25df40f4fd59a7f44e54c as published; the file "
        "was removed. The same command fetches it anew; if that changes nothing, the source has another file now."
    )
    assert list((tmp_path / "pets" / "archives").iterdir()) == []
    assert not (tmp_path / "pets" / "images").exists()


def test_where_no_checksum_is_published_the_first_one_is_recorded_and_held(server, pets_archives, tmp_path):
    serve(server, pets_archives[1])
    folder, lines = tmp_path / "pets", []
    prepared(plan_of(server, "pets", folder, checked=False), lines=lines)
    record = folder / "archives" / "images.tar.gz.sha256"
    assert lines[1].endswith(f"no checksum is published; its SHA-256 is recorded in {record}")
    digest = hashlib.sha256(pets_archives[1]["images.tar.gz"]).hexdigest()
    assert record.read_text() == f"{digest}  images.tar.gz\n"
    (folder / "prepare.json").write_text(json.dumps({"dataset": "pets", "parts": []}))
    server.files["/images.tar.gz"] = Served(b"something else")
    message = told(plan_of(server, "pets", folder, checked=False))
    assert f"not {digest} as recorded in {record}; the file was removed." in message
    assert message.endswith(f"the source has another file now, and {record} may be deleted if that is right.")


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(server, pets_archives, tmp_path, monkeypatch):
    serve(server, pets_archives[1])
    total = sum(len(content) for content in pets_archives[1].values())
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 2 * total + 1, 2 * total - 1))
    message = told(plan_of(server, "pets", tmp_path / "pets"))
    assert message.startswith(f"{tmp_path}/pets: ")
    assert " are needed to fetch and unpack pets, and " in message
    assert server.requests == []


def test_two_commands_do_not_write_into_one_folder(server, pets_archives, tmp_path):
    serve(server, pets_archives[1])
    plan = plan_of(server, "pets", tmp_path / "pets")
    prepare_state(plan)
    with (plan.folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert told(plan) == f"{tmp_path}/pets is being prepared by another bench process; wait for it."


# --- folders and names that are refused --------------------------------------------------------


def test_a_folder_with_something_else_in_it_is_refused(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    assert refused(capsys, "prepare", "pets", "--out", tmp_path / "mine") == (
        f"--out {tmp_path}/mine is not empty and was not begun by this command, which overwrites nothing. Give a new "
        "folder, or empty this one."
    )


def test_a_file_in_place_of_the_folder_is_refused(tmp_path, capsys):
    (tmp_path / "mine").write_text("mine")
    assert refused(capsys, "prepare", "pets", "--out", tmp_path / "mine") == (
        f"--out {tmp_path}/mine is a file; give a folder."
    )


def test_the_folder_of_another_data_set_is_refused(tmp_path, capsys):
    prepare_state(planned("voc", tmp_path / "a", []))
    message = refused(capsys, "prepare", "pets", "--out", tmp_path / "a")
    assert message == f"--out {tmp_path}/a holds voc; give another folder for pets."


def test_a_damaged_record_is_told(tmp_path, capsys):
    (tmp_path / "prepare.json").write_text("{")
    assert refused(capsys, "prepare", "pets", "--out", tmp_path) == (
        f"{tmp_path}/prepare.json is damaged, so that nobody can tell what is complete. Give a new folder, or empty "
        "this one."
    )


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("cityscapes", "Register at https://www.cityscapes-dataset.com"),
        ("carvana", "Accept the rules at https://www.kaggle.com/c/carvana-image-masking-challenge"),
        ("folder", "Put your images and masks there."),
        ("yolo", "Put your data.yaml there"),
        ("shapes", "It is drawn when it is used: there is nothing to fetch."),
        ("brain", "It comes with nilearn: pip install"),
    ],
)
def test_a_data_set_that_no_program_can_fetch_says_what_to_do(name, way, tmp_path, capsys):
    message = refused(capsys, "prepare", name, "--out", tmp_path / "new")
    assert message.startswith(f"{name} cannot be fetched by this command. {way}")
    assert not (tmp_path / "new").exists()
