"""Ctrl-C, and what is taken as such, which reaches the command that runs wherever it is."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO

AGAIN_S, LONGEST_AGAIN_S = 0.02, 1.0
"""Seconds after which an interruption comes again, first and at most: each time after twice as long."""

# What a forked child is sent is no interruption of this process.
os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))


@contextlib.contextmanager
def interruptible(interrupted: threading.Event) -> Iterator[None]:
    """Take SIGTERM, and SIGHUP of a closed terminal, as Ctrl-C: the job in flight ends, and the next run goes on there.

    What was started with SIGINT or SIGHUP ignored, as by `nohup`, goes on ignoring it.

    An interruption can be lost. Python runs a handler between two steps of its own, so a signal that comes while this
    thread is about to wait, for a queue or for the interpreter's lock, is noticed when the wait has ended; and an
    exception is dropped by callbacks such as those of weak references, and by libraries that drop whatever an import
    has raised. So a thread, to which the signal is written at once (`signal.set_wakeup_fd`), sends it again until the
    exception is on its way, which is when something is being cleaned up for it, and until this context has ended.

    Args:
        interrupted: Set by each of them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    left, again = threading.Event(), threading.Event()

    def interrupt(number: int, _frame: object) -> None:
        if number == signal.SIGTERM and again.is_set():
            again.clear()
            if _is_on_its_way():
                return
        interrupted.set()
        raise KeyboardInterrupt

    def insist(arrived: BinaryIO) -> None:
        with arrived:
            while (number := arrived.read(1)) and number[0] not in numbers:
                pass
            pause_s = AGAIN_S
            while number and not left.wait(pause_s):
                again.set()
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
                pause_s = min(2 * pause_s, LONGEST_AGAIN_S)

    asked = (signal.SIGINT, signal.SIGHUP)  # ignored in the background of a shell, or by nohup
    numbers = [signal.SIGTERM, *(one for one in asked if signal.getsignal(one) is not signal.SIG_IGN)]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    wakes = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=insist, args=(os.fdopen(reader, "rb", buffering=0),), daemon=True)
    thread.start()
    say = sys.unraisablehook
    sys.unraisablehook = lambda lost: None if issubclass(lost.exc_type, KeyboardInterrupt) else say(lost)
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(wakes)
        os.close(writer)
        thread.join()  # before its signal would meet the handlers of before
        sys.unraisablehook = say
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_on_its_way() -> bool:
    """Return whether an interruption, or an exception that came of one, is being handled now."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None
