"""Says where the user's caches lie: what can be made or fetched anew, outside of any results."""

from __future__ import annotations

import os
from pathlib import Path

REHASH = "BENCH_REHASH"
"""Set by `--rehash` to the time when it was asked, in ns: what was remembered of files before is not taken for true."""


def cache_folder() -> Path:
    """Return `segbench` in `$XDG_CACHE_HOME`, usually `~/.cache`; it is not made here."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segbench"


def exports_folder() -> Path:
    """Return the folder of exported models in the cache, a folder for each, named by all that decides its content."""
    return cache_folder() / "exports"
