"""One thread: a busy neighbour makes multi-threaded torch many times slower."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make install")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Let the tests of one model of `test_contract.py` follow each other: it is built and trained once for them."""
    places = [place for place, item in enumerate(items) if item.path.name == "test_contract.py"]
    of_contract = sorted((items[place] for place in places), key=lambda item: item.callspec.params["model_config"])
    for place, item in zip(places, of_contract, strict=True):
        items[place] = item
