"""Lock files: what is in an environment, package by package, with the hashes it was checked against.

The form is pip's requirements file. Comments and order do not count, so that a digest says whether two
environments hold the same.
"""

from __future__ import annotations

import hashlib

from bench.run.environments.interpreters import name_in, normal_name


def lock_digest(text: str) -> str:
    """Return the SHA-256 of a lock's entries: comments, blanks and their order do not count."""
    return hashlib.sha256("\n".join(sorted(entries(text))).encode()).hexdigest()


def entries(lock: str) -> list[str]:
    r"""Return the entries of a lock, each in one line.

    >>> entries("# made by\nnumpy==2.1.0 \\\n    --hash=sha256:ab\n\n")
    ['numpy==2.1.0 --hash=sha256:ab']
    """
    lines = [line for line in lock.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in joined if line.strip()]


def pins(lock: str) -> list[str]:
    r"""`name==version` of a lock's entries, names normalised; entries by address are `name @ address`.

    Entries for some machines only, which have a marker, are left out.

    >>> pins("Pillow==11.0 --hash=sha256:ab\npywin32==306 ; sys_platform == 'win32'\n")
    ['pillow==11.0']
    """
    found = []
    for entry in (entry for entry in entries(lock) if " ;" not in entry):
        requirement = entry.split(" --hash", 1)[0].strip()
        name = name_in(requirement)
        found.append(normal_name(name) + requirement[len(name) :])
    return found


def all_hashed(lock: str) -> bool:
    """Return whether every entry has a hash; what comes from a repository has none."""
    return all("--hash=" in entry for entry in entries(lock))


def comment(lock: str, name: str) -> str | None:
    r"""Return what a lock states about itself under a name, in a comment of the form `# name: value`.

    >>> comment("# torch-backend: cpu\nnumpy==2.1.0\n", "torch-backend")
    'cpu'
    """
    prefix = f"# {name}: "
    return next((line[len(prefix) :].strip() for line in lock.splitlines() if line.startswith(prefix)), None)
