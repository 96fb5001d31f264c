"""This is what all tests share: fixed draws, and nothing that takes time at each of ten thousand tests.

Hypothesis draws the same examples each time, so that a commit is judged by what it changed. To search anew:
`pytest --hypothesis-profile=searching`; what that finds becomes an `@example`.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import Generator

import pytest
from hypothesis import settings

settings.register_profile("fixed", derandomize=True)
settings.register_profile("searching", derandomize=False)
settings.load_profile("fixed")


def pytest_configure(config: pytest.Config) -> None:
    """Do without the capture of logs, which goes through all loggers of all frameworks six times for each test."""
    config.pluginmanager.unregister(name="logging-plugin")
    logging.getLogger().addHandler(logging.NullHandler())
    # A shell that starts the tests in the background has them, and all that they start, ignore these.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Take Ctrl-C as Python does, whatever a test before this one has imported.

    Importing MONAI leaves a handler of its own at SIGINT, behind which a wait goes on (SA_RESTART, sigaction(2)): an
    interrupt is then noticed when the wait has ended, after a minute perhaps.
    """
    signal.signal(signal.SIGINT, signal.getsignal(signal.SIGINT))


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_forced_to_the_disk():
    """What the tests write need not outlive a power cut; processes that they start do wait for the disk."""
    patch = pytest.MonkeyPatch()
    patch.setattr(os, "fsync", lambda _: None)
    yield
    patch.undo()


@pytest.fixture
def hang_up():
    """What nohup starts ignores a closed terminal, and so do the tests then."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow all but a few members, evenly apart, of families of tests that are marked `few(N)`."""
    families: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("few") and not item.get_closest_marker("slow"):
            families.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for family in families.values():
        wanted = family[0].get_closest_marker("few").args[0]  # type: ignore[union-attr] - it has one
        kept = {len(family) * number // wanted for number in range(wanted)}
        for place, item in enumerate(family):
            if place not in kept:
                item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect garbage once, after everything was imported and collected, and keep that out of later collections.

    Timing collects garbage before each block. Beside several frameworks and thousands of collected tests that takes
    a second each time, and some tests time a hundred blocks.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def pytest_unconfigure() -> None:
    """Let the interpreter take everything apart at its end; extensions complain of what is left."""
    gc.unfreeze()
