"""Lets measurements collect garbage at the edge of each block only of what the tests themselves made."""

from __future__ import annotations

import gc

import pytest


@pytest.fixture(autouse=True, scope="module")
def _what_was_loaded_is_set_aside():
    """Set aside what other tests and their frameworks left: a tenth of a second at each of hundreds of edges."""
    gc.collect()
    gc.freeze()
