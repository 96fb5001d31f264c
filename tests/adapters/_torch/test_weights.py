from __future__ import annotations

import argparse
import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from adapters._torch.network import SemanticNetwork
from adapters._torch.weights import load_weights, save_weights
from adapters.unet.adapter import make_unet
from bench.errors import BenchError
from bench.records import ClassSpec, TaskSpec
from tests.adapters.rectangles import THREE_CLASSES, TWO_CLASSES, small_unet


def saved(path, task=THREE_CLASSES, **options):
    network = make_unet(small_unet(**options), task)
    save_weights(network, network.module.state_dict(), path)
    return network


def load(path, task=THREE_CLASSES, **options):
    network = make_unet(small_unet(**options), task)
    load_weights(network, path, label="unet/test")
    return network


def with_classes(names):
    return TaskSpec(kind="semantic", classes=tuple(ClassSpec(name=name, colour=(0, 0, 0)) for name in names))


def refusal(path, task=THREE_CLASSES, **options):
    with pytest.raises(BenchError) as refused:
        load(path, task, **options)
    return str(refused.value)


def assert_loaded(path, state):
    network = make_unet(small_unet(), THREE_CLASSES)
    loaded, read = load_weights(network, path, label="unet/test"), network.module.state_dict()
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], state[name]) for name in state if not name.endswith("num_batches_tracked"))
    return loaded


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
    assert refusal(tmp_path / "w.pt", base_width=8) == (
        f"unet/test: {tmp_path}/w.pt was trained with other options: base_width is 4 in the file and 8 in the model. "
        "Give the model the options of the file, or train it again."
    )


def test_weights_of_another_network_are_refused_by_name(tmp_path):
    network = make_unet(small_unet(), THREE_CLASSES)
    other = SemanticNetwork(network.module, network.head, {"network": "deeplabv3plus"}, network.class_names)
    save_weights(other, network.module.state_dict(), tmp_path / "w.pt")
    assert refusal(tmp_path / "w.pt") == (
        f"unet/test: {tmp_path}/w.pt was trained as another network: deeplabv3plus in the file, unet in the model. "
        "Choose a model config of the network in the file, or train this one."
    )


def test_weights_of_more_classes_are_refused_by_name_and_number(tmp_path):
    saved(tmp_path / "w.pt", TWO_CLASSES)
    assert refusal(tmp_path / "w.pt") == (
        f"unet/test: {tmp_path}/w.pt was trained for the classes ground, red; this task has ground, red, green. "
        "That is 2 in the file and 3 in the task. Say trained_on: [ground, red], which maps them by name, or train on "
        "this data set."
    )


@pytest.mark.parametrize(
    ("names", "how"),
    [
        (
            ("red", "ground", "green"),
            "They are the same in another order, so that each id would name another class",
        ),
        (("ground", "red", "blue"), "Both are 3, but ids would name other classes"),
    ],
)
def test_weights_of_as_many_other_classes_are_refused_by_name(names, how, tmp_path):
    saved(tmp_path / "w.pt", with_classes(names))
    assert refusal(tmp_path / "w.pt") == (
        f"unet/test: {tmp_path}/w.pt was trained for the classes {', '.join(names)}; this task has ground, red, green. "
        f"{how}. Say trained_on: [{', '.join(names)}], which maps them by name, or train on this data set."
    )


def test_a_bare_state_dict_of_another_number_of_classes_is_explained_by_layer(tmp_path):
    torch.save(make_unet(small_unet(), with_classes("abcdefgh")).module.state_dict(), tmp_path / "w.pt")
    assert refusal(tmp_path / "w.pt") == (
        f"unet/test: {tmp_path}/w.pt was trained for another number of classes: classify tells 8 classes apart in the "
        "file, and the task has 3 (ground, red, green). Train on this data set, or give weights that were trained for "
        "its classes."
    )


def test_a_long_list_of_classes_is_cut(tmp_path):
    torch.save(make_unet(small_unet(), THREE_CLASSES).module.state_dict(), tmp_path / "w.pt")
    assert "the task has 8 (a, b, c, d, e, f and 2 more)." in refusal(tmp_path / "w.pt", with_classes("abcdefgh"))


def test_a_bare_state_dict_of_a_head_with_one_output_is_explained_by_layer(tmp_path):
    torch.save(make_unet(small_unet(), TWO_CLASSES).module.state_dict(), tmp_path / "w.pt")
    assert "classify has 2 outputs in the file, and 1 in the model for the task's 2 (ground, red)." in refusal(
        tmp_path / "w.pt", TWO_CLASSES, head="sigmoid"
    )


def test_a_bare_state_dict_of_another_network_is_refused_by_tensor(tmp_path):
    torch.save({"classify.weight": torch.zeros(2, 2)}, tmp_path / "w.pt")
    tensors = len(make_unet(small_unet(), THREE_CLASSES).module.state_dict())
    assert refusal(tmp_path / "w.pt") == (
        f"unet/test: {tmp_path}/w.pt holds weights of another network: 0 of its 1 tensors fit the {tensors} of the "
        "model; bottleneck.0.bias is missing in the file and (16,) in the model. Choose the model config, and "
        "set the options, "
        "that the weights were trained with."
    )


@pytest.mark.parametrize(("channels", "hint"), [(4, "as many bands"), (1, "input: {channels: gray}")])
def test_a_first_layer_of_other_channels_is_told_as_that(channels, hint, tmp_path):
    network = make_unet(small_unet(), THREE_CLASSES.model_copy(update={"channels": channels}))
    torch.save(network.module.state_dict(), tmp_path / "w.pt")
    assert f"sees images of {channels} channels" in refusal(tmp_path / "w.pt")
    assert hint in refusal(tmp_path / "w.pt")


def test_an_output_for_each_class_but_the_background_hints_at_sigmoids(tmp_path):
    torch.save(make_unet(small_unet(), TWO_CLASSES).module.state_dict(), tmp_path / "w.pt")
    told = refusal(tmp_path / "w.pt", with_classes(["background", "cat", "dog"]))
    assert "{head: multilabel}" in told
    network = make_unet(small_unet(head="multilabel"), with_classes(["background", "cat", "dog"]))
    assert load_weights(network, tmp_path / "w.pt", label="unet/test").loaded == len(network.module.state_dict())


def test_a_bare_state_dict_of_a_wider_network_is_not_taken_for_other_classes(tmp_path):
    torch.save(make_unet(small_unet(base_width=8), THREE_CLASSES).module.state_dict(), tmp_path / "w.pt")
    assert "holds weights of another network: " in refusal(tmp_path / "w.pt")


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "module.",
        "_orig_mod.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "model.",
        "model._orig_mod.module.",
        "_fsdp_wrapped_module.model.",
    ],
)
def test_the_checkpoint_of_another_trainer_is_taken(key, prefix, tmp_path):
    state = make_unet(small_unet(), THREE_CLASSES).module.state_dict()
    wrapped = {prefix + name: tensor for name, tensor in state.items()}
    torch.save({key: wrapped, "epoch": 3, "optimizer": {"state": {}, "lr": 0.1}}, tmp_path / "w.pt")
    assert_loaded(tmp_path / "w.pt", state)


def test_of_the_checkpoint_of_our_own_training_the_average_is_taken_as_its_evaluation_does(tmp_path):
    state = make_unet(small_unet(), THREE_CLASSES).module.state_dict()
    averaged = {f"averaged.module.{name}": tensor for name, tensor in state.items()}
    kept = {f"module.{name}": torch.zeros_like(tensor) for name, tensor in state.items()} | averaged
    torch.save({"state_dict": kept, "pytorch-lightning_version": "2.5"}, tmp_path / "checkpoint.pt")
    assert_loaded(tmp_path / "checkpoint.pt", state)


def test_a_network_within_a_wrapper_takes_what_was_saved_without_one(tmp_path):
    plain = make_unet(small_unet(), THREE_CLASSES)
    torch.save(plain.module.state_dict(), tmp_path / "w.pt")
    inner = make_unet(small_unet(), THREE_CLASSES)
    outer = torch.nn.Module()
    outer.module = inner.module
    wrapped = SemanticNetwork(outer, inner.head, inner.architecture, inner.class_names)
    load_weights(wrapped, tmp_path / "w.pt", label="unet/test")
    assert torch.equal(inner.module.classify.weight, plain.module.classify.weight)


def test_a_file_without_counts_of_batches_is_taken(tmp_path):
    state = make_unet(small_unet(), THREE_CLASSES).module.state_dict()
    older = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert len(older) < len(state)
    torch.save(older, tmp_path / "w.pt")
    assert_loaded(tmp_path / "w.pt", state)


def test_arrays_of_numpy_are_taken_whatever_separates_their_names(tmp_path):
    state = make_unet(small_unet(), THREE_CLASSES).module.state_dict()
    np.savez(tmp_path / "w.npz", **{name.replace(".", "/"): tensor.numpy() for name, tensor in state.items()})
    assert_loaded(tmp_path / "w.npz", state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_are_taken_as_they_are(dtype, tmp_path):
    state = make_unet(small_unet(), THREE_CLASSES).module.state_dict()
    halves = {name: t.to(dtype) if t.is_floating_point() else t for name, t in state.items()}
    torch.save(halves, tmp_path / "w.pt")
    assert_loaded(tmp_path / "w.pt", {name: t.to(state[name].dtype) for name, t in halves.items()})


def averaged_and_raw():
    """The raw weights of a network with batch normalisation, and an average of its parameters alone."""
    module = make_unet(small_unet(), THREE_CLASSES).module
    raw = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    return raw, {name: raw[name] + 1 for name, _ in module.named_parameters()}


def test_a_moving_average_in_a_list_without_names_is_taken_for_the_parameters_in_order(tmp_path):
    raw, average = averaged_and_raw()
    torch.save({"model": raw, "ema": {"decay": 0.99, "shadow_params": [*average.values()]}}, tmp_path / "w.pt")
    read = assert_loaded(tmp_path / "w.pt", {**raw, **average})
    assert (read.taken, read.beside) == ("ema.shadow_params", ("model",))
    assert "has no names" in " ".join(read.remarks)
    network = make_unet(small_unet(), THREE_CLASSES)
    load_weights(network, tmp_path / "w.pt", label="unet/test", weights_key="model")
    assert torch.equal(network.module.classify.weight, raw["classify.weight"])


def test_a_list_in_another_order_is_left_and_told(tmp_path):
    raw, average = averaged_and_raw()
    torch.save({"model": raw, "ema": {"shadow_params": [*average.values()][::-1]}}, tmp_path / "w.pt")
    read = assert_loaded(tmp_path / "w.pt", raw)
    assert read.taken == "model"
    assert "was left" in " ".join(read.remarks)


@pytest.mark.parametrize("key", ["ema", "params_ema", "shadow"])
def test_an_average_of_the_parameters_alone_takes_the_buffers_of_the_raw_weights(key, tmp_path):
    raw, average = averaged_and_raw()
    assert len(average) < len(raw)
    torch.save({"state_dict": {f"net.{n}": t for n, t in raw.items()}, key: average}, tmp_path / "w.pt")
    assert assert_loaded(tmp_path / "w.pt", {**raw, **average}).taken == key


STATED = {
    "mmsegmentation": lambda names: {"meta": {"CLASSES": tuple(names)}},
    "ids as text": lambda names: {"config": {"id2label": {str(i): name for i, name in enumerate(names)}}},
    "names to ids": lambda names: {"hyper_parameters": {"class_to_idx": {n: i for i, n in enumerate(names)}}},
    "a list": lambda names: {"classes": list(names)},
}


@pytest.mark.parametrize("how", STATED)
def test_classes_in_another_order_are_refused_wherever_a_checkpoint_names_them(how, tmp_path):
    state = make_unet(small_unet(), THREE_CLASSES).module.state_dict()
    torch.save({"state_dict": state, **STATED[how](["ground", "red", "green"])}, tmp_path / "w.pt")
    assert_loaded(tmp_path / "w.pt", state)
    torch.save({"state_dict": state, **STATED[how](["green", "ground", "red"])}, tmp_path / "w.pt")
    assert "They are the same in another order" in refusal(tmp_path / "w.pt")
    assert "trained_on: [green, ground, red]" in refusal(tmp_path / "w.pt")


def test_a_list_of_classes_beside_the_file_is_read_too(tmp_path):
    state = make_unet(small_unet(), THREE_CLASSES).module.state_dict()
    torch.save(state, tmp_path / "w.pt")
    (tmp_path / "classes.txt").write_text("green\nGround\nred\n")
    assert "(by classes.txt beside it) was trained for the classes green, Ground, red" in refusal(tmp_path / "w.pt")
    (tmp_path / "classes.txt").write_text("Ground\nred\ngreen\n")
    assert assert_loaded(tmp_path / "w.pt", state).remarks == ()
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert "names the classes cat, dog" in assert_loaded(tmp_path / "w.pt", state).remarks[0]


def test_a_checkpoint_without_weights_is_told_by_what_it_has(tmp_path):
    torch.save({"epoch": 3, "optimizer": {}}, tmp_path / "w.pt")
    assert refusal(tmp_path / "w.pt") == (
        f"unet/test: {tmp_path}/w.pt holds no weights, but epoch, optimizer; a state dict is expected, alone or under "
        "one of state_dict, model_state_dict, model"
    )


# --------------------------------------------------------------------------- safetensors


def test_a_safetensors_file_is_taken(tmp_path):
    state = make_unet(small_unet(), THREE_CLASSES).module.state_dict()
    save_file(state, tmp_path / "w.safetensors", metadata={"format": "pt", "architecture": "a U-Net"})
    assert_loaded(tmp_path / "w.safetensors", state)


def test_a_safetensors_file_that_says_its_classes_and_architecture_is_held_to_them(tmp_path):
    network = make_unet(small_unet(), THREE_CLASSES)
    state, path = network.module.state_dict(), tmp_path / "w.safetensors"
    said = {"architecture": network.architecture, "class_names": ["ground", "red", "green"]}
    save_file(state, path, metadata={name: json.dumps(value) for name, value in said.items()})
    assert_loaded(path, state)
    assert "was trained for the classes ground, red, green; this task has ground, red." in refusal(path, TWO_CLASSES)
    assert "was trained with other options: base_width is 4 in the file and 8 in the model." in refusal(
        path, base_width=8
    )


def test_a_damaged_safetensors_file_is_told(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"garbage")
    assert re.fullmatch(
        r"unet/test: \S+/w\.safetensors is not a readable safetensors file \(.+\); copy or download it again",
        refusal(tmp_path / "w.safetensors"),
    )


def test_a_safetensors_file_of_nothing_is_told(tmp_path):
    save_file({}, tmp_path / "w.safetensors")
    assert refusal(tmp_path / "w.safetensors").endswith("holds no weights; a state dict is expected")


# --------------------------------------------------------------------------- no weight files


def test_a_file_whose_objects_hold_no_tensors_is_refused_by_what_it_carries(tmp_path):
    torch.save({"args": argparse.Namespace(lr=0.1)}, tmp_path / "w.pt")
    assert refusal(tmp_path / "w.pt") == (
        f"unet/test: {tmp_path}/w.pt is not a weight file of plain tensors (it holds argparse.Namespace, "
        "which only running code could restore); save it with torch.save(module.state_dict(), path)"
    )


@pytest.mark.parametrize("key", [None, "model"])
def test_of_a_module_that_was_pickled_whole_the_tensors_are_taken(key, tmp_path):
    module = make_unet(small_unet(), THREE_CLASSES).module
    torch.save(module if key is None else {key: torch.nn.DataParallel(module), "epoch": 3}, tmp_path / "w.pt")
    assert_loaded(tmp_path / "w.pt", module.state_dict())


def test_a_pickled_module_of_another_network_is_refused_by_tensor(tmp_path):
    torch.save(torch.nn.Conv2d(1, 1, 1), tmp_path / "w.pt")
    assert "holds weights of another network: 0 of its 2 tensors fit" in refusal(tmp_path / "w.pt")


def test_a_file_of_a_single_tensor_is_refused(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "w.pt")
    assert refusal(tmp_path / "w.pt") == f"unet/test: {tmp_path}/w.pt holds a Tensor; a state dict is expected"


def test_a_file_of_garbage_is_refused(tmp_path):
    (tmp_path / "w.pt").write_bytes(b"garbage")
    with pytest.raises(BenchError, match=r"is not a weight file of plain tensors"):
        load(tmp_path / "w.pt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BenchError, match=r"there is no weight file at .*w\.pt"):
        load(tmp_path / "w.pt")
