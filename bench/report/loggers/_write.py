"""The process that writes one case with one logger.

It is `python -m bench.report.loggers._write RUN RESULTS CASE LOGGER FOLDER`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.errors import BenchError
from bench.logger import load_logger
from bench.records.store.layout import RunFolder
from bench.records.store.runs import read_run
from bench.report.loggers._view import logged_case


def main(arguments: list[str]) -> int:
    """Write the case; 0 if it is written."""
    run_folder, results, case_id, name, folder = arguments
    run = read_run(RunFolder(Path(run_folder)), Path(results))
    view = next(view for view in run.cases if view.case.id == case_id)
    try:
        load_logger(name).write(logged_case(run, view), Path(folder))
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
