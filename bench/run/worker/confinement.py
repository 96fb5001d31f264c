"""Limits where a worker may write: its job folder, caches and a temporary folder of its own, enforced by Landlock.

Landlock (landlock(7), Linux 5.13) lets a process give up rights on files for itself and whatever it starts. Where the
kernel has none, or the results lie in a place that workers may write in, as `/dev/shm`, `bench` compares the facts of a
run after each job, and nothing else stands between a model and them.

Everything here needs the standard library only: it takes effect before a framework is imported.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

WRITABLE = "BENCH_WRITABLE"
"""Variable with further folders that workers may write in, separated as in PATH."""

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""Numbers of the system calls, the same for every architecture that Python runs on (linux/unistd.h)."""
ASK_FOR_VERSION, PATH_BENEATH, PR_SET_NO_NEW_PRIVS = 1, 1, 38
WRITE_FILE, REMOVE_DIR, REFER, TRUNCATE = 1 << 1, 1 << 4, 1 << 13, 1 << 14
MAKE = sum(1 << bit for bit in range(6, 13))
"""Making devices, folders, files, sockets, pipes and links."""
OF_FILES = WRITE_FILE | TRUNCATE
"""Rights that a single file can have; the others are a folder's."""
REMOVE_FILE = 1 << 5

CACHES = (
    "XDG_CONFIG_HOME", "TORCH_HOME", "TORCH_EXTENSIONS_DIR", "TORCHINDUCTOR_CACHE_DIR", "HF_HOME",
    "HF_HUB_CACHE", "TRITON_CACHE_DIR", "TRITON_HOME", "CUDA_CACHE_PATH", "NUMBA_CACHE_DIR", "MPLCONFIGDIR",
    "YOLO_CONFIG_DIR", "MIOPEN_USER_DB_PATH", "MIOPEN_CUSTOM_CACHE_DIR",
)  # fmt: skip
"""Variables that name the folders in which libraries keep what they can make anew."""
USUAL_CACHES = (".cache", ".config", ".nv", ".triton", ".mxnet", ".paddle", ".keras")
"""The same below the user's home, where no variable names them."""
OF_THE_SYSTEM = ("/dev", "/proc")
"""Devices, shared memory, and what a process sets for itself there."""

_state = "after the job: facts of the run are compared"


def confine(folder: Path) -> None:
    """Give up the right to write elsewhere, for this process and all that it starts.

    Must be called before threads are started, which keep the rights of those that start them.
    """
    global _state
    temporary = _own_temporary(folder)
    version = _version()
    if version < 1:
        return
    if Path("/proc/driver/nvidia").exists() and not Path("/dev/nvidia-uvm").exists():
        return  # The driver makes its device by a program with the rights of root, which Landlock rules out.
    shared = list(_caches())
    try:
        _restrict(version, [folder, temporary, *shared])
    except OSError:
        return
    _state = f"own folder, caches and temporary folder only (Landlock, version {version})"
    jobs = folder.resolve().parent
    around = next((place for place in shared if jobs.is_relative_to(place.resolve())), None)
    if around is not None:
        _state = f"{around}, where the results lie: facts of the run are compared after the job (Landlock, {version})"


def confinement_in_words() -> str:
    """Return what keeps this process from writing elsewhere, for its record."""
    return _state


def is_confined() -> bool:
    """Return whether the kernel refuses this process to write elsewhere."""
    return "Landlock" in _state


def can_be_confined() -> bool:
    """Return whether this kernel could keep a worker from writing elsewhere, whatever the worker says."""
    return _version() >= 1


def temporary_of(folder: Path) -> Path:
    """Return the temporary folder of a job: short, as paths of sockets have at most 107 bytes (unix(7))."""
    name = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"bench-{os.getuid()}-{name}"


def _own_temporary(folder: Path) -> Path:
    """Make the temporary folder, and have this process and what it starts use it."""
    place = temporary_of(folder)
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise FileExistsError(place)
    except OSError:
        place = Path(tempfile.mkdtemp(prefix="bench-"))
    tempfile.tempdir = str(place)
    os.environ.update({name: str(place) for name in ("TMPDIR", "TMP", "TEMP")})
    return place


def _caches() -> Iterable[Path]:
    """Yield folders that libraries keep what they can make anew in; those that are asked for by name are made."""
    home = Path.home()
    usual = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    # torch.compile keeps kernels in the temporary folder otherwise, which each job has for itself.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(usual) / "segbench" / "inductor"))
    asked = [str(usual), *(os.environ.get(name, "") for name in CACHES)]
    for place in filter(None, [*asked, *os.environ.get(WRITABLE, "").split(os.pathsep)]):
        with contextlib.suppress(OSError):
            Path(place).mkdir(parents=True, exist_ok=True)
        yield Path(place)
    yield from (home / name for name in USUAL_CACHES)
    yield from map(Path, OF_THE_SYSTEM)


def _version() -> int:
    """Version of the kernel's Landlock; below 1 where it has none, or none that is switched on."""
    if sys.platform != "linux":
        return 0
    return int(_libc().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(ASK_FOR_VERSION)))


def _restrict(version: int, places: Iterable[Path]) -> None:
    """Keep the right to write below some places alone; those that are not there are passed over."""
    rights = WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE
    rights |= (REFER if version >= 2 else 0) | (TRUNCATE if version >= 3 else 0)
    handled = ctypes.c_uint64(rights)
    rules = _call(CREATE_RULESET, ctypes.byref(handled), ctypes.c_size_t(ctypes.sizeof(handled)), ctypes.c_uint32(0))
    try:
        for place in places:
            _allow(rules, place, rights)
        if _libc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "no_new_privs")
        _call(RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint32(0))
    finally:
        os.close(rules)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def _allow(rules: int, place: Path, rights: int) -> None:
    try:
        opened = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        own = rights if stat.S_ISDIR(os.fstat(opened).st_mode) else rights & OF_FILES
        rule = _PathBeneath(own, opened)
        _call(ADD_RULE, ctypes.c_int(rules), ctypes.c_int(PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(opened)


def _call(number: int, *words: object) -> int:
    result = int(_libc().syscall(number, *words))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
