"""Tests what a worker's environment holds before its interpreter starts."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench.measure.devices import allowed_cores
from bench.records import Target
from bench.run.worker.environment import THREAD_VARIABLES, in_effect, worker_environment
from tests.bench.builders import make_recipe


def test_every_library_gets_the_threads_of_the_target():
    environment = worker_environment(Target(threads=3), None)
    assert {environment[name] for name in THREAD_VARIABLES} == {"3"}


def test_a_training_gets_the_threads_of_its_recipe():
    environment = worker_environment(Target(threads=3), make_recipe(threads=2))
    assert environment["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize("recipe", [None, make_recipe()])
def test_threads_that_nobody_chose_are_one_per_allowed_core(recipe):
    assert worker_environment(Target(), recipe)["OMP_NUM_THREADS"] == str(len(allowed_cores()))


def test_sets_have_the_same_order_in_every_worker():
    def order() -> bytes:
        environment = {**os.environ, **worker_environment(Target(threads=1), None)}
        return subprocess.check_output([sys.executable, "-c", "print(set('abcdefgh'))"], env=environment)

    assert order() == order()


def test_what_is_in_effect_is_read_back_from_the_process(monkeypatch):
    for name in worker_environment(Target(), None):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.setenv("SECRET", "x")
    assert in_effect() == "OMP_NUM_THREADS=5"
