"""Settles a job that has ended: its outcome, doubts about it, and its facts in the manifest of the run."""

from __future__ import annotations

from collections import Counter

from bench.errors import few
from bench.records import Flag, Job, Outcome
from bench.records.store.files import State
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import damage_of, fact_states, facts_of_job, record_facts
from bench.records.store.runs import read_job
from bench.run.environments.record import record_environment
from bench.run.executor import MEASURING, Ended
from bench.run.outcome import flagged, noted, settle, settle_lost
from bench.run.worker.confinement import can_be_confined

CONFINED = "writes: own folder"
"""A worker's note begins so where Landlock held it; see `worker/confinement.py`."""

WROTE_ELSEWHERE = "wrote_elsewhere"


class Settling:
    """Settles the jobs of one run; the caller holds the run's lock."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._known: dict[str, State | None] = {}
        self._lost: dict[str, list[str]] = {}

    def begin(self) -> None:
        """Remember what the facts of the run are like before its first job can change them."""
        self._known = fact_states(self._run)

    def lost(self, event: Ended) -> None:
        """Remember that a job was begun where it could not end."""
        self._lost.setdefault(event.task.job.key, []).append(event.lost)

    def settled(self, event: Ended) -> Outcome:
        """Return the outcome of a job, and make sure that it and its facts are on disk."""
        folder = self._run.jobs / event.task.folder.name
        view = read_job(folder)
        if event.end is None:
            outcome = settle_lost(event.task.job, folder, event.lost, started_at=event.started_at)
        else:
            limit = event.task.timeout_s
            outcome = settle(folder, event.end, started_at=event.started_at, timeout_s=limit, left=view)
        for flag in self._doubts(event, outcome):
            outcome = flagged(folder, outcome, flag)
        if event.beside:
            outcome = noted(folder, outcome, f"beside: {_kinds(event.beside)} of this run")
        if view is not None and view.job.provenance is not None:
            record_environment(self._run, view.job.provenance.environment)
        record_facts(self._run, facts_of_job(folder))
        return outcome

    def _doubts(self, event: Ended, outcome: Outcome) -> list[Flag]:
        key = event.task.job.key
        found: list[Flag] = []
        if elsewhere := self._written_elsewhere(outcome):
            seen = f"while it ran, {few(elsewhere, 3)} outside of its folder changed"
            found.append(Flag(name=WROTE_ELSEWHERE, seen=f"{seen}; the next run does what is damaged again"))
        if lost := self._lost.pop(key, []):
            found.append(Flag(name="node_lost", seen=f"it was begun {len(lost)} times before: {'; '.join(lost)}"))
        if event.beside and event.task.job.kind in MEASURING:
            others = f"{len(event.beside)} other jobs of this run were carried out on its machine while it ran"
            advice = "leave --share-node out, so that what is measured has the machine to itself"
            found.append(Flag(name="shared_node", seen=f"{others} ({_kinds(event.beside)})", advice=advice))
        return found

    def _written_elsewhere(self, outcome: Outcome) -> list[str]:
        """Return facts that were changed while a job ran, which its kernel did not keep from writing anywhere."""
        if can_be_confined() and any(note.startswith(CONFINED) for note in outcome.facts.notes):
            return []  # nothing is looked at: with every job there are more facts
        known, now = self._known, fact_states(self._run)
        self._known = now
        changed = [name for name, state in now.items() if known.get(name) != state]
        # What the run itself wrote meanwhile, as scores of another case, is as the manifest says.
        return [name for name in changed if damage_of(self._run, self._run.path / name) is not None]


def _kinds(jobs: tuple[Job, ...]) -> str:
    """Return how many jobs of each kind there are: `2 predict, 1 train`."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(job.kind for job in jobs).items()))
