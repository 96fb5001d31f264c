"""Files of a finished run that are damaged in every way: each is a named row, and no number becomes another."""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import traceback
from pathlib import Path

from bench.cli.main import main
from bench.records.store.manifest import fact_states
from bench.records.store.runs import newest_run
from bench.report.summary.summarise import RunSummary
from tests.bench.suites import perfect, write_suite
from tests.faults.tally import Budget, Tally


def _bit(content: bytes, chance: random.Random) -> bytes:
    if not content:
        return b"x"
    place = chance.randrange(len(content))
    return content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :]


def _digit(content: bytes, chance: random.Random) -> bytes:
    places = [i for i, byte in enumerate(content) if byte in b"12345678"]
    if not places:
        return content + b"1"
    place = chance.choice(places)
    return content[:place] + bytes([content[place] + 1]) + content[place + 1 :]


def _twin(path: Path, chance: random.Random) -> Path:
    """Another file of the same kind in the same run, such as the same one of another case; the file where there is
    none."""
    run = next(parent for parent in path.parents if (parent / "jobs").is_dir())
    alike = [file for file in sorted(run.rglob(f"*{path.suffix}")) if file.is_file() and file != path]
    named = [file for file in alike if file.name == path.name]
    beside = [file for file in alike if file.parent == path.parent]
    return chance.choice(named or beside or [path])


def _link_to_twin(path: Path, chance: random.Random) -> None:
    twin = _twin(path, chance)
    if twin != path:
        path.unlink()
        path.symlink_to(twin)


DAMAGES = {
    "missing": lambda path, chance: path.unlink(),
    "empty": lambda path, chance: path.write_bytes(b""),
    "cut": lambda path, chance: path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size or 1)]),
    "bit": lambda path, chance: path.write_bytes(_bit(path.read_bytes(), chance)),
    "digit": lambda path, chance: path.write_bytes(_digit(path.read_bytes(), chance)),
    "noise": lambda path, chance: path.write_bytes(chance.randbytes(256)),
    "deep": lambda path, chance: path.write_text("[" * 100_000),
    "other type": lambda path, chance: path.write_text(chance.choice(["null", "7", "[]", '"x"', "{}"])),
    "folder": lambda path, chance: (path.unlink(), path.mkdir()),
    "pipe": lambda path, chance: (path.unlink(), os.mkfifo(path)),
    "of another case": lambda path, chance: path.write_bytes(_twin(path, chance).read_bytes()),
    "link to another case": _link_to_twin,
    "link to nowhere": lambda path, chance: (path.unlink(), path.symlink_to("nowhere")),
}
REPORT = ["report", "--as", "json"]
WEIGHTS = {"report": 6.0, "check": 3.0, "repro": 1.0, "compare": 1.0, "score": 1.0, "run": 0.3, "audit": 0.2}
"""How often each command is asked; the last three change the run, so that all of it is put back."""
VIEWS = ("report.md", "report.html", ".jpg", ".png", "results.csv", "results.json", "worker.log", ".lock",
         "sbom.cdx.json", "suite.yaml", "progress.json")  # fmt: skip
"""What no number of a report is read from."""


def campaign(tally: Tally, folder: Path, budget: Budget, seed: int) -> None:
    """Damage a file of a copy of a run, and give each of the commands that read one."""
    chance = random.Random(seed)
    results = folder / "damaged"
    suite = write_suite(
        folder, [perfect(), "fake/trains"], recipe={"budget": {"steps": 2}, "device": "cpu"}, name="dam"
    )
    quiet(["run", str(suite), "--results", str(results)])
    whole = folder / "whole"
    shutil.copytree(results, whole)
    expected = _shown(answered([*REPORT, "--results", str(results)])[2])
    files = [
        f.relative_to(results) for f in sorted(results.rglob("*")) if f.is_file() and not f.name.endswith(VIEWS[:2])
    ]
    other = folder / "other"
    shutil.copytree(newest_run(results).path, other)
    facts = set(fact_states(newest_run(results)))
    commands = {
        "report": REPORT,
        "check": ["check", str(suite)],
        "repro": ["repro", "--dry-run"],
        "score": ["score"],
        "compare": ["compare", str(other), str(newest_run(results).path)],
        "run": ["run", str(suite)],
        "audit": ["audit"],
    }
    left = budget.left(tally)
    while left():
        file, (how, damage) = chance.choice(files), chance.choice(list(DAMAGES.items()))
        if (results / file).name in VIEWS and how in ("folder", "pipe", "link to nowhere", "link to another case"):
            continue
        command = chance.choices(list(commands), weights=[WEIGHTS[name] for name in commands])[0]
        before = (results / file).read_bytes()
        damage(results / file, chance)
        code, said, out = answered([*commands[command], "--results", str(results)])
        failure = f"exit code {code}: {said[-300:]}" if code not in (0, 1, 2) else None
        if failure is None and command == "run":
            code, said, out = answered([*REPORT, "--results", str(results)])
            failure = None if code == 0 else f"no report after it was run again: {said[-300:]}"
        if failure is None and code == 0:
            unseen = _name_in_run(file) in facts and _content(results / file) != before
            failure = _wrong_answer(command, out, expected, unseen=unseen)
        tally.add(f"damaged file, {command}", failure and f"{file} {how}: {failure}")
        if command in ("score", "run", "audit"):
            shutil.rmtree(results)
            shutil.copytree(whole, results)
        else:
            _restore(results / file, whole / file)


def _name_in_run(file: Path) -> str:
    """The path of a file below its run, from that below the results."""
    return Path(*file.parts[2:]).as_posix()


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _shown(report: str) -> dict[str, tuple[object, object]]:
    """Case -> its headline and its median latency, as a report in JSON shows them."""
    summary = RunSummary.from_json(report)
    return {row.case_id: (row.headline and row.headline.value, row.comparable_ms) for row in summary.rows}


def _wrong_answer(command: str, out: str, expected: dict[str, tuple[object, object]], *, unseen: bool) -> str | None:
    """What is wrong with an answer that says that all is well; None if nothing is.

    Args:
        command: Command that gave it; of `run` the report that follows.
        out: What was printed.
        expected: The numbers of the undamaged run; timings that were measured again are others.
        unseen: Whether a fact of the run still is another than was written.
    """
    if command == "audit":
        return "audit sees nothing" if unseen else None
    if command not in ("report", "run"):
        return None
    for case, (score, latency) in _shown(out).items():
        old_score, old_latency = expected.get(case, (None, None))
        if score not in (None, old_score):
            return f"{case} shows {score} in place of {old_score}"
        if command == "report" and latency not in (None, old_latency):
            return f"{case} shows {latency} in place of {old_latency}"
    return None


def _restore(path: Path, source: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    shutil.copy2(source, path)


def quiet(words: list[str]) -> tuple[int, str]:
    """Exit code of a command, and what it said on standard error; -1 with the exception for one that was not told."""
    return answered(words)[:2]


def answered(words: list[str]) -> tuple[int, str, str]:
    """As `quiet`, and what the command printed."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
    except SystemExit as error:
        return int(error.code or 0), err.getvalue(), out.getvalue()
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return -1, f"{type(error).__name__}: {error} at {last.filename}:{last.lineno}", out.getvalue()
    return code, err.getvalue(), out.getvalue()
