from __future__ import annotations

import pytest
import torch

from adapters._torch.weights import load_weights, save_weights
from adapters.unet.adapter import make_unet
from bench.errors import BenchError
from tests.adapters.rectangles import THREE_CLASSES, TWO_CLASSES, small_unet


def saved(path, task=THREE_CLASSES, **options):
    network = make_unet(small_unet(**options), task)
    save_weights(network, network.module.state_dict(), path)
    return network


def load(path, task=THREE_CLASSES, **options):
    network = make_unet(small_unet(**options), task)
    load_weights(network, path, label="unet/test")
    return network


def test_saved_weights_come_back_bit_by_bit(tmp_path):
    written = saved(tmp_path / "w.pt").module.state_dict()
    read = load(tmp_path / "w.pt").module.state_dict()
    assert written.keys() == read.keys()
    assert all(torch.equal(written[name], read[name]) for name in written)


def test_a_bare_state_dict_of_the_same_shapes_is_taken(tmp_path):
    network = make_unet(small_unet(), THREE_CLASSES)
    torch.save(network.module.state_dict(), tmp_path / "w.pt")
    assert torch.equal(load(tmp_path / "w.pt").module.classify.weight, network.module.classify.weight)


def test_weights_serve_another_threshold(tmp_path):
    saved(tmp_path / "w.pt", TWO_CLASSES, head="sigmoid", threshold=0.5)
    assert load(tmp_path / "w.pt", TWO_CLASSES, head="sigmoid", threshold=0.4).head.threshold == 0.4


def test_weights_of_other_options_are_refused_by_name(tmp_path):
    saved(tmp_path / "w.pt", base_width=4)
    with pytest.raises(
        BenchError, match=r"unet/test: .*w\.pt was trained with other options: base_width is 4 in the file"
    ):
        load(tmp_path / "w.pt", base_width=8)


def test_weights_of_other_classes_are_refused_by_name(tmp_path):
    saved(tmp_path / "w.pt", TWO_CLASSES)
    with pytest.raises(BenchError, match=r"trained for the classes ground, red; this task has ground, red, green"):
        load(tmp_path / "w.pt")


def test_a_bare_state_dict_of_another_network_is_refused_by_tensor(tmp_path):
    torch.save({"classify.weight": torch.zeros(2, 2)}, tmp_path / "w.pt")
    with pytest.raises(BenchError, match=r"holds weights of another network: .* is missing in the file"):
        load(tmp_path / "w.pt")


def test_a_file_that_carries_code_is_refused(tmp_path):
    torch.save(torch.nn.Conv2d(1, 1, 1), tmp_path / "w.pt")
    with pytest.raises(BenchError, match=r"is not a weight file of plain tensors"):
        load(tmp_path / "w.pt")


def test_a_file_of_garbage_is_refused(tmp_path):
    (tmp_path / "w.pt").write_bytes(b"garbage")
    with pytest.raises(BenchError, match=r"is not a weight file of plain tensors"):
        load(tmp_path / "w.pt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BenchError, match=r"there is no weight file at .*w\.pt"):
        load(tmp_path / "w.pt")
