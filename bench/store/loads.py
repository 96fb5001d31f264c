"""Read back what a throughput job measured."""

from __future__ import annotations

from pydantic import ValidationError

from bench.errors import StoreError
from bench.records import read_record
from bench.records.loads import Loads
from bench.store import layout
from bench.store.results import CaseView


def loads_of(view: CaseView) -> Loads | None:
    """Return what a case came to under load; None unless that was measured.

    Raises:
        StoreError: If its file is damaged.
    """
    if view.throughput is None or not view.throughput.ok:
        return None
    path = view.throughput.folder / layout.THROUGHPUT
    try:
        return read_record(Loads, path)
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise StoreError(f"{path} is damaged ({type(error).__name__}); delete its job folder and run again") from error
