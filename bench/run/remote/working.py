"""Lets one process at a time write a run in a store, by an object that only one of several can create."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BenchError, StoreError, did_you_mean
from bench.measure.devices import machine_identity
from bench.records import Job, Outcome
from bench.records.damage import json_of
from bench.records.provenance import same_machine
from bench.records.store.cache import cache_folder
from bench.records.store.layout import RunFolder, slug
from bench.records.store.runs import utc_now
from bench.run.archive.tar import Contents
from bench.run.console import ForwardingConsole, RunConsole
from bench.run.remote.copies import RUNS, contents_in, pull, push, runs_in
from bench.run.remote.stores import Store, is_url, store_at
from bench.run.worker.process import is_gone, process_identity

WRITER = "writer.json"


class Writer:
    """The right to write a run; checked before every change of its list of files."""

    def __init__(self, store: Store, suite: str, run: str, token: str) -> None:
        self._store, self._name, self._token = store, f"{RUNS}/{suite}/{run}/{WRITER}", token

    def require(self) -> None:
        """Raise `BenchError` if the right was taken by another since."""
        holder = _holder(self._store, self._name)
        if holder.get("token") != self._token:
            raise BenchError(
                f"{self._store.url}/{self._name} is no longer ours but of {_in_words(holder)}: nothing more is "
                "uploaded. What is done lies in the working folder"
            )

    def give_back(self) -> None:
        """Let go of the run, unless another has taken it."""
        if _holder(self._store, self._name).get("token") == self._token:
            self._store.remove(self._name)


@contextmanager
def writing(store: Store, suite: str, run: str) -> Iterator[Writer]:
    """Hold the right to write a run of a store.

    That of a `bench` of this machine which has ended is taken over.

    Raises:
        BenchError: If another holds it, or may still hold it.
    """
    name, token = f"{RUNS}/{suite}/{run}/{WRITER}", uuid.uuid4().hex
    mine = {
        "token": token,
        "host": platform.node() or "localhost",
        "machine": machine_identity(),
        "process": process_identity(os.getpid()),
        "since": utc_now(),
    }
    content = json.dumps(mine, indent=2).encode()
    if not store.create(name, content):
        holder = _holder(store, name)
        here = holder.get("host") == mine["host"] and same_machine(str(holder.get("machine")), mine["machine"])
        if not (here and is_gone(str(holder.get("process", "")))):
            raise BenchError(
                f"the run {suite}/{run} in {store.url} is being written by {_in_words(holder)}. Wait for it, or start "
                f"another run with --new; if it no longer runs, remove the object {store.url}/{name}"
            )
        store.remove(name)
        if not store.create(name, content):
            raise BenchError(
                f"the run {suite}/{run} in {store.url} was just taken by another; the same command tries again"
            )
    writer = Writer(store, suite, run, token)
    try:
        yield writer
    finally:
        writer.give_back()


def _holder(store: Store, name: str) -> dict[str, object]:
    text = store.read(name)
    try:
        found = json_of(text) if text is not None else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _in_words(holder: dict[str, object]) -> str:
    if not holder:
        return "nobody who says who it is"
    process = str(holder.get("process", "")).partition(":")[0]
    return f"{holder.get('host')} process {process} since {holder.get('since')}"


Tell = Callable[[str], None]


def working_folder(url: str) -> Path:
    """Return the folder of this machine in which the results behind a URL are worked in.

    >>> working_folder("s3://bucket/results").name
    's3-bucket-results-3333f854ef49'
    """
    url = url.rstrip("/")
    return cache_folder() / "working" / f"{slug(url)[:60]}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def results_folder(results: str) -> Path:
    """Return the folder that `--results` stands for: itself, or the working folder of a URL."""
    return working_folder(results) if is_url(results) else Path(results)


def local_results(results: str, name: str | None, suite: str | None, tell: Tell) -> Path:
    """Return a folder with the results that a command reads: the one that was given, or of a URL the run it is about.

    That is the newest where the name of the run is None, of any suite where that is. `tell` gets a line for each object
    that is damaged.
    """
    if not is_url(results):
        return Path(results)
    remote = RemoteResults(results, tell)
    remote.fetch(suite, name, missing_ok=False)
    return remote.folder


class RemoteResults:
    """Results behind a URL, and their working folder."""

    def __init__(self, url: str, tell: Tell) -> None:
        """Take the URL; nothing is asked of the store yet."""
        self.folder, self._store, self._tell = working_folder(url), store_at(url), tell
        self._known: Contents | None = None
        self._damaged: set[str] = set()

    @property
    def store(self) -> Store:
        """The place behind the URL."""
        return self._store

    def fetch(self, suite: str | None, name: str | None = None, *, missing_ok: bool = True) -> RunFolder | None:
        """Bring a run, verified, into the working folder: the newest, or the one of this name.

        Raises:
            BenchError: If there is none (unless `missing_ok`), or it cannot be used.
        """
        found = runs_in(self._store, suite)
        wanted = [one for one in found if name is None or name in (one[1], "/".join(one))]
        if not wanted:
            if missing_ok:
                return None
            known = ["/".join(one) for one in found]
            listing = f" Runs there: {', '.join(known[-5:])}." if known else ""
            hint = did_you_mean(name, known) if name is not None else ""
            what = f"run {name!r}" if name is not None else "run"
            raise StoreError(f"no {what} in {self._store.url}.{hint}{listing}")
        of_suite, run_name = wanted[-1]
        contents = contents_in(self._store, of_suite, run_name)
        if contents is None:
            raise StoreError(f"the run {of_suite}/{run_name} in {self._store.url} was just removed")
        self._damaged = pull(self._store, contents, self.folder, self._tell)
        self._known = contents
        return RunFolder(self.folder / of_suite / run_name)

    @contextmanager
    def writing(self, run: RunFolder) -> Iterator[Upload]:
        """Hold a run for writing, and put what is finished into the store at the end, however that comes.

        Raises:
            BenchError: If another writes it, or the store cannot be reached at the end.
        """
        known = self._known
        if known is not None and (known.suite, known.run) != (run.suite, run.name):
            known = None
        with writing(self._store, run.suite, run.name) as writer:
            if contents_in(self._store, run.suite, run.name) != known:
                raise BenchError(
                    f"the run {run.suite}/{run.name} in {self._store.url} was written by another just now; the same "
                    "command goes on from there"
                )
            upload = Upload(self._store, run, writer, known, self._damaged, self._tell)
            try:
                yield upload
            except BaseException:
                upload.attempt()
                raise
            upload.finish()


class Upload:
    """Puts what a run has now into its store."""

    def __init__(
        self, store: Store, run: RunFolder, writer: Writer, known: Contents | None, damaged: set[str], tell: Tell
    ) -> None:
        self._store, self._run, self._writer = store, run, writer
        self._known, self._damaged, self._tell = known, damaged, tell
        self._told = False

    def attempt(self) -> None:
        """Put it there; where that fails say so once, and go on: the next attempt puts all that is missing."""
        try:
            self.finish()
        except BenchError as error:
            if not self._told:
                self._tell(f"warning: not uploaded yet: {error}")
            self._told = True

    def finish(self) -> None:
        """Put it there; raises `BenchError` where that fails."""
        self._writer.require()
        self._known = push(self._store, self._run, self._known, self._damaged)

    def console(self, shown: RunConsole) -> RunConsole:
        """Return a console that puts what each job left into the store when the job has ended."""
        return _UploadingConsole(shown, self)


class _UploadingConsole(ForwardingConsole):
    """Tells a run to another console, and uploads what each job left."""

    def __init__(self, shown: RunConsole, upload: Upload) -> None:
        super().__init__(shown)
        self._upload = upload

    def ended(self, job: Job, outcome: Outcome) -> None:
        super().ended(job, outcome)
        self._upload.attempt()
