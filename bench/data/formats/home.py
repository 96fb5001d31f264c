"""Paths as users write them."""

from __future__ import annotations

from pathlib import Path

from bench.errors import DatasetError


def expanded(text: str) -> Path:
    """Return a path with `~` as the home folder; raises `DatasetError` if there is no such user."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        user = Path(text).parts[0]
        raise DatasetError(
            f"{text}: there is no user {user[1:]!r} on this machine whose home {user} could be. Write the whole path."
        ) from None
