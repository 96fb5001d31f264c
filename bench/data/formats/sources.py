"""Says where the files of a data set come from, as a constant `PREPARE` of its module, for `bench data prepare`.

A data set without it needs an account, has terms to be accepted, or is the user's own; its
`OBTAIN` says what to do by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from bench.errors import DatasetError
from bench.records import Record
from bench.records.store.cache import cache_folder

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
PACKAGE_ADDRESS = r"^package:([\w.-]+)==([\w.!+-]+)/([\w.+-]+)$"
"""Name, version and file of a release: a file inside the user's own package index."""

Conversion = Literal["sbd"]
"""This is what is done with the files of a part once they are unpacked; see `bench/data/prepare/prepare.py`."""


@dataclass(frozen=True)
class Archive:
    """A tar or zip file.

    Attributes:
        url: Address of the file; `package:NAME==VERSION/FILE` is a file of a package, looked up in the user's own index
            (its checksum is a SHA-256 and must be given).
        checksum: Published checksum, as `md5:…` or `sha256:…` in hex; None if none is published, in which case the
            SHA-256 of the first download is recorded.
        only: Patterns of the members that are unpacked (`*` matches folders, too); none = all.
        inner: Patterns of members that are archives themselves; unpacked where they lie.
        name: File name; that of the URL unless given.
        size: Size in bytes, where the server need not be asked for it.
    """

    url: str
    checksum: str | None = None
    only: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()
    name: str = ""
    size: int | None = None

    @property
    def file_name(self) -> str:
        """Name under which it is kept."""
        return self.name or self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Part:
    """Hold what can be fetched by itself.

    Attributes:
        name: Name for `--part`.
        what: One line.
        options: Options with which the data set is opened with it, beside `root`; None if that takes another part.
        splits: Splits whose images it brings, where each part brings those of its own; none = no matter.
        by_default: True if it is fetched unless other parts are asked for.
        needs: Parts that it is of no use without.
        conversion: Conversion of its files afterwards; None leaves them.
    """

    name: str
    what: str
    archives: tuple[Archive, ...]
    options: Mapping[str, JsonValue] | None = field(default_factory=dict)
    splits: tuple[str, ...] = ()
    by_default: bool = True
    needs: tuple[str, ...] = ()
    conversion: Conversion | None = None


@dataclass(frozen=True)
class Preparation:
    """Hold what `bench data prepare` can fetch of a data set.

    Attributes:
        parts: Parts in the order in which they are fetched.
        root: Path of the option `root` below the folder that everything is unpacked into.
        note: Sentence on what it cannot fetch; '' if it fetches all.
    """

    parts: tuple[Part, ...]
    root: str = "."
    note: str = ""


class WeightsSource(Record):
    """State where the weights of a model config come from: one member of one file of a package.

    Attributes:
        archive: `package:NAME==VERSION/FILE`.
        archive_sha256: SHA-256 of that file, in hex.
        member: Path of the weights within it.
        sha256: SHA-256 of the weights, in hex.
        licence: Licence of the weights, one line.
    """

    archive: str = Field(pattern=PACKAGE_ADDRESS)
    archive_sha256: Sha256
    member: str = Field(min_length=1)
    sha256: Sha256
    licence: str

    @property
    def path(self) -> Path:
        """Return where they are kept, under their hash."""
        return cache_folder() / "weights" / self.sha256 / Path(self.member).name


def require_published_names(
    dataset: str, names: Sequence[str], published: str, *, example: str, classes: Sequence[str], instead: str
) -> None:
    """Raise `DatasetError` if no image has a name as the published ones: masks of indices do not say whose they are.

    Args:
        names: Names of images, without suffix.
        published: Regular expression of published names.
        example: A published name.
        classes: Names of its first classes, which the masks would show.
        instead: Clause on how a project of one's own in this layout is read.
    """
    if names and not any(re.fullmatch(published, name) for name in names):
        raise DatasetError(
            f"{dataset}: none of {len(names)} images has a name as {dataset}'s, {example}; the first is called "
            f"{names[0]}. These are most likely images of your own, whose masks hold other classes than "
            f"{', '.join(classes[:4])} and so on. {instead}; or, if the masks are {dataset}'s under other names of "
            "images, say the data set's option renamed: true.",
            kind="labels",
        )
