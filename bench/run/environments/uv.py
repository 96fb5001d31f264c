"""Makes and fills environments with uv, https://docs.astral.sh/uv."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.errors import BenchError
from bench.run.environments.interpreters import all_hashed, entries, name_in, normal_name

Tell = Callable[[str], None]
"""Gets what is being done, a line at a time."""

NEVER = ("opencv-python", "opencv-contrib-python")
"""Put the same module in the same place as the headless build that the harness needs."""

_NO_NETWORK = re.compile(
    r"failed to fetch|dns error|connection|connect error|temporary failure|name resolution|network is unreachable"
    r"|request failed|newconnectionerror|operation timed out",
    re.IGNORECASE,
)
_DECORATION = re.compile(r"\x1b\[[0-9;]*m|[×╰╭│├─▶╴╵→]+")
_LONGEST_REASON = 700
_OTHER_PYTHON = "Install that Python, or give the path of another one with --python."


@dataclass(frozen=True)
class Sources:
    """State where packages come from, beside what uv's own configuration says.

    Attributes:
        find_links: Folders or pages with files of packages.
        no_index: Ask no package index.
        torch_backend: Build of torch: cpu, cu130, auto, … None = the index's own.
    """

    find_links: tuple[str, ...] = ()
    no_index: bool = False
    torch_backend: str | None = None

    @property
    def flags(self) -> list[str]:
        """Return the flags as uv takes them."""
        links = [word for link in self.find_links for word in ("--find-links", link)]
        return [*links, *(["--no-index"] if self.no_index else [])]


def find_uv() -> Uv:
    """Return the program beside the running interpreter, or on PATH; raises `BenchError` if there is none."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if found is None:
        raise BenchError(
            f"environments are made by uv, which is neither beside {sys.executable} nor on PATH. Install it with: "
            f"{sys.executable} -m pip install uv   (or as https://docs.astral.sh/uv says)"
        )
    return Uv(found)


class Uv:
    """Makes an environment, resolves requirements to a lock, and installs a lock."""

    def __init__(self, program: str) -> None:
        self._program = program

    @property
    def name(self) -> str:
        """Program and version, for the record."""
        return " ".join(_run([self._program, "--version"], "asking uv for its version").split()[:2])

    def make(self, folder: Path, python: str, tell: Tell) -> None:
        """Make an empty environment from an interpreter: a path, or a version that uv can find."""
        command = [self._program, "venv", "--python", python, str(folder)]
        _run(command, f"making {folder}", tell, fix=_OTHER_PYTHON)

    def resolve(
        self,
        python: Path,
        wanted: Sequence[str],
        sources: Sources,
        tell: Tell,
        *,
        files: Sequence[Path] = (),
        constraints: Path | None,
        complete: bool,
    ) -> str:
        """Return a lock of everything that is wanted, with the hashes of every file of each version for other machines.

        Args:
            python: Python of the environment.
            wanted: Requirements.
            files: Files with further ones.
            sources: Places that packages come from.
            tell: Gets progress.
            constraints: File with versions to keep to, or None; they are left where requirements contradict them.
            complete: True if the requirements are all there is: nothing that they depend on is added.
        """
        with _as_file(wanted) as asked, _as_file([f"{name} ; sys_platform == 'never'" for name in NEVER]) as overrides:
            command = [self._program, "pip", "compile", str(asked), *map(str, files), "--python", str(python)]
            command += ["--generate-hashes", "--no-header", "--no-annotate", "--overrides", str(overrides)]
            command += [*sources.flags, *_backend(sources)]
            if constraints is not None:
                # Versions of an earlier output are kept wherever the requirements allow them.
                output = asked.with_name("lock.txt")
                output.write_text(constraints.read_text(encoding="utf-8"), encoding="utf-8")
                command += ["--output-file", str(output)]
            found = _run(command, "resolving the requirements", tell)
        # With --no-deps, uv gives no hashes of files in folders.
        return _only(found, wanted) if complete else found

    def install(self, python: Path, lock: Path, sources: Sources, tell: Tell) -> None:
        """Install exactly what a lock lists, checked against its hashes."""
        command = [self._program, "pip", "install", "--python", str(python), "--no-deps", "--requirements", str(lock)]
        hashed = all_hashed(lock.read_text(encoding="utf-8"))
        command += ["--require-hashes"] if hashed else []
        _run([*command, *sources.flags, *_backend(sources)], "installing the packages", tell)


def _only(lock: str, wanted: Sequence[str]) -> str:
    """Return the entries of a lock that are wanted by name."""
    names = {normal_name(name_in(requirement)) for requirement in wanted}
    found = [entry for entry in entries(lock) if normal_name(name_in(entry)) in names]
    return "".join(entry.replace(" --hash=", " \\\n    --hash=") + "\n" for entry in found)


def _backend(sources: Sources) -> list[str]:
    return [] if sources.torch_backend is None else ["--torch-backend", sources.torch_backend]


@contextmanager
def _as_file(lines: Sequence[str]) -> Iterator[Path]:
    """A temporary requirements file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        yield file


def _run(command: Sequence[str], doing: str, tell: Tell | None = None, *, fix: str | None = None) -> str:
    """Run a program and return its standard output; what it says on standard error is progress.

    Raises:
        BenchError: If it fails, with its reason in one paragraph and what to do about it.
    """
    said: list[str] = []
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, text=True, errors="replace"
            )
        except OSError as error:
            raise BenchError(f"{doing} failed: {command[0]} cannot be run: {error.strerror}") from None
        with process:
            for line in process.stderr or ():
                said.append(line)
                if tell is not None and line.strip():
                    tell(f"{doing}: {line.strip()}")
        output.seek(0)
        text = output.read()
    if process.returncode != 0:
        raise BenchError(f"{doing} failed. {_explained(''.join(said) + text, fix)}")
    return text


def _explained(said: str, fix: str | None) -> str:
    """Return what uv said, as one paragraph with what to do about it."""
    reason = " ".join(_DECORATION.sub(" ", said).split())
    shortened = reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]} …"
    if fix is not None:
        return f"{shortened.rstrip('.')}. {fix}"
    if _NO_NETWORK.search(reason):
        fix = (
            "No package index can be reached: go online, or name a folder of downloaded packages with --find-links "
            "DIR --no-index."
        )
    else:
        fix = (
            "Fix the adapter's requirements.txt, or choose another Python with --python or other packages with "
            "--find-links."
        )
    return f"{shortened.rstrip('.')}. {fix}"


@contextmanager
def telling() -> Iterator[Tell]:
    """Progress: on a terminal one line that changes, elsewhere a line for each step."""
    console = Console(stderr=True)
    if not console.is_terminal:
        told: set[str] = set()

        def tell_step(line: str) -> None:
            step = line.partition(": ")[0]
            if step not in told:
                told.add(step)
                print(line, file=sys.stderr)

        yield tell_step
        return
    started = time.monotonic()
    with console.status("") as status:

        def tell(line: str) -> None:
            width = max(20, console.width - 12)
            status.update(f"{time.monotonic() - started:5.0f} s  {line[:width]}")

        yield tell
