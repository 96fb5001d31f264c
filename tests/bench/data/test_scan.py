"""A pass over a data set goes on where it was interrupted, and forgets what no longer holds."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time

import psutil
import pytest
from rich.console import Console

from bench.data.opening import Choice, opened
from bench.data.scan import FEW, Listed, Pass, look_at_all
from bench.errors import DatasetError
from bench.records.names import harness_root
from tests.bench.data.miniatures import copied, written

CONSOLE = Console(file=io.StringIO())


def area(dataset, image_id):
    """A look that another process can name."""
    size = dataset.size(image_id)
    return {"area": size.height * size.width}


def die(dataset, image_id):
    """A look that takes its process with it, as a crashing decoder does."""
    import os

    os._exit(3)


def shapes(images):
    choice = Choice("shapes", "shapes", {"size": [16, 24], "train": images})
    dataset = opened(choice)
    return choice, dataset, [Listed("train", image_id) for image_id in dataset.ids("train")]


def test_an_interrupted_pass_goes_on_where_it_was(tmp_path):
    choice, dataset, images = shapes(10)
    looked = []

    def stopped(dataset, image_id):
        if len(looked) == 6:
            raise KeyboardInterrupt
        looked.append(image_id)
        return area(dataset, image_id)

    with pytest.raises(KeyboardInterrupt):
        look_at_all(Pass("test", choice, dataset, stopped, 1, tmp_path), images, CONSOLE)
    before = list(looked)
    looked.clear()

    seen = look_at_all(Pass("test", choice, dataset, stopped, 1, tmp_path), images, CONSOLE)
    assert seen.remembered == 6
    assert before + looked == [image.image_id for image in images]
    assert seen.rows == {image.image_id: {"area": 384} for image in images}


def test_half_a_line_of_a_killed_process_is_not_believed(tmp_path):
    choice, dataset, images = shapes(4)
    task = Pass("test", choice, dataset, area, 1, tmp_path)
    look_at_all(task, images, CONSOLE)
    task.file.write_text(task.file.read_text()[:-9])
    seen = look_at_all(task, images, CONSOLE)
    assert seen.remembered == 3
    assert [json.loads(line)[0] for line in task.file.read_text().splitlines()] == [i.image_id for i in images]


def test_another_option_or_another_version_is_another_cache(tmp_path):
    choice, dataset, _ = shapes(4)
    files = {
        Pass("test", choice, dataset, area, 1, tmp_path).file,
        Pass("test", choice, dataset, area, 2, tmp_path).file,
        Pass("test", Choice("shapes", "shapes", {**choice.options, "seed": 5}), dataset, area, 1, tmp_path).file,
    }
    assert len(files) == 3


def test_what_was_seen_of_another_split_is_kept(tmp_path):
    exported = written("voc", tmp_path / "voc")
    choice = copied(exported, tmp_path / "copy")
    dataset = opened(choice)
    task = Pass("test", choice, dataset, area, 1, tmp_path / "cache")
    train = [Listed("train", image_id) for image_id in dataset.ids("train")]
    val = [Listed("val", image_id) for image_id in dataset.ids("val")]
    look_at_all(task, train, CONSOLE)
    look_at_all(task, val, CONSOLE)
    assert look_at_all(task, train, CONSOLE).remembered == 20


def test_processes_give_the_rows_in_the_order_asked_for(tmp_path):
    choice, dataset, images = shapes(FEW + 20)
    seen = look_at_all(Pass("test", choice, dataset, area, 1, tmp_path, jobs=2), images, CONSOLE)
    assert list(seen.rows) == [image.image_id for image in images]


def test_a_process_that_dies_is_told_in_one_paragraph(tmp_path):
    choice, dataset, images = shapes(FEW + 20)
    with pytest.raises(DatasetError) as refused:
        look_at_all(Pass("test", choice, dataset, die, 1, tmp_path, jobs=2), images, CONSOLE)
    assert str(refused.value) == (
        "shapes: a process that was reading images died, from a lack of memory or a file that crashes the decoder. "
        "The same command goes on from here; with --jobs 1 it needs the least memory."
    )


def test_a_terminal_gets_a_bar_and_anything_else_nothing(tmp_path):
    choice, dataset, images = shapes(4)
    terminal, file = io.StringIO(), io.StringIO()
    look_at_all(
        Pass("test", choice, dataset, area, 1, tmp_path / "one"), images, Console(file=terminal, force_terminal=True)
    )
    look_at_all(Pass("test", choice, dataset, area, 1, tmp_path / "two"), images, Console(file=file))
    assert "test shapes" in terminal.getvalue()
    assert file.getvalue() == ""


@pytest.mark.slow
def test_a_killed_command_leaves_no_process_behind(tmp_path):
    words = ["data", "check", "shapes", "--set", "train=100000", "--set", "size=[64, 64]", "--jobs", "2"]
    command = subprocess.Popen(
        [sys.executable, "-m", "bench.cli.main", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(harness_root())},
    )
    try:
        deadline = time.monotonic() + 60
        children: list[psutil.Process] = []
        while len(children) < 2 and time.monotonic() < deadline:
            children = psutil.Process(command.pid).children()
            time.sleep(0.05)
        assert len(children) == 2
    finally:
        command.kill()
        command.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
