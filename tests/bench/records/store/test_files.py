"""A lock file is held by one process at a time and is free when its holder ends."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench.errors import BenchError, StoreError
from bench.records.store.files import held, opened_to_append

HOLD = "import sys; from pathlib import Path; from bench.records.store.files import held\n" + (
    "with held(Path(sys.argv[1]), RuntimeError('busy')): print('held', flush=True); sys.stdin.read()"
)


@pytest.mark.parametrize("kind", ["pipe", "device", "link to nowhere"])
def test_what_is_no_file_is_not_appended_to_and_nothing_waits_for_it(tmp_path, kind):
    path = tmp_path / "facts"
    {
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/null"),
        "link to nowhere": lambda: path.symlink_to(tmp_path / "nowhere" / "x"),
    }[kind]()
    with pytest.raises(StoreError, match=f"^{path} is a "):
        opened_to_append(path)


def test_a_file_is_made_appended_to_and_read_and_a_link_to_one_is_followed(tmp_path):
    (tmp_path / "link").symlink_to("facts")
    for name, text in (("facts", "one\n"), ("link", "two\n")):
        with os.fdopen(opened_to_append(tmp_path / name), "a+") as file:
            file.write(text)
    assert (tmp_path / "facts").read_text() == "one\ntwo\n"


def test_a_lock_is_refused_while_another_process_holds_it_and_free_after_a_kill(tmp_path):
    lock = tmp_path / ".lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BenchError, match="wait for it"), held(lock, BenchError("wait for it")):
            pass
        holder.kill()
    with held(lock, BenchError("wait for it")):
        pass
