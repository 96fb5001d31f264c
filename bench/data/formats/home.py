"""Paths as users write them."""

from __future__ import annotations

from pathlib import Path

from bench.errors import DatasetError


def lies_there(file: Path) -> bool:
    """Return whether there is a file that need not be there; raises `DatasetError` for what only looks like one."""
    if not file.is_file() and not file.is_dir() and (file.is_symlink() or file.exists()):
        raise DatasetError(
            f"{file} is a link that leads nowhere, a pipe or a device. Fetch what it stands for, as with git annex "
            "get or dvc pull, or remove it."
        )
    return file.is_file()


def expanded(text: str) -> Path:
    """Return a path with `~` as the home folder; raises `DatasetError` if there is no such user."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        user = Path(text).parts[0]
        raise DatasetError(
            f"{text}: there is no user {user[1:]!r} on this machine whose home {user} could be. Write the whole path."
        ) from None
