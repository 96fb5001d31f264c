"""Opens tar archives that others made without believing what they say of their own bookkeeping."""

from __future__ import annotations

import tarfile
from typing import Any

LONGEST_HEADER = 2**20
"""Bytes of an extended header or a long name; paths and times come to some hundreds."""
EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class BoundedTarInfo(tarfile.TarInfo):
    """An entry whose extended headers are read only up to `LONGEST_HEADER`; `tarfile.open(tarinfo=BoundedTarInfo)`.

    Python reads such headers into memory whole, and a packed archive of some megabytes can hold gigabytes of them.
    """

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type in EXTENDED and self.size > LONGEST_HEADER:
            raise tarfile.ReadError(f"an extended header claims {self.size} bytes, more than {LONGEST_HEADER}")
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("it holds a sparse file, of which holes are not stored; pack it without -S")
        return super()._proc_member(archive)  # type: ignore[misc]  # no part of its documented interface, but stable
