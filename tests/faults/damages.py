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
    "link to nowhere": lambda path, chance: (path.unlink(), path.symlink_to("nowhere")),
}
REPORT = ["report", "--as", "json"]
VIEWS = ("report.md", "report.html", ".jpg", ".png", "results.csv", "results.json", "worker.log", ".lock",
         "sbom.cdx.json", "suite.yaml", "progress.json")  # fmt: skip
"""What no number of a report is read from."""


def campaign(tally: Tally, folder: Path, budget: Budget, seed: int) -> None:
    """Damage a file of a copy of a run, and ask for its report, its scores, what would run and its repetition."""
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
    commands = {
        "report": REPORT,
        "check": ["check", str(suite)],
        "repro": ["repro", "--dry-run"],
        "score": ["score"],
    }
    left = budget.left(tally)
    while left():
        file, (how, damage) = chance.choice(files), chance.choice(list(DAMAGES.items()))
        if (results / file).name in VIEWS and how in ("folder", "pipe", "link to nowhere"):
            continue
        command = chance.choices(list(commands), weights=(6, 3, 1, 1))[0]
        damage(results / file, chance)
        code, said, out = answered([*commands[command], "--results", str(results)])
        failure = None if code in (0, 1, 2) else f"{file} {how}: exit code {code}: {said[-300:]}"
        if failure is None and command == "report" and code == 0:
            failure = _wrong_numbers(_shown(out), expected, f"{file} {how}")
        tally.add(f"damaged file, {command}", failure)
        if command == "score":
            shutil.rmtree(results)
            shutil.copytree(whole, results)
        else:
            _restore(results / file, whole / file)


def _shown(report: str) -> dict[str, tuple[object, object]]:
    """Case -> its headline and its median latency, as a report in JSON shows them."""
    summary = RunSummary.from_json(report)
    return {row.case_id: (row.headline and row.headline.value, row.comparable_ms) for row in summary.rows}


def _wrong_numbers(found: dict, expected: dict[str, tuple[object, object]], what: str) -> str | None:
    for case, values in found.items():
        for new, old in zip(values, expected.get(case, (None, None)), strict=True):
            if new is not None and new != old:
                return f"{what}: {case} shows {new} in place of {old}"
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
