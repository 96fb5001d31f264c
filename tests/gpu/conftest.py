"""Marks all tests of this folder with `gpu`; without a CUDA device each is skipped by name."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make install")

HERE = Path(__file__).parent
MISSING = None if torch.cuda.is_available() else f"no CUDA device that torch {torch.__version__} can use"


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE not in item.path.parents:
            continue
        item.add_marker(pytest.mark.gpu)
        if MISSING is not None:
            item.add_marker(pytest.mark.skip(reason=MISSING))


@pytest.fixture(autouse=True)
def _memory_is_given_back():
    """A test that failed of memory must not take it from the next one."""
    yield
    if MISSING is None:
        torch.cuda.empty_cache()


@pytest.fixture
def measured(record_property):
    """Write a figure into the test's line of gpu.jsonl, and show it with `-s`."""

    def measured(name, value):
        record_property(name, value)
        print(f"{name}: {value}")

    return measured
