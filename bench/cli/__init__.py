"""The command line."""

import os
import signal  # and no more: what is imported before the handler stands can be interrupted with a traceback
import sys


def _leave(*_: object) -> None:
    """Nothing is done yet that could be lost; whatever a library is in the midst of importing is left."""
    os.write(2, b"\ninterrupted; nothing was done yet.\n")
    os._exit(130)


# From here until `main` has its own way of being interrupted.
if sys.argv[0].rpartition("/")[2] in ("bench", "-m") and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _leave)
