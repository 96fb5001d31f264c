"""Says where the user's caches lie: what can be made or fetched anew, outside of any results."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`segbench` in `$XDG_CACHE_HOME`, usually `~/.cache`; not made here."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segbench"
