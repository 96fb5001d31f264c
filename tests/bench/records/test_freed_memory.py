"""Memory that is given back: kernels run on as before, and others can be compiled."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import numba, numpy as np
from pathlib import Path
from bench.records.compiled import give_back_freed_memory
def resident_of_compiler():
    found, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        ours = "libllvmlite" in line if "-" in line.split()[0] else ours
        found += int(line.split()[1]) if ours and line.startswith("Rss:") else 0
    return found
square = numba.njit(lambda x: x * x)
assert square(3) == 9
before = resident_of_compiler()
give_back_freed_memory()
after = resident_of_compiler()
assert square(4) == 16
third = numba.njit(lambda x: x * x * x)
assert third(3) == 27
print(before, after)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is resident, and takes it back")
def test_the_compilers_code_is_given_back_and_kernels_run_and_compile_as_before():
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True)
    before, after = map(int, done.stdout.split())
    assert after < before / 2
