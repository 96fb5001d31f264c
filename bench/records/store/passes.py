"""Read back what the jobs beside latency measured."""

from __future__ import annotations

from pydantic import ValidationError

from bench.errors import StoreError
from bench.records import ProfileResult, R, read_record
from bench.records.store import layout
from bench.records.store.views import CaseView, JobView
from bench.records.throughput import Loads


def profile_of(view: CaseView) -> ProfileResult | None:
    """Return memory, energy and operations of a case; None unless its profile job ended well.

    Raises:
        StoreError: If its file is damaged.
    """
    return _left_by(view.profile, ProfileResult, layout.PROFILE)


def loads_of(view: CaseView) -> Loads | None:
    """Return what a case came to under load; None unless that was measured.

    Raises:
        StoreError: If its file is damaged.
    """
    return _left_by(view.throughput, Loads, layout.THROUGHPUT)


def _left_by(job: JobView | None, cls: type[R], name: str) -> R | None:
    """Return the record that a job wrote; None unless it ended well."""
    if job is None or not job.ok:
        return None
    path = job.folder / name
    try:
        return read_record(cls, path)
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise StoreError(f"{path} is damaged ({type(error).__name__}); delete its job folder and run again") from error
