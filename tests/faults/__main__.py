"""`python -m tests.faults [--minutes N] [--seed S]`: the whole campaign, and one table."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tests.faults import damages, kills, machine, mutations, workers
from tests.faults.tally import Tally

SHARES = {kills: 0.25, damages: 0.25, mutations: 0.3, workers: 0.15, machine: 0.05}
"""Share of the time that each part takes."""


def main() -> int:
    """Run the campaign; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="a campaign of faults, and one table")
    parser.add_argument("--minutes", type=float, default=60.0, metavar="N", help="how long, all in all (default: 60)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of what is drawn (default: 0)")
    parser.add_argument("--only", choices=[part.__name__.rpartition(".")[2] for part in SHARES], help="only this part")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    tally, started = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-faults-", ignore_cleanup_errors=True) as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        for part, share in SHARES.items():
            name = part.__name__.rpartition(".")[2]
            if options.only in (None, name):
                own = Path(folder) / name
                own.mkdir()
                print(f"{name}: {options.minutes * (1 if options.only else share):.1f} minutes", file=sys.stderr)
                part.campaign(tally, own, 60 * options.minutes * (1 if options.only else share), options.seed)
        print(tally.table())
        print(f"seed {options.seed}, {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
