"""A seal: the SHA-256 of every file of a run in one text, for `ssh-keygen -Y sign` and for `sha256sum -c`."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.errors import BenchError
from bench.records.damage import content_of
from bench.records.store.files import content_sha256, write_atomically
from bench.records.store.layout import RunFolder

SEAL = "seal.sha256"
SIGNATURE = f"{SEAL}.sig"
NAMESPACE = "segbench"
"""This is what a signature is for: one that was made for another purpose does not count (ssh-keygen(1), -n)."""


def seal(run: RunFolder, key: Path | None) -> list[Path]:
    """Write the seal of a run, and sign it with a private key, or one that the user's agent holds the private part of.

    Returns:
        The files that were written.

    Raises:
        BenchError: If it cannot be signed.
    """
    (run.path / SIGNATURE).unlink(missing_ok=True)
    text = "".join(f"{sha256}  {name}\n" for name, sha256 in _files(run).items())
    write_atomically(run.path / SEAL, text)
    if key is None:
        return [run.path / SEAL]
    _ssh_keygen("sign", "-f", str(key), "-n", NAMESPACE, str(run.path / SEAL), why=f"--key {key}")
    return [run.path / SEAL, run.path / SIGNATURE]


def seal_differences(run: RunFolder) -> tuple[int, list[str]]:
    """Compare a run with its seal: number of files, and what is missing, changed or came since.

    Raises:
        BenchError: If the seal is not one.
    """
    sealed = dict(_entry(line) for line in content_of(run.path / SEAL).decode("utf-8", "replace").splitlines())
    now = _files(run)
    told = [
        f"{name} {'came after the seal' if name not in sealed else 'is missing' if name not in now else 'changed'}"
        for name in sorted({*sealed, *now})
        if sealed.get(name) != now.get(name)
    ]
    return len(sealed), told


def signer_of(run: RunFolder, allowed_signers: Path) -> str:
    """Return who signed the seal of a run, of those that are allowed to.

    Args:
        run: A run with a signed seal.
        allowed_signers: A file as ssh-keygen(1) describes it, a principal and a public key a line.

    Raises:
        BenchError: If nobody did, or the signature is not of this seal.
    """
    signature = run.path / SIGNATURE
    if not signature.is_file():
        raise BenchError(f"{run.path} has no {SIGNATURE}; sign its seal with: bench seal {run.path} --key FILE")
    why = f"--allowed-signers {allowed_signers}"
    found = _ssh_keygen("find-principals", "-s", str(signature), "-f", str(allowed_signers), why=why)
    principal = found.splitlines()[0].strip()
    _ssh_keygen(
        "verify",
        *("-f", str(allowed_signers), "-I", principal, "-n", NAMESPACE, "-s", str(signature)),
        why=why,
        message=content_of(run.path / SEAL),
    )
    return principal


def _files(run: RunFolder) -> dict[str, str]:
    """Return path in the run -> SHA-256, of every file but the seal itself and locks."""
    return {n: content_sha256(file) for n, file in run.lasting_files() if file.name not in (SEAL, SIGNATURE)}


def _entry(line: str) -> tuple[str, str]:
    sha256, separator, name = line.partition("  ")
    if not separator or len(sha256) != 64:
        raise BenchError(f"{SEAL} is damaged: {line[:80]!r} is not a SHA-256 and a file; seal the run again")
    return name, sha256


def _ssh_keygen(action: str, *words: str, why: str, message: bytes | None = None) -> str:
    try:
        done = subprocess.run(
            ["ssh-keygen", "-Y", action, *words], input=message or b"", capture_output=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{why}: ssh-keygen of OpenSSH 8.2 or later is needed ({error})") from None
    if done.returncode:
        said = " ".join((done.stderr + done.stdout).decode(errors="replace").split())
        raise BenchError(f"{why}: ssh-keygen -Y {action} refused: {said or 'it said nothing'}")
    return done.stdout.decode(errors="replace")
