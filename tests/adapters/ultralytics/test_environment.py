"""Nothing leaves the machine, nothing is written outside `out`, and the process stays as it was."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import torch

from adapters.ultralytics import environment
from bench.adapter import predict
from bench.errors import BenchError
from bench.records import Size, Target
from tests.adapters.rectangles import Recorder
from tests.adapters.ultralytics.yolo import built, images, recipe, scenes

ROOT = Path(__file__).resolve().parents[3]

OFFLINE = """
import json, os, socket, sys, urllib.request
attempts = []

def refuse(*args, **more):
    attempts.append(repr(args[-1] if args else more))
    raise OSError("no network in this test")

socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse

import subprocess
commands, popen = [], subprocess.Popen

class Watched(popen):
    def __init__(self, args, *more, **named):
        commands.append(args if isinstance(args, str) else list(map(str, args)))
        super().__init__(args, *more, **named)

subprocess.Popen = Watched

from pathlib import Path
from bench.adapter import predict
from tests.adapters.rectangles import Recorder
from adapters.ultralytics.adapter import Adapter  # before the framework is in
from bench.records import ModelSpec, Target
from tests.adapters.rectangles import INSTANCES, THREE_CLASSES, rectangles, short_recipe

before = dict(os.environ)
for kind, network, task in (("instance", "yolo11n-seg", INSTANCES), ("semantic", "yolo26n-sem", THREE_CLASSES)):
    model = ModelSpec(
        name="u/x", label="u/x", adapter="ultralytics", task=kind, description="", options={"network": network}
    )
    data = rectangles(4, 2, task=task)
    adapter = Adapter()
    adapter.build(model, task, Target(threads=1), None)
    result = adapter.train(data, short_recipe(budget={"steps": 2}), Path(sys.argv[1]) / kind, Recorder())
    adapter.build(model, task, Target(threads=1), result.weights)
    predict(adapter, [data.val.image(0)])
changed = sorted(name for name in before.keys() | os.environ.keys() if before.get(name) != os.environ.get(name))
programs = sorted({Path(command.split()[0] if isinstance(command, str) else command[0]).name for command in commands})
print(json.dumps({"attempts": attempts, "programs": programs, "changed": changed}))
"""


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.slow
def test_training_and_predicting_ask_nothing_of_the_network_and_write_nowhere_else(tmp_path):
    home, working, out = tmp_path / "no-such-home", tmp_path / "working", tmp_path / "out"
    working.mkdir()
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "YOLO_", "MPL", "PYTEST"))
    }
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(out)],
        cwd=working,
        env={**kept, "HOME": str(home), "PYTHONPATH": str(ROOT), "ULTRALYTICS_API_KEY": "ul_" + 40 * "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert (seen["attempts"], seen["changed"]) == ([], [])
    assert set(seen["programs"]) <= {"fc-list", "ldconfig"}  # matplotlib and ctypes look for local files
    assert not home.exists()
    assert tree(working) == []
    assert tree(out / "instance") == ["best.pt", "checkpoint.pt", "last.pt", *FRAMEWORKS_FILES]


FRAMEWORKS_FILES = ["ultralytics", "ultralytics/args.yaml", "ultralytics/weights"]


def shared_state():
    """All that a process shares between libraries, as comparable values."""
    return {
        "environment": dict(os.environ),
        "warnings": list(warnings.filters),
        "numpy": np.get_printoptions(),
        "torch": dict(torch._tensor_str.PRINT_OPTS.__dict__),
        "random": [random.getstate()[1][:5], np.random.get_state()[1][:5].tolist(), torch.get_rng_state().tolist()],
        "threads": [torch.get_num_threads(), cv2.getNumThreads()],
        "default": [torch.get_default_dtype(), torch.is_grad_enabled()],
        "deterministic": [torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic],
        "patched": [torch.save, PIL.Image.open],
        "folder": Path.cwd(),
    }


@pytest.mark.parametrize("kind", ["instance", "semantic"])
def test_building_training_and_predicting_leave_the_process_as_it_was(tmp_path, kind):
    cv2.setNumThreads(1)
    random.seed(1)
    before = shared_state()
    adapter = built(kind)
    predict(adapter, images(Size(24, 32)))
    assert shared_state() == before
    adapter.train(scenes(kind, 8, 2), recipe(2), tmp_path, Recorder())
    assert shared_state() == before


def test_the_threads_of_the_recipe_are_those_of_the_training_and_of_the_target_those_of_the_model(tmp_path):
    seen = []

    class Watching(Recorder):
        def step(self, **step):
            seen.append((torch.get_num_threads(), cv2.getNumThreads()))

    adapter = built(target=Target(threads=2))
    assert adapter.describe()["threads"]["torch"] == 2
    adapter.train(scenes("instance", 8, 2), recipe(2, threads=1), tmp_path, Watching())
    assert set(seen) == {(1, 1)}


def test_a_framework_that_came_in_by_another_door_is_refused(monkeypatch):
    monkeypatch.setattr(environment, "_private", [])
    with pytest.raises(BenchError, match="imported before its adapter could keep it off the network"):
        environment.import_framework()


def disturb_everything():
    os.environ["OMP_NUM_THREADS"] = "13"
    torch.set_printoptions(linewidth=20)
    np.set_printoptions(precision=1)
    torch.set_num_threads(3)
    torch.manual_seed(1)
    random.random()
    torch.save = print
    warnings.simplefilter("ignore")
    torch.use_deterministic_algorithms(True)
    raise ZeroDivisionError


def test_whatever_happens_within_the_process_is_put_back():
    before = shared_state()
    with pytest.raises(ZeroDivisionError), environment.contained():
        disturb_everything()
    assert shared_state() == before
