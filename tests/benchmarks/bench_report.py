"""Measures what a report of many cases, or of many images, costs: CPU seconds and memory, the first time and again.

    python -m tests.benchmarks.bench_report [--cases 1000] [--models 20] [--images 1000] [--keep FOLDER]

Fabricated runs: real records and files as a run leaves them, no model. Each report is made by a process of its own,
`bench report RUN --out FOLDER/` with pictures, tables and page, and by parts: reading the run, the summary, report.md
with the tables, the pictures, the page. Run twice: the second one finds the summary that the first one kept. Exit code
1 if a goal is missed: again, report.md and tables within 5 s and 300 MiB; the page of 1,000 cases within 10 s, that of
20 models on 1,000 images within 10 s and 1 GiB.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.data.formats.by_name import open_dataset
from bench.metric import load_metric
from bench.records import DatasetSpec
from bench.records.store import layout
from bench.records.store.files import content_sha256, write_record
from bench.records.store.manifest import record_facts
from bench.records.store.runs import read_scores
from bench.records.store.statistics import Statistics, load_statistics, save_statistics
from tests.bench.report.conftest import OPTIONS, SyntheticRun

DISTINCT = 4
"""Models whose predictions are made; the others have one of these, and statistics of their own."""

STEPS = """
import json, os, resource, sys, time
from pathlib import Path
run, out = Path(sys.argv[1]), Path(sys.argv[2])
from bench.records.store.runs import read_run
from bench.records.store.layout import RunFolder
from bench.report import csv, markdown
from bench.report import json as as_json
from bench.report.draw.pictures import draw_pictures
from bench.report.html import write_html
from bench.report.summary.stored import stored_summary
def peak():
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))) / 1024
def spent():
    now = resource.getrusage(resource.RUSAGE_SELF)
    return now.ru_utime + now.ru_stime
found, last = {}, spent()
def took(name):
    global last
    found[name], last = spent() - last, spent()
    found[name + " MiB"] = peak()
took("imports")
view = read_run(RunFolder(run), run.parent.parent)
took("read")
summary = stored_summary(view)
took("summary")
texts = [markdown.render(summary), csv.render(summary), as_json.render(summary)]
took("tables")
write_html(view, summary, out / "report.html")
took("page")
draw_pictures(view, summary, out)
took("pictures")
found["page MB"] = (out / "report.html").stat().st_size / 1e6
print(json.dumps(found))
"""


class ManyCases(SyntheticRun):
    """A run of many cases, of which few are made from scratch."""

    def __init__(self, results: Path, images: int) -> None:
        super().__init__(results)
        self.options = {**OPTIONS, "test": images}
        self.dataset = open_dataset("shapes", self.options)
        self.ids = tuple(self.dataset.ids("test"))

    def fill(self, cases: int) -> None:
        """Write the run."""
        spec = DatasetSpec(name="shapes", label="shapes", options=self.options)
        planned = [self.add(f"model {n}", dataset=spec) for n in range(cases)]
        plan = self.write_plan()
        random = np.random.default_rng(0)
        for number, one in enumerate(planned):
            self.train(one)
            if number < DISTINCT:
                self.predict(one, 0.05 + 0.03 * number, number)
            else:
                self._link(planned[number % DISTINCT], one)
            self.time(one, 4.0 + 6.0 * random.random(), number)
            if number < DISTINCT:
                self.score(plan, one)
            else:
                self._score_like(planned[number % DISTINCT], one, random)
        record_facts(self.run, [file for file in sorted(self.run.path.rglob("*.npz")) if file.is_file()])
        record_facts(self.run, sorted(self.run.path.rglob("outcome.json")))

    def _link(self, source, planned) -> None:
        before = self.run.job("predict", source.case.id, 0, source.predict_key) / layout.PREDICTIONS
        folder = self.write_job(planned, "predict", planned.predict_key, predicted_images=len(self.ids))
        (folder / layout.PREDICTIONS).mkdir()
        for file in before.iterdir():
            os.link(file, folder / layout.PREDICTIONS / file.name)

    def _score_like(self, source, planned, random) -> None:
        """Scores of statistics in which some more pixels are wrong."""
        statistics = load_statistics(self.run.statistics(source.case.id))
        counts = statistics.arrays["confusion"].copy()
        moved = (counts[..., 1:] * random.uniform(0, 0.2)).astype(np.int64)
        counts[..., 1:] -= moved
        counts[..., 0] += moved.sum(axis=-1)
        file = self.run.statistics(planned.case.id)
        save_statistics(Statistics(statistics.image_ids, {**statistics.arrays, "confusion": counts}), file)
        stored = read_scores(self.run, source.case.id).scores
        assert stored is not None
        classes = planned.task.classes
        scores = tuple(load_metric(s.metric).score(counts, classes, seed=0) for s in stored.scores)
        update = {"case_id": planned.case.id, "predict_key": planned.predict_key, "scores": scores}
        write_record(
            self.run.scores(planned.case.id),
            stored.model_copy(update={**update, "statistics_sha256": content_sha256(file)}),
        )


def fabricated(folder: Path, cases: int, images: int) -> Path:
    """A run of this size, made once."""
    place = folder / f"{cases} cases {images} images"
    found = list(place.glob("*/*/plan.json"))
    if found:
        return found[0].parent
    run = ManyCases(place, images)
    run.fill(cases)
    return run.run.path


def measured(run: Path, out: Path) -> dict[str, float]:
    """What the steps of a report take, in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", STEPS, str(run), str(out)]
    done = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    missed = False
    with tempfile.TemporaryDirectory() as temporary:
        for cases, images in ((given.cases, 12), (given.models, given.images)):
            run = fabricated(given.keep or Path(temporary), cases, images)
            (run / layout.SUMMARY).unlink(missing_ok=True)
            for turn in ("first", "again"):
                out = Path(temporary, "out")
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir()
                found = measured(run, out)
                print(f"{cases} cases on {images} images, {turn}")
                for name in ("imports", "read", "summary", "tables", "page", "pictures"):
                    print(f"  {name:<10}{found[name]:8.2f} s CPU {found[name + ' MiB']:8.0f} MiB", flush=True)
                tables = found["read"] + found["summary"] + found["tables"]
                print(f"  page {found['page MB']:.2f} MB", flush=True)
                if turn == "again":
                    missed |= tables > 5 or found["tables MiB"] > 300 or found["page"] > 10 or found["page MiB"] > 1024
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
