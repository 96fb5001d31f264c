"""This is what all tests share: fixed draws, and a garbage collector that looks at what a test makes alone.

Hypothesis draws the same examples each time, so that a commit is judged by what it changed. To search anew:
`pytest --hypothesis-profile=searching`; what that finds becomes an `@example`.
"""

from __future__ import annotations

import gc

from hypothesis import settings

settings.register_profile("fixed", derandomize=True)
settings.register_profile("searching", derandomize=False)
settings.load_profile("fixed")


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
