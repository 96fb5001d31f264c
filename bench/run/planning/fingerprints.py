"""Fingerprints of splits: a hash over ids and the content of every file that a job could have used.

Splits have fingerprints of their own, so that a changed image of the training split leaves a model
that is not trained alone, and one of the scored split leaves a training alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from bench.data.corruptions.dataset import CorruptedDataset, corrupted_fingerprint
from bench.data.formats.on_disk import OnDisk
from bench.data.labels.dataset import MappedDataset, labelled_fingerprint
from bench.dataset import Dataset
from bench.records import JobKind
from bench.records.store.code import as_key_part
from bench.run.planning.code_keys import OF_KIND, code_of_kind
from bench.run.planning.content_hashes import ContentHashes

QUIET_S = 2.0
"""Progress is told of what takes longer."""


class Fingerprints:
    """Fingerprints of the splits of one plan, and of the code behind it, each worked out once."""

    def __init__(self, hashes: ContentHashes | None = None) -> None:
        """Keep where the hashes of files come from; the user's memory of them if left out."""
        self._hashes = hashes or ContentHashes.of_user()
        self._known: dict[tuple[str, str, int | None], str] = {}
        self._code: dict[str, dict[JobKind, str]] = {}

    def of(self, dataset: Dataset, label: str, split: str, max_images: int | None) -> str:
        """Return the fingerprint of a split of an opened data set called `label`, or of its first `max_images`."""
        if isinstance(dataset, CorruptedDataset):
            return corrupted_fingerprint(self.of(dataset.inner, label, split, max_images), dataset.corruption)
        key = label, split, max_images
        if key not in self._known:
            self._known[key] = self._worked_out(dataset, label, split, max_images)
        return self._known[key]

    def of_code(self, dataset: str) -> dict[JobKind, str]:
        """Return for each kind of job the code that can change its numbers, as a part of its key."""
        if dataset not in self._code:
            self._code[dataset] = {kind: as_key_part(code_of_kind(kind, dataset)) for kind in OF_KIND}
        return self._code[dataset]

    def _worked_out(self, dataset: Dataset, label: str, split: str, max_images: int | None) -> str:
        if isinstance(dataset, MappedDataset):
            inner = self._worked_out(dataset.inner, label, split, max_images)
            return labelled_fingerprint(inner, dataset.labels)
        if not isinstance(dataset, OnDisk):
            return dataset.fingerprint(split)
        # In parallel, and remembered from one run to the next.
        tell = _teller(f"{label}: hashing the files of split {split!r}")
        return dataset.manifest(split, lambda files: self._hashes.of(files, tell), max_images=max_images)


def _teller(what: str) -> Callable[[int, int], None]:
    """Tell progress on standard error: on a terminal one line that changes, elsewhere a line every so often."""
    started = told = time.monotonic()
    on_terminal = sys.stderr.isatty()

    def tell(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        last = done == total and told > started
        if now - started > QUIET_S and (last or now - told > (0.2 if on_terminal else 10.0)):
            told = now
            line = f"{what}: {done}/{total}"
            print(f"\r{line}" if on_terminal else line, end="" if on_terminal and not last else "\n", file=sys.stderr)

    return tell
