"""What lists multiply to, and what numbers hold, is bounded before anything of that size is made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.cli.main import main
from bench.datasets import phantoms, shapes
from bench.errors import DatasetError, SuiteError
from bench.records import Case
from bench.suite.expand import expand
from bench.suite.limits import device_name
from bench.suite.load import load_suite
from tests.bench.suites import perfect, write_suite

MINIMAL = "models: [unet/transposed]\ndatasets: [shapes]\n"
LONG = str(list(range(1, 300)))
TRAINED = "recipe: {{budget: {{steps: 2}}{}}}\n"


def cases(tmp_path: Path, text: str) -> tuple[Case, ...]:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    return expand(load_suite(path), auto_device="cpu", source=path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"targets: {{threads: {LONG}, batch_size: {LONG}}}\n", "its lists come to 89401 combinations"),
        (TRAINED.format(f", accumulate: {LONG}, batch_size: {LONG}"), "its lists come to 89401 combinations"),
        (
            TRAINED.format("") + f"seeds: {list(range(2000))}\ntargets: {{threads: {list(range(1, 502))}}}\n",
            "1002000 cases; at most 1000000 are allowed. Split it into suites.",
        ),
        ("measurement: {replicates: 1000000000}\n", "less than or equal to 1000. Given: 1000000000."),
        ("measurement: {block_s: 1.0e-300}\n", "greater than or equal to 0.001"),
        ("targets: {batch_size: 1000000000000}\n", "less than or equal to 100000"),
        ("targets: {threads: 1000000000}\n", "less than or equal to 65536"),
        ("throughput: {streams: 1000000000}\n", "less than or equal to 4096"),
        ("models: [{name: unet/transposed, weights: ''}]\ndatasets: [shapes]\n", "should have at least 1 character"),
        ("targets: {device: 'cuda:-1'}\n", "expected 'cpu', 'cuda', 'cuda:1', 'mps' or 'auto'"),
    ],
)
def test_what_a_suite_comes_to_is_bounded(tmp_path, text, said):
    with pytest.raises(SuiteError) as caught:
        cases(tmp_path, text if "models:" in text else MINIMAL + text)
    assert said in str(caught.value)


def test_lists_of_the_recipe_of_one_model_are_bounded_too(tmp_path):
    model = f"{{name: unet/transposed, recipe: {{batch_size: {LONG}, accumulate: {LONG}}}}}"
    with pytest.raises(SuiteError, match=r"models\[0\]\.recipe: its lists come to 89401 combinations"):
        cases(tmp_path, f"models: [{model}]\ndatasets: [shapes]\n" + TRAINED.format(""))


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:0", "cuda:127", "mps", "xpu:1", "auto"])
def test_names_of_devices_are_taken(name):
    assert device_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "cpu:0", "cuda:", "cuda:-1", "cuda:1000", "cuda:٣", "CUDA", "a b", "../x", "cuda:0\n"]
)
def test_what_cannot_be_a_device_is_refused(name):
    with pytest.raises(ValueError, match="expected 'cpu'"):
        device_name(name)


@pytest.mark.parametrize(
    ("module", "options"),
    [
        (shapes, {"size": (10**9, 10**9)}),
        (shapes, {"size": (2**15, 2**15 + 1)}),
        (phantoms, {"size": (10**4, 10**4), "slices": 11}),
    ],
)
def test_images_that_are_drawn_have_as_few_pixels_as_files(module, options):
    with pytest.raises(DatasetError, match="at most 1073741824 are allowed"):
        module.open_dataset(module.Options(**options))


def test_a_device_is_no_file_of_weights(tmp_path, capsys):
    suite = write_suite(tmp_path, [perfect(weights="/dev/zero")])
    assert main(["check", str(suite)]) == 2
    assert "/dev/zero is a pipe or a device; copy the weights to a file" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["pipe", "device", "folder"])
def test_what_is_no_file_is_no_suite_and_nothing_waits_for_it(tmp_path, what):
    path = tmp_path / "x.yaml"
    {"pipe": lambda: os.mkfifo(path), "device": lambda: path.symlink_to("/dev/zero"), "folder": path.mkdir}[what]()
    with pytest.raises(SuiteError, match="a folder, a pipe or a device, no file"):
        load_suite(path)
