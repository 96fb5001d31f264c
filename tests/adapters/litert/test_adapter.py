"""Files of TensorFlow Lite: colour pickers whose answers follow from the pixels."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed; make install")

from adapters._torch.runtimes.cpu_sessions import SessionSettings
from adapters._torch.runtimes.litert_session import LiteRtSession
from bench.adapter import load_adapter, predict
from bench.errors import BenchError, Unsupported
from bench.records import ClassSpec, ModelSpec, Size, Target, TaskSpec
from tests.adapters.litert.made import colour_picker, dequantiser, with_metadata

COLOURS = ("red", "green", "blue")
TASK = TaskSpec(
    kind="semantic", classes=tuple(ClassSpec(name=name, colour=(i, i, i)) for i, name in enumerate(COLOURS))
)
IDENTITY = np.eye(3, dtype=np.float32)
"""Logits are the channels themselves: the strongest colour wins."""


CPU = Target()


def built(file, *, target=CPU, **options):
    adapter = load_adapter("litert")
    model = ModelSpec(
        name="litert/file",
        label="picker",
        adapter="litert",
        task="semantic",
        description="",
        options={"layout": "NHWC", **options},
    )
    adapter.build(model, TASK, target, file)
    return adapter


def image_of(height, width, seed=0):
    """Random colours without a tie."""
    return np.random.default_rng(seed).permuted(np.arange(height * width * 3) % 251).reshape(height, width, 3)


def test_the_strongest_colour_is_named_at_the_size_of_the_file(tmp_path):
    image = image_of(6, 9).astype(np.uint8)
    adapter = built(colour_picker(tmp_path / "a.tflite", IDENTITY, height=6, width=9))
    [found] = predict(adapter, [image])
    clear = np.sort(image, axis=2)[..., 2] != np.sort(image, axis=2)[..., 1]
    assert (found.labels == image.argmax(axis=2))[clear].all()


def test_sides_that_the_file_leaves_free_are_those_of_the_image(tmp_path):
    adapter = built(colour_picker(tmp_path / "a.tflite", IDENTITY, height=1, width=1, free=True))
    for size in ((5, 7), (8, 3), (5, 7)):
        image = image_of(*size).astype(np.uint8)
        [found] = predict(adapter, [image])
        clear = np.sort(image, axis=2)[..., 2] != np.sort(image, axis=2)[..., 1]
        assert (found.labels == image.argmax(axis=2))[clear].all()


def test_an_image_of_another_size_is_resized_to_the_files_and_back(tmp_path):
    image = np.zeros((40, 60, 3), dtype=np.uint8)
    image[:, :30, 1], image[:, 30:, 2] = 255, 255
    [found] = predict(built(colour_picker(tmp_path / "a.tflite", IDENTITY, height=20, width=30)), [image])
    assert found.labels.shape == (40, 60)
    assert (found.labels[:, :29] == 1).all()
    assert (found.labels[:, 31:] == 2).all()


def test_a_quantised_input_gets_the_numbers_that_stand_for_the_pixels(tmp_path):
    file = dequantiser(tmp_path / "a.tflite", height=4, width=5, scale=1 / 128, zero=128)
    session = LiteRtSession(file, SessionSettings(threads=1))
    wanted = np.linspace(-1.5, 1.5, 60, dtype=np.float32).reshape(1, 4, 5, 3)
    [found] = session.run(wanted, ("scores",))
    assert session.inputs[0].dtype == np.float32
    np.testing.assert_allclose(found, np.clip(wanted, -1, 127 / 128), atol=0.5 / 128)


def test_answers_are_not_overwritten_by_the_next_call(tmp_path):
    session = LiteRtSession(
        colour_picker(tmp_path / "a.tflite", IDENTITY, height=2, width=2), SessionSettings(threads=1)
    )
    [first] = session.run(np.zeros((1, 2, 2, 3), dtype=np.float32), ("scores",))
    session.run(np.ones((1, 2, 2, 3), dtype=np.float32), ("scores",))
    assert not first.any()


@pytest.mark.parametrize("content", [b"", b"not a model", b"TFL3" * 40])
def test_what_is_no_model_is_refused_with_its_path(tmp_path, content):
    file = tmp_path / "a.tflite"
    file.write_bytes(content)
    with pytest.raises(BenchError, match=r"a\.tflite cannot be run as a model of TensorFlow Lite"):
        built(file)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (
            Target(runtime="onnxruntime"),
            "which runtime onnxruntime does not take; use runtime eager",
        ),
        (Target(device="cuda"), "runs on the CPU"),
        (Target(precision="bf16"), "bf16 cannot be had; use fp32"),
        (Target(image_size=Size(8, 8)), "takes images of 6 x 9 alone"),
    ],
)
def test_what_a_file_cannot_do_is_refused_by_name(tmp_path, target, reason):
    file = colour_picker(tmp_path / "a.tflite", IDENTITY, height=6, width=9)
    with pytest.raises(Unsupported, match=reason):
        built(file, target=target)


@pytest.mark.parametrize(("scale", "zero", "mean"), [(1 / 255, 0, 0.0), (2 / 255, 128, 0.5)])
def test_a_quantised_input_that_stands_for_other_numbers_than_it_is_fed_is_flagged(tmp_path, scale, zero, mean):
    file = dequantiser(tmp_path / "m.tflite", height=8, width=8, scale=scale, zero=zero)
    image = np.zeros((8, 8, 3), np.uint8)

    def flags(**options):
        return [flag.name for flag in built(file, **options).doubts([image])]

    right, wrong = {"mean": mean, "std": 1 - mean}, {"mean": 0.5 - mean, "std": 0.5 + mean}
    assert "input_unlike_training" not in flags(**right)
    assert "input_unlike_training" in flags(**wrong)


@pytest.mark.parametrize(("scale", "zero", "mean"), [(1 / 255, 0, 0.0), (2 / 255, 127, 0.5), (1 / 128, 128, 0.5)])
def test_a_quantised_input_is_fed_what_its_range_stands_for_unless_somebody_says_otherwise(tmp_path, scale, zero, mean):
    file = dequantiser(tmp_path / "m.tflite", height=8, width=8, scale=scale, zero=zero)
    contract = built(file).describe()["input_contract"]
    assert (contract["mean"], contract["std"]) == ([mean] * 3, [1 - mean] * 3)
    assert contract["from"]["mean"].startswith("the range of its quantised input")
    assert built(file, mean=0.25, std=1).describe()["input_contract"]["mean"] == [0.25] * 3


def test_a_file_is_fed_and_read_as_the_metadata_of_tensorflow_lite_say(tmp_path):
    file = colour_picker(tmp_path / "m.tflite", IDENTITY[[2, 0, 1]], height=6, width=9)
    with_metadata(file, [127.5, 127.5, 127.5], [127.5], classes=["blue", "red", "green"])
    adapter = built(file)
    contract = adapter.describe()["input_contract"]
    assert (contract["mean"], contract["std"]) == ([0.5] * 3, [0.5] * 3)
    assert contract["from"]["mean"] == "the file's metadata"
    image = image_of(6, 9).astype(np.uint8)
    clear = np.sort(image, axis=2)[..., 2] != np.sort(image, axis=2)[..., 1]
    assert (predict(adapter, [image])[0].labels == image.argmax(axis=2))[clear].all()
    assert adapter.preprocess([np.full((6, 9, 3), 255, np.uint8)]).arrays[0].max() == pytest.approx(1)


def test_damaged_metadata_say_nothing(tmp_path):
    file = with_metadata(colour_picker(tmp_path / "m.tflite", IDENTITY, height=6, width=9), [0.0], [255.0])
    content = file.read_bytes()
    place = content.index(b"M001")
    file.write_bytes(content[: place - 4] + b"\xff" * 8 + content[place + 4 :])
    assert built(file).describe()["input_contract"]["from"]["mean"] == "the default"
