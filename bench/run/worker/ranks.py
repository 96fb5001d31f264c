"""Whether this process was started by another worker, to train along with it on several devices."""

from __future__ import annotations

import os


def is_further_process() -> bool:
    """Whether another worker started this one to train along."""
    return int(os.environ.get("LOCAL_RANK", "0")) > 0
