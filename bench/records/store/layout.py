"""Says where things live under `results/`; the only module that knows file names.

```
results/<suite>/<run>/
    suite.yaml  plan.json  environment.json          what was asked, and where it was resumed last
    environments/<digest>.json                       each environment that a job was done in
    sbom.cdx.json  locks/<adapter>.lock               what the interpreters held
    jobs/<kind>-<case>-<replicate>-<key>/            one folder per job: the whole protocol
        job.json  outcome.json  worker.log
        predictions/  probabilities/  validation_probabilities/
        training.jsonl  weights/  samples.npz  audit/  telemetry.npz
        profile.json  throughput.json  latencies.npz
    scores/<case>.json  statistics/<case>.npz        what the parent made of the predictions
    tuning/<study>.json                              what each trial of a search was asked to try
    manifest.jsonl                                   SHA-256 of every fact, in the order they were written
    manifest.head                                    how long it is, and the hash of its last line
    times.jsonl                                      how long each bench run took, and what of it was no job
    loggers/<name>/                                  copies for experiment trackers, if the suite wants any
    report.html  report_images/  report.md  *.png  results.csv  results.json
```
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOCK = ".lock"
"""File of a run that its writer holds."""

JOB = "job.json"
OUTCOME = "outcome.json"
WORKER_LOG = "worker.log"
PREDICTIONS = "predictions"
PREDICTION_INDEX = "index.json"
PROBABILITIES = "probabilities"
VALIDATION = "validation_probabilities"
"""Folders of a predict job with the probabilities that a suite keeps, of the scored and of the validation split."""
PROGRESS = "progress.json"
PRUNING = "pruning.json"
"""File of a training in which its search answers each validation with whether it goes on."""
TRAINING_LOG = "training.jsonl"
WEIGHTS = "weights"
SAMPLES = "samples.npz"
AUDIT = "audit"
TELEMETRY = "telemetry.npz"
PROFILE = "profile.json"
THROUGHPUT = "throughput.json"
LATENCIES = "latencies.npz"
PLAN = "plan.json"
SUITE = "suite.yaml"
ENVIRONMENT = "environment.json"
ENVIRONMENTS = "environments"
SBOM = "sbom.cdx.json"
LOCKS = "locks"
REPRO = "repro.json"
TUNING = "tuning"
REPORT = "report.md"
PAGE = "report.html"
PAGE_IMAGES = "report_images"
"""Folder with the small pictures of `PAGE`."""
DAMAGED = "damaged.txt"
"""File of a job folder that names a prediction which was found to be another than was stored."""
SUMMARY = ".summary.json"
"""File with the summary of a report, so that it can be written again without computing; no fact."""
DRAWN = ".pictures.json"
"""File that says from which facts the pictures beside it were drawn; no fact itself."""
MANIFEST = "manifest.jsonl"
MANIFEST_HEAD = "manifest.head"
TIMES = "times.jsonl"

READABLE = 80
"""Characters of a name that stay readable in the name of a file."""
KEY_CHARACTERS = 12
"""Characters of its key that the name of a job's folder ends with."""


def slug(text: str) -> str:
    """Return a file-name-safe form of a name.

    >>> slug("unet/transposed@shapes cpu fp32")
    'unet-transposed@shapes-cpu-fp32'
    """
    return re.sub(r"[^A-Za-z0-9@._+=-]+", "-", text).strip("-")


def plain_name(name: str) -> str:
    """Return the name itself where it is a plain file name, else `file_stem`: different names stay different.

    >>> plain_name("coco-2017"), plain_name("coco (2017)"), plain_name("coco-2017-928872408283")
    ('coco-2017', 'coco-2017-19dd73a99bbf', 'coco-2017-928872408283-47fc4a5282c5')
    """
    plain = slug(name) == name and 0 < len(name) <= READABLE and not name.startswith(".")
    return name if plain and not re.search(r"-[0-9a-f]{12}$", name) else file_stem(name)


def file_stem(name: str) -> str:
    """Return a file name for any name: different names have different ones, whatever their letters and length.

    >>> file_stem("unet (a)"), file_stem("unet [a]")
    ('unet-a-928872408283', 'unet-a-02fee64e7a79')
    """
    sha = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{slug(name)[:READABLE]}-{sha[:12]}".lstrip("-.")


@dataclass(frozen=True)
class RunFolder:
    """One run of one suite."""

    path: Path

    @property
    def name(self) -> str:
        """Name of the run, a UTC time stamp."""
        return self.path.name

    @property
    def suite(self) -> str:
        """Name of the suite."""
        return self.path.parent.name

    @property
    def jobs(self) -> Path:
        """Folder of all job folders."""
        return self.path / "jobs"

    def job(self, kind: str, case_id: str, replicate: int, key: str) -> Path:
        """Return the folder of one job."""
        return self.jobs / f"{kind}-{slug(case_id)[:READABLE]}-r{replicate}-{key[:KEY_CHARACTERS]}"

    def study(self, name: str) -> Path:
        """Return the file with the trials of a search."""
        return self.path / TUNING / f"{file_stem(name)}.json"

    def lasting_files(self) -> Iterator[tuple[str, Path]]:
        """Yield path in the run, with `/`, and file, without locks, what is derived and what was left half-written."""
        for file in sorted(self.path.rglob("*")):
            if file.is_file() and file.name not in (LOCK, SUMMARY, DRAWN) and not file.name.endswith(".tmp"):
                yield file.relative_to(self.path).as_posix(), file

    def scores(self, case_id: str) -> Path:
        """Return the file with the scores of a case."""
        return self.path / "scores" / f"{file_stem(case_id)}.json"

    def statistics(self, case_id: str) -> Path:
        """Return the file with the per-image sufficient statistics of a case, for paired comparison."""
        return self.path / "statistics" / f"{file_stem(case_id)}.npz"

    def earlier_scores(self, case_id: str) -> Path:
        """Return where versions before the manifest kept the scores; cases whose names are alike shared the file."""
        return self.path / "scores" / f"{slug(case_id)}.json"

    def earlier_statistics(self, case_id: str) -> Path:
        """Return where versions before the manifest kept the statistics."""
        return self.path / "statistics" / f"{slug(case_id)}.npz"

    @property
    def manifest(self) -> Path:
        """File with the hash of every fact."""
        return self.path / MANIFEST

    def environment(self, name: str) -> Path:
        """Record of an environment that jobs were done in; `Provenance.environment` names it."""
        return self.path / ENVIRONMENTS / f"{name}.json"

    @property
    def manifest_head(self) -> Path:
        """File that knows how far the manifest reached."""
        return self.path / MANIFEST_HEAD

    def lock_of(self, adapter: str) -> Path:
        """Return the file with what was in the environment of an adapter that had one of its own."""
        return self.path / LOCKS / f"{adapter}.lock"

    def logger(self, name: str) -> Path:
        """Return the folder of what a logger wrote."""
        return self.path / "loggers" / name
