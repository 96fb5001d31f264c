"""The code that the keys of jobs are made of, and taking that of another revision for it."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BenchError
from bench.records import Job, JobKind
from bench.records.names import harness_root
from bench.records.store.code import CODE_OF, Code, as_key_part, code_behind, code_of_files, reference_root
from bench.records.store.views import AcceptedCode
from bench.run.environments.interpreters import adapter_code

OF_DATA = ("bench.data.labels.dataset", "bench.data.formats.by_name")
OF_KIND: dict[JobKind, str] = {
    "train": "bench.run.worker.train_job",
    "export": "bench.run.worker.export_job",
    "predict": "bench.run.worker.predict_job",
    "time": "bench.run.worker.time_job",
    "profile": "bench.run.worker.profile_job",
    "throughput": "bench.run.worker.throughput_job",
}
MEASURED_BY = "bench.measure"
"""Changes no weights and no prediction: left out of the keys of the jobs that make them."""


def code_of_kind(kind: JobKind, dataset: str) -> Code:
    """Return the code of the harness that can change a number of a job."""
    unmeasured = kind in ("train", "export", "predict")
    modules = (OF_KIND[kind], *OF_DATA, f"bench.datasets.{dataset}")
    return code_behind(modules, reference_root(), leave_out=MEASURED_BY if unmeasured else "")


def refuse_changed_code(job: Job) -> None:
    """Refuse to start a worker on other code than the job's key was made of.

    Raises:
        BenchError: Naming the files that changed since the run was planned.
    """
    if reference_root() != harness_root():
        return  # the key names the code of another revision, as was asked for
    now = {
        "code": as_key_part(code_of_kind(job.kind, job.dataset.name)),
        "adapter source": as_key_part(adapter_code(job.model.adapter)),
    }
    changed = [
        entry.partition("=")[0]
        for part, code in now.items()
        for entry in sorted({*code.split()} ^ {*job.key_parts.get(part, code).split()})
    ]
    if changed:
        raise BenchError(
            f"{', '.join(dict.fromkeys(changed))} changed since this run was planned, so that what is measured next "
            "would be other code than the rest. What is done so far is kept; the same command plans anew"
        )


@contextmanager
def code_accepted_as(revision: str | None) -> Iterator[AcceptedCode | None]:
    """Have keys and scores made with the code of a git revision in place of the present one, which None takes.

    What was done with that code then counts as done, and what is done now as done with it.

    Raises:
        BenchError: If there is no such revision.
    """
    if revision is None:
        yield None
        return
    commit = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", revision=revision).decode().strip()
    with tempfile.TemporaryDirectory(prefix="bench-code-") as folder:
        packed = _git("archive", "--format=tar", commit, "bench", "adapters", revision=revision)
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        before = os.environ.get(CODE_OF)
        os.environ[CODE_OF] = folder
        try:
            yield AcceptedCode(revision=revision, commit=commit, files=_changed_since(Path(folder)))
        finally:
            os.environ.pop(CODE_OF)
            if before is not None:
                os.environ[CODE_OF] = before


def _changed_since(root: Path) -> tuple[str, ...]:
    """Return files whose code differs between a tree and the present one, or that only one has."""

    def code_in(tree: Path) -> Code:
        files = [file for package in ("bench", "adapters") for file in (tree / package).rglob("*.py")]
        return code_of_files(files, tree)

    old, new = code_in(root), code_in(harness_root())
    return tuple(path for path in sorted({*old, *new}) if old.get(path) != new.get(path))


def _git(*words: str, revision: str) -> bytes:
    try:
        return subprocess.run(
            ["git", "-C", str(harness_root()), *words], capture_output=True, check=True, timeout=120
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip() or "git does not know it"
        raise BenchError(
            f"--accept-code {revision}: there is no such revision of the harness in {harness_root()} ({said}); "
            "expected a commit, tag or branch of its git checkout, such as the commit in a report's section Environment"
        ) from None
