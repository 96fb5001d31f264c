"""Read back what a profile job measured."""

from __future__ import annotations

from pydantic import ValidationError

from bench.errors import StoreError
from bench.records import ProfileResult, read_record
from bench.store import layout
from bench.store.results import CaseView


def profile_of(view: CaseView) -> ProfileResult | None:
    """Return memory, energy and operations of a case; None unless its profile job ended well.

    Raises:
        StoreError: If its file is damaged.
    """
    if view.profile is None or not view.profile.ok:
        return None
    path = view.profile.folder / layout.PROFILE
    try:
        return read_record(ProfileResult, path)
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise StoreError(f"{path} is damaged ({type(error).__name__}); delete its job folder and run again") from error
