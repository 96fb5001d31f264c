"""Finds the folders of a run's jobs by what their names say, without looking through all of them each time."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from bench.records.names import listed_in
from bench.records.protocol import JobKind
from bench.records.store.files import State, file_state
from bench.records.store.layout import KEY_CHARACTERS, RunFolder


class JobFolders:
    """The folders of the jobs of one run, as they were when it was made, and those that were added since.

    Whoever holds the run's lock is the only one that adds folders, and so need not list them again after each.
    """

    def __init__(self, run: RunFolder) -> None:
        """List them."""
        self.run = run
        self._of_key: dict[tuple[str, str], dict[str, None]] = {}
        self._of_case: dict[str, dict[str, None]] = {}
        for name in listed_in(run.jobs):
            self.add(run.jobs / name)

    def add(self, folder: Path) -> None:
        """Take a folder in, whether it is there already or will be."""
        stem, _, key = folder.name.rpartition("-")
        self._of_key.setdefault((folder.name.partition("-")[0], key), {})[folder.name] = None
        self._of_case.setdefault(stem, {})[folder.name] = None

    def of_key(self, kind: JobKind, key: str) -> list[Path]:
        """Return the folders of a kind of job whose names say this key, by name; some may be gone."""
        return [self.run.jobs / name for name in sorted(self._of_key.get((kind, key[:KEY_CHARACTERS]), ()))]

    def of_case(self, kind: JobKind, case_id: str, replicate: int) -> list[Path]:
        """Return the folders whose names say this job of a case, or of one whose name begins alike, under any key."""
        stem = self.run.job(kind, case_id, replicate, "").name.rpartition("-")[0]
        return [self.run.jobs / name for name in self._of_case.get(stem, ())]


def job_folders(run: RunFolder) -> JobFolders:
    """Return the folders of a run, listed again only where there are others than before."""
    return _listed(run, file_state(run.jobs))


@lru_cache(maxsize=256)
def _listed(run: RunFolder, _: State | None) -> JobFolders:
    return JobFolders(run)
