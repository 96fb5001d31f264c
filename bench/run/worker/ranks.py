"""Tells how this process came to be: afresh or forked, and whether another worker started it to train along."""

from __future__ import annotations

import os

STARTED = "a fresh interpreter"
"""This says how this process came to be; a fork server says otherwise in its workers."""


def is_further_process() -> bool:
    """Return whether another worker started this one to train along."""
    return int(os.environ.get("LOCAL_RANK", "0")) > 0
