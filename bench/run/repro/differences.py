"""Lists what differs between the record of a run and this machine, and how each difference is put back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bench.records import Record
from bench.records.store.views import CaseView
from bench.suite.jobs import why_stale

AT_ITS_COMMIT = "the harness at its commit"
OF_THE_HARNESS = ("code", "records", "target", "protocol", "recipe", "profile", "throughput")
"""Parts of a key that the record fixes: where they differ, the harness has learned a new field since."""

_MACHINE = (
    ("system", ("system", "kernel")),
    ("distribution", ("system", "distribution")),
    ("C library", ("system", "libc")),
    ("processor", ("cpu", "model")),
    ("cores allowed", ("cpu", "cores_allowed")),
    ("clock governor", ("cpu", "governor")),
    ("boost", ("cpu", "boost")),
    ("in a container", ("system", "container")),
)
_SHOWN = 60


class Difference(Record):
    """One thing that is not as it was, shortened for reading; `put_back` makes it so, empty where nothing does."""

    subject: str
    recorded: str
    here: str
    put_back: str = ""


def machine_differences(recorded: Mapping[str, Any], here: Mapping[str, Any]) -> list[Difference]:
    """Compare two contents of `environment.json`: the harness's commit, the machine, its GPUs and their driver."""
    found = []
    commit = _at(recorded, ("git", "commit"))
    if commit != _at(here, ("git", "commit")):
        back = f"git worktree add ../segbench-{str(commit)[:8]} {commit}, and run bench from there" if commit else ""
        found.append(_difference("harness commit", commit, _at(here, ("git", "commit")), back))
    for whose, environment in (("recorded", recorded), ("present", here)):
        if _at(environment, ("git", "dirty")):
            found.append(
                Difference(
                    subject=f"{whose} harness",
                    recorded="changed after its commit" if whose == "recorded" else "",
                    here="changed after its commit" if whose == "present" else "",
                    put_back="" if whose == "recorded" else "git stash, or commit the changes",
                )
            )
    for subject, path in _MACHINE:
        if _at(recorded, path) != _at(here, path):
            found.append(_difference(subject, _at(recorded, path), _at(here, path)))
    for subject, key in (("GPUs", "name"), ("GPU driver", "driver"), ("GPU power limit", "power_limit_mw")):
        old, new = _of_gpus(recorded, key), _of_gpus(here, key)
        if old != new:
            back = f"install driver {old}" if key == "driver" and old and new else ""
            found.append(_difference(subject, old, new, back))
    return found


def key_differences(
    view: CaseView, kind: str, recorded: Mapping[str, str], here: Mapping[str, str], *, but_for: Iterable[str] = ()
) -> list[Difference]:
    """Compare what the keys of one job were made of, then and now, except for the parts that need not be equal."""
    adapter, found = f"adapter {view.case.model.adapter}", []
    for part in sorted({*recorded, *here} - {*but_for}):
        old, new = recorded.get(part), here.get(part)
        if old == new:
            continue
        if part == "packages":
            found.append(_packages(adapter, old or "", new or ""))
        elif part == "adapter source":
            changed = why_stale({part: old or ""}, {part: new or ""}).removeprefix(f"{part}: ")
            found.append(Difference(subject=f"source of {adapter}", recorded="", here=changed, put_back=AT_ITS_COMMIT))
        elif part == "machine":
            found.append(
                _difference("class of machine", old, new, "a machine of the same processor, cores, GPUs and memory")
            )
        else:
            of_harness = part in OF_THE_HARNESS
            whose = f"{kind} jobs" if of_harness else f"{view.case.model.label} on {view.case.dataset.label}"
            changed = why_stale({part: old or ""}, {part: new or ""}).removeprefix(f"{part}: ")
            back = AT_ITS_COMMIT if of_harness else ""
            found.append(Difference(subject=f"{part} of {whose}", recorded="", here=changed, put_back=back))
    return found


def once(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """Return each difference once, in the order they were found."""
    return tuple({difference.to_json(): difference for difference in differences}.values())


def _packages(adapter: str, recorded: str, here: str) -> Difference:
    gone = sorted({*recorded.split()} - {*here.split()})
    come = sorted({*here.split()} - {*recorded.split()})
    install = " ".join(pin.replace("=", "==", 1) for pin in gone)
    return Difference(
        subject=f"packages of {adapter}",
        recorded=" ".join(gone) or "not in the record",
        here=" ".join(come) or "not here",
        put_back=f"pip install {install}" if install else AT_ITS_COMMIT,
    )


def _difference(subject: str, recorded: object, here: object, put_back: str = "") -> Difference:
    return Difference(subject=subject, recorded=_shown(recorded), here=_shown(here), put_back=put_back)


def _shown(value: object) -> str:
    text = "unknown" if value is None else str(value)
    digest = len(text) in (40, 64) and all(c in "0123456789abcdef" for c in text)
    return text[:12] if digest else text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _at(environment: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = environment
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _of_gpus(environment: Mapping[str, Any], key: str) -> str:
    """Return a fact of every GPU, joined; empty where there is none (then `gpus` says why, in words)."""
    gpus = environment.get("gpus")
    return ", ".join(dict.fromkeys(str(gpu.get(key)) for gpu in gpus)) if isinstance(gpus, list) else ""
