"""The worker of `bench predict`: it predicts the files that a request names.

It is started as `python -m bench.run.predict.worker.process DIR`, with the request in DIR.

Model, stages and checks are those of a predict job. What is done stands in a journal, a line per
image once its files are on disk, so that a worker that is ended loses no more than what it works on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.run.worker.process import serve

if TYPE_CHECKING:
    from bench.records import Job, JobFacts


def main() -> int:
    """Do the request in the folder named on the command line; 0 whenever an outcome was written."""
    return serve(_load_work, confined=False)


def _load_work() -> Callable[[Job, Path], JobFacts]:
    """Import the rest of the harness; what is imported here comes from the tree that was checked."""
    from bench.run.predict.worker.work import predict_request

    return predict_request


if __name__ == "__main__":
    sys.exit(main())
