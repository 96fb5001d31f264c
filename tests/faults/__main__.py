"""`python -m tests.faults [--minutes N] [--only PART [--trials N]]`: the campaign, or a part of it, and one table.

A long campaign goes in parts, of other seeds, that note what came out in a file:
`--record FILE`; `--sum FILE` adds up.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tests.faults import damages, kills, machine, mutations, workers
from tests.faults.tally import Budget, Tally, note, summed

PARTS = {
    "kills": (kills, 0.25, 1_000),
    "damages": (damages, 0.25, 2_000),
    "mutations": (mutations, 0.3, 100_000),
    "workers": (workers, 0.15, 93),
    "machine": (machine, 0.05, 130),
}
"""Each part of the campaign, its share of the time where that is given, and else its number of trials."""


def main() -> int:
    """Run the campaign; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="a campaign of faults, and one table")
    parser.add_argument("--minutes", type=float, metavar="N", help="how long, all in all (default: all trials)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of what is drawn (default: 0)")
    parser.add_argument("--only", choices=PARTS, help="only this part")
    parser.add_argument("--trials", type=int, metavar="N", help="of this part")
    parser.add_argument("--record", type=Path, metavar="FILE", help="note there what came out, a line of JSON")
    parser.add_argument("--sum", type=Path, metavar="FILE", help="only print the table of all that was noted there")
    options = parser.parse_args()
    if options.sum:
        print(summed(options.sum))
        return 0
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    tally, started = Tally(), time.monotonic()
    # Not a `TemporaryDirectory`: forks of this process, as workers here are, would remove it when they end.
    folder = tempfile.mkdtemp(prefix="bench-faults-")
    try:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        with contextlib.suppress(KeyboardInterrupt):  # what was tried until then is told
            for name, (part, share, trials) in PARTS.items():
                if options.only in (None, name):
                    budget = Budget(trials=options.trials or trials)
                    if options.minutes is not None:
                        budget = Budget(seconds=60 * options.minutes).share(1 if options.only else share)
                    print(f"{name}: {budget}", file=sys.stderr, flush=True)
                    own = Path(folder) / name
                    own.mkdir()
                    part.campaign(tally, own, budget, options.seed)
                    if options.only is None:
                        print(tally.table(), file=sys.stderr, flush=True)
        if options.record is not None:
            note(options.record, tally, seed=options.seed, minutes=(time.monotonic() - started) / 60)
        print(tally.table())
        print(f"seed {options.seed}, {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
