"""What all tests share: a garbage collector that looks at what a test makes, and at nothing older."""

from __future__ import annotations

import gc


def pytest_collection_finish() -> None:
    """Keep everything that was imported and collected out of later collections.

    Timing collects garbage before each block. Beside several frameworks and thousands of collected tests that takes
    a second each time, and some tests time a hundred blocks.
    """
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let the interpreter take everything apart at its end; extensions complain of what is left."""
    gc.unfreeze()
