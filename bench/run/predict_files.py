"""The worker of `bench predict`: `python -m bench.run.predict_files DIR` predicts files that the request in DIR names.

Model, stages and checks are those of a predict job. What is done stands in a journal, a line per
image once its files are on disk, so that a worker that is ended loses no more than what it works on.
"""

from __future__ import annotations

import json
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from bench.run.worker import (
    JOB,
    OUTCOME,
    WrongTree,
    _attempt,
    _die_with_parent,
    _ending,
    _pin,
    _what_is_missing,
    _write,
    check_tree,
)

if TYPE_CHECKING:
    from bench.records import Job, JobFacts


def main() -> int:
    """Do the request in the folder named on the command line; 0 whenever an outcome was written."""
    started, started_at = time.monotonic(), datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    _die_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    folder = Path(sys.argv[1])
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    try:
        check_tree(job)
        _pin(job["cpu_affinity"])
        ending = _attempt(_load_work(), folder)
    except (WrongTree, ImportError) as error:
        ending = _ending("environment_error", _what_is_missing(error, job), traceback.format_exc())
    _write(folder / OUTCOME, {**ending, "started_at": started_at, "wall_s": time.monotonic() - started})
    return 0


def _load_work() -> Callable[[Job, Path], JobFacts]:
    """Import the rest of the harness; what is imported here comes from the tree that was checked."""
    from bench.predict.working import predict_request

    return predict_request


if __name__ == "__main__":
    sys.exit(main())
