"""Archives of miniatures on a local server, and `bench data prepare` pointed at it."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace

import pytest
from rich.console import Console

from bench.data.prepare.download import RetryLimits
from bench.data.prepare.prepare import carry_out, planned
from bench.errors import BenchError
from tests.bench.data.local_server import Served

ONCE = RetryLimits(attempts=1, first_wait_s=0.001, timeout_s=5.0)


def packed_tar(path, base, *names):
    """Content of a gzipped tar of folders below a base."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name in names:
            archive.add(base / name, name)
    return path.read_bytes()


def packed_zip(path, base, *names):
    """Content of a zip of files and folders below a base."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            inside = sorted((base / name).rglob("*")) if (base / name).is_dir() else [base / name]
            for file in inside:
                archive.write(file, file.relative_to(base))
    return path.read_bytes()


def serve(server, archives):
    """Put archives, name -> bytes, on a server."""
    for name, content in archives.items():
        server.files[f"/{name}"] = Served(content)


def plan_of(server, name, folder, *wanted, checked=True):
    """A plan for the local server, with the checksums of what it serves, or none, in place of those of the source."""

    def checksum(archive):
        served = server.files.get(f"/{archive.file_name}")
        return f"md5:{hashlib.md5(served.content).hexdigest()}" if served is not None and checked else None

    def of_miniature(part):
        return replace(part, archives=tuple(replace(one, checksum=checksum(one)) for one in part.archives))

    plan = planned(name, folder, wanted, mirror=server.url)
    return replace(plan, parts=tuple(of_miniature(part) for part in plan.parts))


def prepared(plan, *, keep_archives=False, lines=None):
    """Carry a plan out; what it says goes to `lines`."""
    said = io.StringIO()
    plan = carry_out(plan, keep_archives=keep_archives, console=Console(width=500, file=said), patience=ONCE)
    if lines is not None:
        lines += said.getvalue().splitlines()
    return plan


def told(plan, **more):
    """The paragraph of a plan that cannot be carried out."""
    with pytest.raises(BenchError) as error:
        prepared(plan, **more)
    return str(error.value)


def fetched(server):
    """Names of what was asked for, in order."""
    return [path.rpartition("/")[2] for path, _ in server.requests]
