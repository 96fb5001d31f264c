"""A lock file is held by one process at a time and is free when its holder ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.errors import BenchError
from bench.records.store.files import held

HOLD = "import sys; from pathlib import Path; from bench.records.store.files import held\n" + (
    "with held(Path(sys.argv[1]), RuntimeError('busy')): print('held', flush=True); sys.stdin.read()"
)


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
