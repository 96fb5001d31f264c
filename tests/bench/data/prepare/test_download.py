"""Fetching over HTTP from a server that fails in every way that servers do."""

from __future__ import annotations

import hashlib
import json
import random
import socket

import pytest

from bench.data.prepare.download import RetryLimits, download, hash_of, kept_bytes, remote_size
from bench.errors import BenchError
from tests.bench.data.local_server import Served, serving

CONTENT = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
QUICK = RetryLimits(attempts=4, first_wait_s=0.001, timeout_s=5.0)
ONCE = RetryLimits(attempts=1, first_wait_s=0.001, timeout_s=5.0)


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as running:
        running.files["/a.bin"] = Served(CONTENT)
        yield running


def fetch(server, target, patience=QUICK, seen=None):
    """Fetch `a.bin`; returns its content."""
    seen = [] if seen is None else seen
    download(f"{server.url}/a.bin", target, advance=lambda *done: seen.append(done), patience=patience)
    return target.read_bytes()


def ranges(server):
    """What each request asked for, and on which condition."""
    return [(headers.get("Range"), headers.get("If-Range")) for _, headers in server.requests]


def test_a_file_arrives_whole_and_alone(server, tmp_path):
    seen = []
    assert fetch(server, tmp_path / "a.bin", seen=seen) == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_cut_connection_is_taken_up_where_it_broke(server, tmp_path):
    server.files["/a.bin"].cuts = [100_000, 50_000]
    assert fetch(server, tmp_path / "a.bin") == CONTENT
    assert ranges(server) == [(None, None), ("bytes=100000-", '"first"'), ("bytes=150000-", '"first"')]


def test_a_second_command_goes_on_where_the_first_gave_up(server, tmp_path):
    server.files["/a.bin"].cuts = [120_000]
    with pytest.raises(BenchError) as told:
        fetch(server, tmp_path / "a.bin", ONCE)
    assert str(told.value) == (
        f"{server.url}/a.bin cannot be fetched: the connection ended after 120000 of 300000 bytes; 1 attempts brought "
        f"nothing further. 120.0 kB of it are kept in {tmp_path}/a.bin.part; the same command goes on from there."
    )
    assert kept_bytes(tmp_path / "a.bin") == 120_000
    assert fetch(server, tmp_path / "a.bin", ONCE) == CONTENT
    assert ranges(server)[1] == ("bytes=120000-", '"first"')


def test_as_long_as_bytes_come_no_attempt_counts_as_failed(server, tmp_path):
    server.files["/a.bin"].cuts = [20_000] * 12
    assert fetch(server, tmp_path / "a.bin", RetryLimits(attempts=2, first_wait_s=0.001, timeout_s=5.0)) == CONTENT
    assert len(server.requests) == 13


def test_a_file_that_changed_between_attempts_is_fetched_from_its_start(server, tmp_path):
    server.files["/a.bin"].cuts = [120_000]
    with pytest.raises(BenchError):
        fetch(server, tmp_path / "a.bin", ONCE)
    server.files["/a.bin"] = Served(OTHER, etag='"second"')
    assert fetch(server, tmp_path / "a.bin") == OTHER


def test_the_time_of_change_serves_where_there_is_no_strong_tag(server, tmp_path):
    changed = "Tue, 05 Mar 2024 10:00:00 GMT"
    server.files["/a.bin"] = Served(CONTENT, etag='W/"weak"', changed=changed, cuts=[70_000])
    assert fetch(server, tmp_path / "a.bin") == CONTENT
    assert ranges(server)[1] == ("bytes=70000-", changed)


def test_the_size_serves_where_a_server_names_no_state(server, tmp_path):
    server.files["/a.bin"] = Served(CONTENT, etag=None, cuts=[70_000])
    with pytest.raises(BenchError):
        fetch(server, tmp_path / "a.bin", ONCE)
    server.files["/a.bin"] = Served(OTHER[:200_000], etag=None)
    assert fetch(server, tmp_path / "a.bin") == OTHER[:200_000]
    assert ranges(server)[1:] == [("bytes=70000-", None), (None, None)]


def test_a_server_without_ranges_is_asked_again_for_the_whole(server, tmp_path):
    server.files["/a.bin"] = Served(CONTENT, ranges=False, cuts=[100_000])
    assert fetch(server, tmp_path / "a.bin") == CONTENT


def test_another_range_than_was_asked_for_is_not_taken(server, tmp_path):
    server.files["/a.bin"] = Served(CONTENT, cuts=[100_000], shifted=True)
    assert fetch(server, tmp_path / "a.bin") == CONTENT
    assert [asked for asked, _ in ranges(server)] == [None, "bytes=100000-", None]


def test_a_range_that_the_server_no_longer_has_begins_anew(server, tmp_path):
    server.files["/a.bin"].cuts = [200_000]
    with pytest.raises(BenchError):
        fetch(server, tmp_path / "a.bin", ONCE)
    server.files["/a.bin"] = Served(OTHER[:1000])  # of the same tag, which a careless server may do
    assert fetch(server, tmp_path / "a.bin") == OTHER[:1000]


def test_a_part_of_unknown_origin_is_not_gone_on_from(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(OTHER[:5000])
    assert fetch(server, tmp_path / "a.bin") == CONTENT
    assert ranges(server) == [(None, None)]


@pytest.mark.parametrize(
    "state",
    [
        {"url": "http://elsewhere.invalid/a.bin", "size": 300_000, "validator": '"first"'},
        {"size": None, "validator": ""},
        {"size": 4000, "validator": '"first"'},
    ],
)
def test_a_part_that_may_be_of_another_file_is_not_gone_on_from(state, server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(OTHER[:5000])
    (tmp_path / "a.bin.part.json").write_text(json.dumps({"url": f"{server.url}/a.bin", **state}))
    assert fetch(server, tmp_path / "a.bin") == CONTENT
    assert ranges(server) == [(None, None)]


def test_a_file_whose_size_is_not_told_is_fetched(server, tmp_path):
    server.files["/a.bin"].length = False
    seen = []
    assert fetch(server, tmp_path / "a.bin", seen=seen) == CONTENT
    assert seen[-1] == (len(CONTENT), None)
    assert remote_size(f"{server.url}/a.bin", QUICK) is None


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.files["/a.bin"].refusals = [503, 500, 429]
    assert fetch(server, tmp_path / "a.bin") == CONTENT
    assert len(server.requests) == 4


def test_a_server_that_stays_busy_is_given_up_with_its_answer(server, tmp_path):
    server.files["/a.bin"].refusals = [500] * 9
    with pytest.raises(BenchError) as told:
        fetch(server, tmp_path / "a.bin")
    assert "the server answers 500 Internal Server Error; 4 attempts brought nothing further. 0 bytes" in str(
        told.value
    )
    assert len(server.requests) == 4


def test_a_file_that_is_gone_is_asked_for_once(server, tmp_path):
    with pytest.raises(BenchError) as told:
        download(f"{server.url}/b.bin", tmp_path / "b.bin", advance=lambda *_: None, patience=QUICK)
    assert str(told.value) == (
        f"{server.url}/b.bin cannot be fetched: the server answers 404 Not Found. It may have moved: look at its "
        "source, fetch it by hand, put it into the folder archives and give the same command again."
    )
    assert len(server.requests) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_falls_silent_is_given_up(server, tmp_path):
    server.files["/a.bin"].silent = True
    with pytest.raises(BenchError, match="cannot be fetched: timed out; 1 attempts"):
        fetch(server, tmp_path / "a.bin", RetryLimits(attempts=1, first_wait_s=0.001, timeout_s=0.2))


def test_a_server_that_is_not_there_is_told(tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        address = f"http://127.0.0.1:{held.getsockname()[1]}/a.bin"
        with pytest.raises(BenchError, match=r"cannot be fetched: connection refused; 1 attempts"):
            download(address, tmp_path / "a.bin", advance=lambda *_: None, patience=ONCE)
        assert remote_size(address, ONCE) is None


def test_the_proxy_of_the_environment_is_used(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    download("http://images.invalid/a.bin", tmp_path / "a.bin", advance=lambda *_: None, patience=ONCE)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["http://images.invalid/a.bin"]


def test_the_size_on_the_server_is_asked_without_fetching(server):
    assert remote_size(f"{server.url}/a.bin", QUICK) == len(CONTENT)
    assert remote_size(f"{server.url}/none.bin", QUICK) is None
    assert server.requests == []


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_hash_is_that_of_the_whole_file(algorithm, tmp_path):
    content = CONTENT * 8  # more than one block
    (tmp_path / "a.bin").write_bytes(content)
    expected = hashlib.new(algorithm, content).hexdigest()
    assert hash_of(tmp_path / "a.bin", algorithm, advance=lambda *_: None) == expected
