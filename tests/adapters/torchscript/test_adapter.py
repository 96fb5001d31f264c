"""TorchScript files: colour pickers whose answers follow from the pixels, scripted and traced."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make install")

from adapters._torch.runtimes.cpu_sessions import SessionSettings
from adapters.torchscript.session import TorchScriptSession
from bench.adapter import load_adapter, predict
from bench.errors import BenchError, Unsupported
from bench.records import ClassSpec, ModelSpec, Size, Target, TaskSpec
from tests.adapters.onnxruntime.test_adapter import COLOURS, drawn
from tests.adapters.test_contract import MIXED, checked

TASK = TaskSpec(kind="semantic", classes=tuple(ClassSpec(name=n, colour=(i, i, i)) for i, n in enumerate(COLOURS)))


class Tensors(torch.nn.Module):
    """Logits are the channels themselves: the strongest colour wins."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, pixels):
        return pixels * self.weight


class Dictionary(Tensors):
    def forward(self, pixels):
        return {"out": pixels * self.weight, "aux": -pixels}


class Pair(Tensors):
    def forward(self, pixels):
        return -pixels, pixels * self.weight


def scripted(folder, kind=Tensors):
    torch.jit.script(kind()).save(str(folder / "m.pt"))
    return folder / "m.pt"


def built(file, task=TASK, **options):
    adapter = load_adapter("torchscript")
    model = ModelSpec(
        name="torchscript/file", label="mine", adapter="torchscript", task=task.kind, description="", options=options
    )
    adapter.build(model, task, Target(threads=1), file)
    return adapter


def answers_right(adapter):
    pairs = drawn((24, 40), (33, 17))
    for found, (_, ground_truth) in zip(predict(adapter, [image for image, _ in pairs]), pairs, strict=True):
        np.testing.assert_array_equal(found.labels, ground_truth)


def test_a_scripted_network_answers_images_of_several_sizes(tmp_path):
    adapter = built(scripted(tmp_path))
    checked(adapter, MIXED, TASK)
    answers_right(adapter)
    assert adapter.describe()["threads"]["torch"] == 1


def test_a_traced_network_of_one_size_is_given_that(tmp_path):
    with torch.no_grad():
        torch.jit.trace(Tensors(), torch.zeros(1, 3, 32, 32)).save(str(tmp_path / "m.pt"))
    answers_right(built(tmp_path / "m.pt", input={"size": [64, 64], "interpolation": "nearest"}))


@pytest.mark.parametrize(("kind", "output"), [(Dictionary, None), (Dictionary, "out"), (Pair, "1")])
def test_the_output_is_the_first_or_the_one_that_is_asked_for(tmp_path, kind, output):
    answers_right(built(scripted(tmp_path, kind), **({} if output is None else {"output": output})))


def test_an_output_that_is_not_there_is_told_with_those_that_are(tmp_path):
    with pytest.raises(BenchError, match=r"no output named 'mask'; the file has out, aux"):
        built(scripted(tmp_path, Dictionary), output="mask")


def test_a_state_dict_is_no_torchscript_and_torchscript_no_state_dict(tmp_path):
    torch.save(Tensors().state_dict(), tmp_path / "w.pt")
    with pytest.raises(BenchError, match="cannot be run as TorchScript"):
        built(tmp_path / "w.pt")
    from adapters._torch.weight_files import read_weight_file

    with pytest.raises(BenchError, match=r"run it as it is: \{name: torchscript/file"):
        read_weight_file(scripted(tmp_path), "x")


def test_an_input_that_it_fails_on_is_unsupported_by_its_shape(tmp_path):
    class Narrow(Tensors):
        def forward(self, pixels):
            return pixels.reshape(1, 3, 32, 32) * self.weight

    session = TorchScriptSession(scripted(tmp_path, Narrow), SessionSettings(1), output=None, size=Size(32, 32))
    assert session.run(np.zeros((1, 3, 32, 32), np.float32), ("output",))[0].shape == (1, 3, 32, 32)
    with pytest.raises(Unsupported, match=r"input of shape \[1, 3, 9, 9\]"):
        session.run(np.zeros((1, 3, 9, 9), np.float32), ("output",))
