from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

pytest.importorskip("detectron2", reason="Detectron2 is not installed; make install")

from bench.errors import BenchError
from bench.records import ClassSpec
from tests.adapters.detectron2.made import TASKS, built


def arrays(module):
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def saved(path: Path, module) -> Path:
    """The network's weights as Detectron2's zoo has them: a pickle of arrays, or a torch file."""
    if path.suffix == ".pkl":
        path.write_bytes(pickle.dumps({"model": arrays(module), "__author__": "test"}))
    else:
        torch.save({"model": module.state_dict(), "iteration": 7}, path)
    return path


@pytest.mark.parametrize("name", ["zoo.pkl", "final.pth"])
def test_weights_of_the_zoos_forms_are_loaded(tmp_path, name):
    source = built("semantic_fpn")._fresh_network(5).module
    loaded = built("semantic_fpn", weights=saved(tmp_path / name, source))._network.module
    assert all(torch.equal(tensor, source.state_dict()[key]) for key, tensor in loaded.state_dict().items())


def test_a_pickle_that_carries_code_is_refused_before_it_runs(tmp_path):
    class Runs:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    path = tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps({"model": {"weight": Runs()}}))
    with pytest.raises(
        BenchError, match=r"bad\.pkl' is not a weight file of plain tensors or arrays \(it holds pathlib"
    ):
        built("semantic_fpn", weights=path)
    assert not (tmp_path / "ran").exists()


def test_weights_for_other_classes_are_refused_where_the_framework_would_go_on_with_random_ones(tmp_path):
    path = saved(tmp_path / "three.pth", built("semantic_fpn")._fresh_network(5).module)
    more = (*TASKS["semantic"].classes, ClassSpec(name="fourth", colour=(0, 0, 255)))
    with pytest.raises(
        BenchError, match=r"another number of classes: sem_seg_head\.predictor tells 3 classes apart in the file"
    ):
        built("semantic_fpn", weights=path, task=TASKS["semantic"].model_copy(update={"classes": more}))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BenchError, match=r"none\.pkl' cannot be read"):
        built("semantic_fpn", weights=tmp_path / "none.pkl")


def test_a_moving_average_in_a_checkpoint_is_taken_as_everywhere(tmp_path):
    raw = built("semantic_fpn")._fresh_network(5).module.state_dict()
    average = {name: tensor + 1 for name, tensor in raw.items()}
    torch.save({"model": raw, "model_ema": average, "iteration": 7}, tmp_path / "final.pth")
    name = "sem_seg_head.predictor.weight"
    for options, expected in (({}, average), ({"weights_key": "model"}, raw)):
        loaded = built("semantic_fpn", weights=tmp_path / "final.pth", **options)._network.module.state_dict()
        assert torch.equal(loaded[name], expected[name])
