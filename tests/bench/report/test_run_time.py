"""Where the wall time of a run went, told by the records of its jobs and of its commands."""

from __future__ import annotations

import pytest

from bench.cli.main import main
from bench.errors import BenchError
from bench.records import Outcome, read_record
from bench.records.store import layout
from bench.records.store.files import write_record
from bench.records.store.run_times import CommandTime, add_command_time, command_times
from bench.records.store.runs import newest_run, read_run
from bench.report.run_time import PREDICTIONS, REST, SAMPLING, TRAINING, as_sentence, as_table, run_time
from tests.bench.suites import perfect, write_suite

SPENT = {
    "train": {"build": 1.0, "train": 20.0, "validate": 2.0, "other": 3.0},
    "predict": {"predict": 4.0},
    "time": {"warm_up": 1.0, "sample": 2.0, "audit": 0.5, "of a later version": 9.0},
}
PROCESS_S = 0.25


@pytest.fixture
def counted(finished):
    """A run whose jobs say what they did; of each kind of job all took the same."""
    for file in finished.run.jobs.glob(f"*/{layout.OUTCOME}"):
        outcome = read_record(Outcome, file)
        spent = SPENT[file.parent.name.partition("-")[0]]
        known = sum(s for phase, s in spent.items() if phase != "of a later version")
        facts = outcome.facts.model_copy(update={"phases_s": spent})
        write_record(file, outcome.model_copy(update={"facts": facts, "wall_s": known + PROCESS_S}))
    finished.run.manifest.unlink(missing_ok=True)
    finished.run.manifest_head.unlink(missing_ok=True)
    return finished.run


def jobs_of(run, kind: str) -> int:
    return len(list(run.jobs.glob(f"{kind}-*")))


def test_every_second_of_jobs_and_commands_is_of_one_row(counted):
    jobs = {kind: jobs_of(counted, kind) for kind in SPENT}
    assert all(jobs.values()), jobs
    add_command_time(
        counted, CommandTime(ended_at="t", wall_s=30.0, phases_s={"plan": 5.0, "jobs": 20.0, "start": 2.0})
    )
    add_command_time(counted, CommandTime(ended_at="t", wall_s=1.0, phases_s={"plan": 1.0}))
    time = run_time(read_run(counted), command_times(counted).commands)
    expected = {
        "train": 20.0 * jobs["train"],
        "validate": 2.0 * jobs["train"],
        "predict": 4.0 * jobs["predict"],
        "audit": 0.5 * jobs["time"],
        "process": PROCESS_S * sum(jobs.values()),
        "plan": 6.0,
        "start": 2.0,
        "between": 30.0 - 27.0,
    }
    assert {phase: time.seconds[phase] for phase in expected} == pytest.approx(expected)
    assert sum(time.share(kind) for kind in (TRAINING, SAMPLING, PREDICTIONS, REST)) == pytest.approx(1.0)
    assert time.share(TRAINING) == pytest.approx(22.0 * jobs["train"] / time.total_s)
    assert time.share(SAMPLING) == pytest.approx(3.0 * jobs["time"] / time.total_s)
    assert f"took {time.total_s:.0f} s: training {100 * time.share(TRAINING):.0f} %" in as_sentence(time)
    assert "audits of timings" in as_table(time)


@pytest.mark.parametrize("line", [b'{"ended_at": "t", "wall', b"", b"null", b"\xff\xfe", b"[" * 5000])
def test_a_command_whose_line_is_damaged_is_counted_and_named_and_the_next_one_is_not_lost(counted, capsys, line):
    one = CommandTime(ended_at="t", wall_s=3.0, phases_s={"plan": 1.0})
    add_command_time(counted, one)
    with (counted.path / layout.TIMES).open("ab") as file:  # the disk was full, then it had room again
        file.write(line or b"\n")
    add_command_time(counted, one)
    times = command_times(counted)
    assert times.commands == (one, one)
    assert times.damage == "times.jsonl is damaged: 1 of 3 commands are not counted (line 2)"
    assert main(["explain", str(counted.path), "--run-time"]) == 0
    assert f"note: {times.damage}" in capsys.readouterr().out


@pytest.mark.parametrize("seconds", ["-1.0", "NaN", "1e999", '"3"', "true"])
def test_a_time_that_no_command_can_take_is_damage(counted, seconds):
    (counted.path / layout.TIMES).write_text(f'{{"ended_at": "t", "wall_s": {seconds}, "phases_s": {{}}}}\n')
    assert command_times(counted).damage == "times.jsonl is damaged: 1 of 1 commands are not counted (line 1)"


def test_a_folder_in_the_place_of_the_times_is_told(counted):
    assert command_times(counted).damage is None
    (counted.path / layout.TIMES).mkdir()
    assert "is a folder, a pipe or a device" in command_times(counted).damage


def test_a_run_of_a_version_that_did_not_count_says_so(finished):
    with pytest.raises(BenchError, match="does not say where its time went"):
        run_time(read_run(finished.run), ())


def test_a_run_says_at_its_end_where_its_time_went_and_explain_says_more(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    measurement = {"quick": True, "min_s": 0.05, "max_s": 0.2, "warmup_min_s_cpu": 0.0, "pipelined_s": 0.05}
    suite = write_suite(tmp_path, [perfect()], measurement={**measurement, "images": 2, "block_s": 0.05})
    assert main(["run", str(suite)]) == 0
    said = capsys.readouterr().err
    assert "neither training nor sampling" in said
    run = newest_run(tmp_path / "results")
    (command,) = command_times(run).commands
    assert {"plan", "jobs", "start", "score", "report"} <= command.phases_s.keys()
    assert sum(command.phases_s.values()) <= command.wall_s
    assert main(["explain", "--run-time"]) == 0
    told = capsys.readouterr().out
    for row in ("warm-up", "latency samples", "throughput pass", "inference that is scored", "audits of timings"):
        assert row in told
    for job in (job for view in read_run(run).cases for job in view.jobs):
        assert sum(job.outcome.facts.phases_s.values()) <= job.outcome.wall_s


def test_a_second_in_which_two_predictions_ran_counts_once(counted):
    alone = run_time(read_run(counted), ()).seconds
    folders = sorted(folder.name for folder in counted.jobs.glob("predict-*"))
    job_s = SPENT["predict"]["predict"] + PROCESS_S
    shared = {folders[0]: job_s, folders[-1]: job_s / 4} if len(folders) > 1 else {folders[0]: job_s / 4}
    add_command_time(counted, CommandTime(ended_at="t", wall_s=0.0, phases_s={}, counted_s=shared))
    beside = run_time(read_run(counted), command_times(counted).commands).seconds
    assert alone["predict"] - beside["predict"] == pytest.approx(SPENT["predict"]["predict"] * 3 / 4)
    assert alone["process"] - beside["process"] == pytest.approx(PROCESS_S * 3 / 4)
    rest = {phase: s for phase, s in alone.items() if phase not in ("predict", "process")}
    assert {phase: beside[phase] for phase in rest} == pytest.approx(rest)
