"""Tests which job begins where: what measures is alone on its node, on machines of one kind, none waits for ever."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.records import Job, Recipe, Target
from bench.run.executor import MEASURING, Task, is_relative_to_machine, takes_several_gpus
from bench.run.executors.placement import Placement, PlacementQueue, Slot
from tests.bench.builders import make_job

KINDS = ("train", "export", "predict", "time", "profile", "throughput")


def job(number: int, kind: str = "predict", device: str = "cpu", **changes) -> Job:
    return make_job(kind=kind, key=f"{number:064x}", case_id=f"case {number}", target=Target(device=device), **changes)


def task(of: Job) -> Task:
    return Task(of, Path("/results/suite/run/jobs/one"), Path(sys.executable), 60.0)


def gpus(count: int, alike: str) -> tuple[Slot, ...]:
    return tuple(Slot(name=f"cuda:{n}", alike=alike, device="cuda", gpu=f"GPU-{n}") for n in range(count))


def begun(board: PlacementQueue) -> list[Placement]:
    return list(board.placed())


def check_rules(running: list[Placement], alike: str, *, share_node: bool) -> None:
    """The rules in their plainest form, over everything that runs at one moment."""
    for one in running:
        others = [other for other in running if other.node == one.node and other is not one]
        taken = [slot for other in others for slot in other.slots]
        assert not set(one.slots) & set(taken), "two jobs in one place"
        if one.task.job.kind in MEASURING and not share_node:
            assert others == [], "something runs beside a measurement"
        if is_relative_to_machine(one.task.job):
            assert one.slots[0].alike == alike, "measured on another kind of machine"
        if one.task.job.target.device == "cuda":
            assert one.slots[0].device == "cuda"


@pytest.mark.parametrize("seed", range(30))
def test_random_jobs_on_random_nodes_keep_the_rules_at_every_moment_and_all_end(seed):
    draw = random.Random(seed)
    nodes = {f"n{i}": gpus(draw.randint(1, 4), draw.choice("ab")) for i in range(draw.randint(1, 6))}
    nodes["first"] = gpus(2, "a")
    nodes["cpu"] = (Slot(alike="c", device="cpu"),)
    share = draw.random() < 0.5
    board = PlacementQueue(nodes, alike="a", share_node=share)
    jobs = [job(n, draw.choice(KINDS), draw.choice(["cpu", "cuda"])) for n in range(120)]
    for one in jobs:
        board.submit(task(one))
    running, ended = begun(board), set()
    while running:
        check_rules(running, "a", share_node=share)
        over = running.pop(draw.randrange(len(running)))
        ended.add(over.task.job.key)
        board.free(over)
        running += begun(board)
    assert ended == {one.key for one in jobs}
    assert board.stuck is None


def test_a_training_on_several_gpus_takes_the_node_and_sees_all_of_its_gpus():
    recipe = Recipe.model_validate({"budget": {"steps": 1}, "device": "cuda", "devices": 2})
    spread = job(1, "train", "cuda", recipe=recipe)
    assert takes_several_gpus(spread)
    board = PlacementQueue({"a": gpus(2, "x")}, alike="x")
    board.submit(task(spread))
    board.submit(task(job(2, "predict", "cuda")))
    (placement,) = begun(board)
    assert placement.gpus == "GPU-0,GPU-1"
    board.free(placement)
    assert [one.gpus for one in begun(board)] == ["GPU-0"]


def test_a_training_by_the_clock_runs_on_machines_like_the_one_that_measures_and_one_by_steps_on_any():
    board = PlacementQueue({"a": gpus(1, "fast"), "b": gpus(1, "slow")}, alike="fast")
    for number, budget in enumerate(({"seconds": 5}, {"seconds": 5}, {"steps": 5})):
        recipe = Recipe.model_validate({"budget": budget, "device": "cuda"})
        board.submit(task(job(number, "train", "cuda", recipe=recipe)))
    assert {(one.task.job.case_id, one.node) for one in begun(board)} == {("case 0", "a"), ("case 2", "b")}


def test_jobs_that_met_on_a_node_are_told_even_if_they_ended_before():
    board = PlacementQueue({"a": gpus(2, "x")}, alike="x", share_node=True)
    for number, kind in ((1, "time"), (2, "predict"), (3, "predict")):
        board.submit(task(job(number, kind, "cuda")))
    timed, first = sorted(begun(board), key=lambda one: one.task.job.key)
    board.free(first)
    (second,) = begun(board)
    assert {one.case_id for one in board.beside(timed)} == {"case 2", "case 3"}
    assert {one.case_id for one in board.beside(second)} == {"case 1"}


def test_a_node_that_is_lost_gets_no_further_job_and_its_jobs_find_another_place():
    board = PlacementQueue({"a": gpus(1, "x"), "b": gpus(1, "x")}, alike="x")
    one, other = job(1, "time", "cuda"), job(2, "time", "cuda")
    board.submit(task(one))
    board.submit(task(other))
    placements = {placement.node: placement for placement in begun(board)}
    (lost,) = board.lose("a")
    assert lost is placements["a"]
    board.submit(lost.task)
    assert begun(board) == []
    board.free(placements["a"])  # its end is told late
    assert begun(board) == []
    board.free(placements["b"])
    assert [placement.node for placement in begun(board)] == ["b"]
    board.lose("b")
    board.submit(task(one))
    assert (begun(board), board.stuck) == ([], "cuda")


def test_a_job_that_has_no_place_anywhere_is_refused_before_anything_begins():
    board = PlacementQueue({"here": (Slot(name="cpu:0-3", alike="x", device="cpu"),)}, alike="x")
    board.check([job(1)])
    with pytest.raises(BenchError, match=r"device is 'cuda'.*there are cpu:0-3"):
        board.check([job(1), job(2, "time", "cuda")])


def test_places_are_found_in_a_time_that_does_not_grow_with_nodes_or_with_jobs_that_wait():
    def seconds(nodes: int, jobs: int) -> float:
        board = PlacementQueue({f"n{i}": gpus(4, "x") for i in range(nodes)}, alike="x")
        tasks = [task(job(n, KINDS[n % 6], "cuda")) for n in range(jobs)]
        started = time.process_time()
        for one in tasks:
            board.submit(one)
        running = begun(board)
        while running:
            board.free(running.pop())
            running += begun(board)
        return time.process_time() - started

    seconds(10, 100)
    small, large = min(seconds(50, 400) for _ in range(3)), min(seconds(500, 4000) for _ in range(2))
    assert large < 30 * small  # ten times as many of both: 10 if it is linear, 100 if it is not
