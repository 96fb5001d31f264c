"""One thread: a busy neighbour makes multi-threaded torch many times slower."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make install")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(1)
