"""Make, lock and remove the environments of adapters.

A virtual environment holds the path it lies at in many of its files, so it cannot be made elsewhere
and moved. It is made in place, and its marker is written last: whatever has no marker is removed and
made anew.
"""

from __future__ import annotations

import platform
import shutil
import sys
import sysconfig
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from bench.adapter import adapter_folder
from bench.errors import BenchError
from bench.records.names import harness_root
from bench.records.store.files import held, write_atomically, write_record
from bench.records.store.runs import utc_now
from bench.run.environments.environment import (
    LOCK,
    MARKER,
    Condition,
    Environment,
    EnvironmentInfo,
    condition,
    frozen,
    requirements_digest,
    worker_requirements,
)
from bench.run.environments.interpreters import comment, entries, lock_digest, printed_by
from bench.run.environments.uv import Sources, Tell, Uv, find_uv

SHARED = "bench_shared.pth"
BACKEND = "torch-backend"
"""A lock says under this name which build of torch it holds."""


@dataclass(frozen=True)
class Options:
    """State how an environment is to be made.

    Attributes:
        sources: Places that packages come from.
        python: Interpreter to make it from: a path, or a version.
        share: True takes what the harness itself needs from the interpreter that runs `bench`.
        lock: File to install exactly; None = the one beside the environment, or none.
        again: True makes it anew even if it is ready.
    """

    sources: Sources = field(default_factory=Sources)
    python: str = sys.executable
    share: bool = False
    lock: Path | None = None
    again: bool = False


def create(environment: Environment, options: Options, tell: Tell) -> EnvironmentInfo:
    """Make the environment of an adapter, unless it is there as it is wished for.

    Returns:
        Record of how it was made, now or before.

    Raises:
        BenchError: If packages cannot be had, contradict each other or do not fit the interpreter.
    """
    wish = options.lock or (environment.wish if environment.wish.is_file() else None)
    lock = _read(wish) if wish is not None else None
    uv = find_uv()
    with _alone(environment):
        why = _why_make(environment, options, lock)
        made = environment.made()
        if not why and made is not None:
            tell(f"{environment.path} is ready already; --again makes it anew")
            return made
        tell(f"making {environment.path}: {why}")
        _clear(environment)
        try:
            return _make(environment, uv, options, lock, tell)
        except BaseException:
            _clear(environment)
            raise


def lock(environment: Environment, sources: Sources, tell: Tell) -> Path:
    """Write down what is installed, with hashes, as the file that `create` follows from now on.

    Raises:
        BenchError: If the environment was never finished, or the hashes cannot be had.
    """
    made = environment.made()
    if made is None:
        raise BenchError(
            f"there is no finished environment at {environment.path}; make it with: "
            f"bench env create {environment.adapter}"
        )
    backend = sources.torch_backend or comment(_read(environment.lock), BACKEND)
    sources = Sources(sources.find_links, sources.no_index, backend)
    found = find_uv().resolve(environment.python, frozen(environment), sources, tell, constraints=None, complete=True)
    text = _headed(environment, found, sources)
    with _alone(environment):
        write_atomically(environment.lock, text)
        write_record(environment.path / MARKER, made.model_copy(update={"lock_sha256": lock_digest(text)}))
        write_atomically(environment.wish, text)
    return environment.wish


def remove(environment: Environment) -> None:
    """Remove an environment; its lock beside it stays.

    Raises:
        BenchError: If there is none, or the folder is none.
    """
    if not environment.path.is_dir():
        raise BenchError(f"there is no environment at {environment.path}; list them with: bench env list")
    if not (environment.path / "pyvenv.cfg").is_file():
        raise BenchError(f"{environment.path} is no virtual environment, so it is left alone; remove it by hand")
    with _alone(environment):
        shutil.rmtree(environment.path)


def _why_make(environment: Environment, options: Options, lock: str | None) -> str:
    """Return why the environment has to be made; empty if it is as wished for."""
    found: Condition = condition(environment)
    if found.state != "ready":
        return found.why
    made = environment.made()
    if options.again or made is None:
        return "asked for again"
    if lock is not None and lock_digest(lock) != made.lock_sha256:
        return "its lock has changed since it was made"
    return "what it shares has changed" if made.shared != options.share else ""


def _make(environment: Environment, uv: Uv, options: Options, lock: str | None, tell: Tell) -> EnvironmentInfo:
    uv.make(environment.path, options.python, tell)
    version = _version(environment.python)
    if options.share and version != platform.python_version():
        raise BenchError(
            f"--share needs the Python that runs bench, {platform.python_version()}, not {version}: compiled packages "
            "serve one of them only; leave out --share or --python"
        )
    sources = _with_backend_of(options.sources, lock)
    if lock is None:
        file = adapter_folder(environment.adapter) / "requirements.txt"
        resolved = uv.resolve(
            environment.python,
            [] if options.share else worker_requirements(),
            sources,
            tell,
            files=[file] if file.is_file() else [],
            constraints=_constraints(environment.adapter),
            complete=False,
        )
        lock = _headed(environment, resolved, sources)
    write_atomically(environment.path / LOCK, lock)
    if entries(lock):
        tell(f"installing {len(entries(lock))} packages with {uv.name}")
        uv.install(environment.python, environment.path / LOCK, sources, tell)
    if options.share:
        _share(environment)
    made = EnvironmentInfo(
        adapter=environment.adapter,
        python=version,
        requirements_sha256=requirements_digest(environment.adapter),
        lock_sha256=lock_digest(lock),
        shared=options.share,
        installer=uv.name,
        made_at=utc_now(),
    )
    write_record(environment.path / MARKER, made)
    return made


def _constraints(adapter: str) -> Path | None:
    """Return the harness's versions, for its own adapters; one from outside may contradict them."""
    of_this_one = Path(sys.prefix) / "constraints.txt"  # made by make install, with the torch that serves the driver
    file = of_this_one if of_this_one.is_file() else harness_root() / "constraints.txt"
    own = adapter_folder(adapter).parent == harness_root() / "adapters"
    return file if own and file.is_file() else None


def _with_backend_of(sources: Sources, lock: str | None) -> Sources:
    """Return the sources with the build of torch that the lock holds, where no other is asked for."""
    if lock is None or sources.torch_backend is not None:
        return sources
    return Sources(sources.find_links, sources.no_index, comment(lock, BACKEND))


def _share(environment: Environment) -> None:
    """Let the environment find the running interpreter's packages, after its own."""
    folders = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    own = Path(_ask(environment.python, "import sysconfig; print(sysconfig.get_path('purelib'))"))
    fallback = sysconfig.get_path("purelib")
    write_atomically(own / SHARED, "".join(f"{path}\n" for path in dict.fromkeys([*folders, fallback])))


def _version(python: Path) -> str:
    return _ask(python, "import platform; print(platform.python_version())")


def _ask(python: Path, program: str) -> str:
    return printed_by(python, program, failed="was made, but does not run").strip()


def _headed(environment: Environment, lock: str, sources: Sources) -> str:
    """Return a lock that says what it is of."""
    version = _version(environment.python)
    lines = [
        f"# Environment of adapter {environment.adapter}; install it with: bench env create {environment.adapter}",
        f"# python: {version} on {platform.system()} {platform.machine()}",
        *([] if sources.torch_backend is None else [f"# {BACKEND}: {sources.torch_backend}"]),
    ]
    return "\n".join([*lines, *(line for line in lock.splitlines() if line.strip())]) + "\n"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"the lock {file} cannot be read: {error}; write one with: bench env lock ADAPTER") from None


def _clear(environment: Environment) -> None:
    """Remove what there is of an environment; anything else at its place is refused."""
    path = environment.path
    if not path.exists():
        return
    if not path.is_dir() or (any(path.iterdir()) and not (path / "pyvenv.cfg").is_file()):
        raise BenchError(
            f"{path} is there and no virtual environment; remove it by hand, or choose another folder with --envs DIR"
        )
    # The marker goes first, so that what is left of an interrupted removal is not taken for whole.
    (path / MARKER).unlink(missing_ok=True)
    shutil.rmtree(path)


def _alone(environment: Environment) -> AbstractContextManager[TextIO]:
    """Hold an environment for writing; the lock goes when the process does."""
    environment.path.parent.mkdir(parents=True, exist_ok=True)
    busy = BenchError(f"another bench process is making {environment.path}; wait for it to end")
    return held(environment.path.with_name(f".{environment.name}.writing"), busy)
