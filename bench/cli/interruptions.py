"""Ctrl-C, and what is taken as such, which reaches the command that runs wherever it is."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

AGAIN_S, LONGEST_AGAIN_S = 0.02, 1.0
"""Seconds after which an interruption comes again, first and at most: each time after twice as long."""


@contextlib.contextmanager
def interruptible(interrupted: threading.Event) -> Iterator[None]:
    """Take SIGTERM, and SIGHUP of a closed terminal, as Ctrl-C: the job in flight ends, and the next run goes on there.

    What was started with SIGINT or SIGHUP ignored, as by `nohup`, goes on ignoring it.

    An exception that comes at any moment can be lost: in a callback such as that of a weak reference, or in a library
    that drops whatever an import or the lookup of an attribute has raised. So an interruption comes again until the
    exception is on its way, which is when something is being cleaned up for it, or until this context has ended.

    Args:
        interrupted: Set by each of them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    left, again, insisting = threading.Event(), threading.Event(), list[threading.Thread]()

    def interrupt(number: int, _frame: object) -> None:
        if again.is_set() and number == signal.SIGTERM:
            again.clear()
            if _is_on_its_way():
                return
        if not interrupted.is_set():
            interrupted.set()
            insisting.append(threading.Thread(target=insist, daemon=True))
            insisting[0].start()
        raise KeyboardInterrupt

    def insist() -> None:
        pause_s = AGAIN_S
        while not left.wait(pause_s):
            again.set()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            pause_s = min(2 * pause_s, LONGEST_AGAIN_S)

    asked = (signal.SIGINT, signal.SIGHUP)  # ignored in the background of a shell, or by nohup
    numbers = [signal.SIGTERM, *(one for one in asked if signal.getsignal(one) is not signal.SIG_IGN)]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    say = sys.unraisablehook
    sys.unraisablehook = lambda lost: None if issubclass(lost.exc_type, KeyboardInterrupt) else say(lost)
    try:
        yield
    finally:
        left.set()
        for thread in insisting:  # whose signal would meet the handlers of before
            thread.join()
        sys.unraisablehook = say
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_on_its_way() -> bool:
    """Return whether an interruption, or an exception that came of one, is being handled now."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None
