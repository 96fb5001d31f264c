"""Checkpoints as people have them: the right network, or a refusal that says what to write."""

from __future__ import annotations

import argparse
import json
import pathlib
from dataclasses import dataclass

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers", reason="transformers is not installed; make install")
smp = pytest.importorskip("segmentation_models_pytorch", reason="smp is not installed; make install")
segmentation = pytest.importorskip("torchvision.models.segmentation", reason="torchvision is not installed")

from bench.adapter import load_adapter, predict
from bench.errors import BenchError
from bench.records import ClassSpec, Target, TaskSpec
from bench.suite.model_configs import resolve_model

SMALL_UNET = {"base_width": 4, "depth": 1}
GREY = np.full((64, 64, 3), 128, np.uint8)


def task(*names):
    return TaskSpec(kind="semantic", classes=tuple(ClassSpec(name=n, colour=(i, 0, 0)) for i, n in enumerate(names)))


CATS = task("background", "cat")


def build(model_config, options=None, weights=None, classes=CATS, **target):
    adapter = load_adapter(model_config.split("/")[0])
    model = resolve_model(model_config, options=options or {}, weights=str(weights) if weights else None)
    adapter.build(model, classes, Target(device="cpu", threads=1, **target), weights)
    return adapter


def state_of(adapter):
    return {name: tensor.clone() for name, tensor in adapter._network.module.state_dict().items()}


def random_unet():
    torch.manual_seed(5)
    state = state_of(build("unet/transposed", SMALL_UNET))
    return {n: torch.rand_like(t) if t.is_floating_point() else t for n, t in state.items()}


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


CHECKPOINTS = {
    "a prefix of the training's": lambda s: prefixed(s, "net."),
    "a long prefix": lambda s: prefixed(s, "a.b._model."),
    "a loss beside it": lambda s: {"state_dict": prefixed(s, "net.") | {"loss.weight": torch.ones(2)}},
    "a key of its own": lambda s: {"net": s, "epoch": 1},
    "two levels of keys": lambda s: {"payload": {"weights": s}, "epoch": 1},
    "an optimizer": lambda s: {"params": s, "optimizer": {"state": prefixed(s, "x.")}},
    "a NumPy scalar": lambda s: {"model": s, "best_iou": np.float64(0.9)},
    "a Namespace": lambda s: {"model": s, "args": argparse.Namespace(lr=0.1)},
    "a Path": lambda s: {"state_dict": s, "hyper_parameters": {"out": pathlib.PurePosixPath("x")}},
    "arrays of NumPy": lambda s: {"model": {n: t.numpy() for n, t in s.items()}},
    "a tuple": lambda s: (s, 7),
    "a list of one": lambda s: {"models": [s]},
    "six levels of keys": lambda s: {"a": {"b": {"c": {"d": {"e": {"f": s}}}}}},
    "an object of the trainer's": lambda s: TrainerState(s, 7),
    "a part of it in DataParallel": lambda s: {n.replace("encoders.", "encoders.module.", 1): t for n, t in s.items()},
    "a loss and a metric beside it": lambda s: s | {"criterion.weight": torch.ones(2), "train_iou.sum": torch.ones(2)},
    "counts of operations": lambda s: s | {f"{n}.total_ops": torch.zeros(1) for n in ("", "classify")},
}


@dataclass
class TrainerState:
    """What some trainers pickle whole."""

    model: dict
    step: int


@pytest.mark.parametrize("how", CHECKPOINTS)
def test_a_checkpoint_is_read_whatever_stands_around_its_tensors(how, tmp_path):
    state = random_unet()
    torch.save(CHECKPOINTS[how](state), tmp_path / "w.pt")
    adapter = build("unet/transposed", SMALL_UNET, tmp_path / "w.pt")
    assert all(torch.equal(own, state[name]) for name, own in state_of(adapter).items())
    assert adapter.describe()["weights_read"]["loaded"] == len(state)


class Planted:
    """Runs code where a file that holds it is restored."""

    def __reduce__(self):
        return (pathlib.Path.touch, (pathlib.Path("planted"),))


def test_nothing_in_a_file_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": random_unet(), "args": Planted()}, "w.pt")
    build("unet/transposed", SMALL_UNET, tmp_path / "w.pt")
    assert not pathlib.Path("planted").exists()


def test_weights_of_whole_numbers_are_refused_where_the_network_has_floats(tmp_path):
    state = random_unet()
    torch.save({n: (t * 100).to(torch.int8) if t.dim() > 1 else t for n, t in state.items()}, tmp_path / "w.pt")
    with pytest.raises(BenchError, match=r"holds int8 for \d+ tensors of floating point, such as .*quantised"):
        build("unet/transposed", SMALL_UNET, tmp_path / "w.pt")


def test_weights_that_are_no_numbers_and_folds_beside_them_are_told(tmp_path):
    state = random_unet()
    torch.save({"folds": [{n: t * float("nan") for n, t in state.items()}, state]}, tmp_path / "w.pt")
    remarks = build("unet/transposed", SMALL_UNET, tmp_path / "w.pt").describe()["weights_read"]["remarks"]
    assert "folds.0 was taken, and as many of its tensors lie in folds.1" in remarks
    assert any("hold NaN or infinity" in remark for remark in remarks)


def test_mmengine_keeps_the_average_as_state_dict_and_the_raw_weights_under_the_name_of_the_average(tmp_path):
    average = random_unet()
    raw = {n: t + 1 for n, t in average.items()}
    content = {
        "meta": {"mmengine_version": "0.10.4"},
        "state_dict": average,
        "ema_state_dict": prefixed(raw, "module."),
    }
    torch.save(content, tmp_path / "w.pt")
    adapter = build("unet/transposed", SMALL_UNET, tmp_path / "w.pt")
    assert all(torch.equal(own, average[name]) for name, own in state_of(adapter).items())


@pytest.mark.parametrize("key", ["model_ema", "state_dict_ema", "ema", "modelEMA", "averaged_model"])
def test_the_moving_average_is_taken_and_weights_key_takes_the_other(key, tmp_path):
    raw = random_unet()
    average = {n: t + 1 for n, t in raw.items()}
    torch.save({"state_dict": raw, key: average}, tmp_path / "w.pt")
    name = next(n for n in raw if n.endswith("weight"))
    by_default = build("unet/transposed", SMALL_UNET, tmp_path / "w.pt")
    assert torch.equal(state_of(by_default)[name], average[name])
    read = by_default.describe()["weights_read"]
    assert (read["taken"], read["beside"]) == (key, ["state_dict"])
    asked = build("unet/transposed", SMALL_UNET | {"weights_key": "state_dict"}, tmp_path / "w.pt")
    assert torch.equal(state_of(asked)[name], raw[name])
    with pytest.raises(BenchError, match=r"no tensors under weights_key 'emma'.*state_dict"):
        build("unet/transposed", SMALL_UNET | {"weights_key": "emma"}, tmp_path / "w.pt")


def test_a_head_of_one_channel_is_told_with_the_option_to_set(tmp_path):
    torch.save(state_of(build("unet/transposed", SMALL_UNET | {"head": "sigmoid"})), tmp_path / "w.pt")
    with pytest.raises(BenchError, match=r"one channel.*\{head: sigmoid\}"):
        build("unet/transposed", SMALL_UNET, tmp_path / "w.pt")


def test_the_second_head_of_torchvision_is_passed_over_and_counted(tmp_path):
    with_second_head = segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=2, aux_loss=True
    ).state_dict()
    torch.save(with_second_head, tmp_path / "w.pt")
    adapter = build("torchvision/deeplabv3_mobilenet_v3_large", weights=tmp_path / "w.pt")
    second = sum(name.startswith("aux_classifier.") for name in with_second_head)
    read = adapter.describe()["weights_read"]
    assert (read["loaded"], read["left"]) == (len(with_second_head) - second, second)


def test_names_of_an_older_smp_are_those_that_its_own_loader_knows(tmp_path):
    own = smp.DeepLabV3("resnet18", encoder_weights=None, classes=2).state_dict()
    new_to_old = {"decoder.aspp.": "decoder.0.", "decoder.conv.": "decoder.1.", "decoder.bn.": "decoder.2."}
    older = {}
    for name, tensor in own.items():
        new = next((n for n in new_to_old if name.startswith(n)), "")
        older[name.replace(new, new_to_old[new]) if new else name] = tensor
    torch.save(prefixed(older, "model."), tmp_path / "w.pt")
    adapter = build("smp/deeplabv3_resnet50", {"encoder": "resnet18"}, tmp_path / "w.pt")
    assert all(torch.equal(own[name.removeprefix("module.")], tensor) for name, tensor in state_of(adapter).items())
    read = adapter.describe()["weights_read"]
    assert (read["loaded"], read["renamed"]) == (len(own), sum(name.startswith("decoder.") for name in own))


def test_the_arguments_of_smp_that_are_set_elsewhere_are_refused_with_where():
    for name, instead in {
        "aux_params": "leave it out",
        "in_channels": "the data set's",
        "activation": "head: sigmoid",
    }.items():
        with pytest.raises(BenchError, match=f"'{name}' is not set here.*{instead}"):
            build("smp/unet_resnet18", {"arguments": {name: 1}})


def test_arguments_of_timm_go_through_to_its_encoders_alone():
    tiny = {"encoder": "tu-swin_tiny_patch4_window7_224"}
    with pytest.raises(BenchError, match=r"224 x 224 alone, not 64 x 64; set arguments: \{img_size: \[64, 64\]\}"):
        predict(build("smp/unet_resnet18", tiny), [GREY])
    (found,) = predict(build("smp/unet_resnet18", tiny | {"arguments": {"img_size": [64, 64]}}), [GREY])
    assert found.labels.shape == (64, 64)
    with pytest.raises(BenchError, match="unet has no 'img_size'"):
        build("smp/unet_resnet18", {"arguments": {"img_size": [64, 64]}})


# --------------------------------------------------------------------------- SegFormer of transformers


def b0(names, **other):
    shape = {"depths": [2] * 4, "hidden_sizes": [32, 64, 160, 256], "decoder_hidden_size": 256} | other
    config = transformers.SegformerConfig(
        num_labels=len(names), id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)}, **shape
    )
    torch.manual_seed(0)
    return transformers.SegformerForSemanticSegmentation(config)


def saying(network, index):
    with torch.no_grad():
        network.decode_head.classifier.bias.zero_()[index] = 9.0
    return network


PETS = ("background", "cat", "dog")


@pytest.mark.parametrize("spelt", [("dog", "background", "cat"), ("Dog", "Background", "CAT")])
def test_classes_of_a_folder_are_met_by_name(spelt, tmp_path):
    saying(b0(spelt), 0).save_pretrained(tmp_path)
    adapter = build("transformers/segformer_b0", {"pretrained": str(tmp_path)}, classes=task(*PETS))
    (found,) = predict(adapter, [GREY])
    assert {PETS[i] for i in np.unique(found.labels)} == {"dog"}


def test_a_folder_of_partly_other_classes_is_refused_with_both_sides(tmp_path):
    b0(("background", "cat", "horse")).save_pretrained(tmp_path)
    with pytest.raises(BenchError, match=r"only the weights have horse; only the task has dog.*trained_on: \[backgr"):
        build("transformers/segformer_b0", {"pretrained": str(tmp_path)}, classes=task(*PETS))


def test_a_folder_of_another_shape_is_refused_unless_a_training_follows(tmp_path):
    tiny = {"depths": [1] * 4, "hidden_sizes": [8, 8, 16, 16], "decoder_hidden_size": 16}
    b0([f"LABEL_{i}" for i in range(5)], **tiny).save_pretrained(tmp_path)
    with pytest.raises(BenchError, match=r"of its 208 tensors would stay random \(decode_head"):
        build("transformers/segformer_b0", {"pretrained": str(tmp_path)}, classes=task(*PETS))


def test_a_new_classifier_is_counted_where_a_training_follows(tmp_path):
    b0([f"LABEL_{i}" for i in range(5)]).save_pretrained(tmp_path)
    adapter = load_adapter("transformers")
    adapter.training_follows = True
    model = resolve_model("transformers/segformer_b0", options={"pretrained": str(tmp_path)})
    adapter.build(model, task(*PETS), Target(device="cpu", threads=1), None)
    read = adapter.describe()["weights_read"]
    assert (read["loaded"], read["drawn"]) == (206, 2)


@pytest.mark.parametrize("given", ["model.safetensors", "."])
def test_a_folder_or_its_file_is_taken_as_weights(given, tmp_path):
    network = saying(b0(PETS), 2)
    network.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_normalize": True, "do_rescale": True})
    )
    adapter = build("transformers/segformer_b0", weights=tmp_path / given, classes=task(*PETS))
    (found,) = predict(adapter, [GREY])
    assert set(np.unique(found.labels)) == {2}
    assert adapter.describe()["weights_read"]["loaded"] == 208
    assert adapter.describe()["input_contract"]["mean"] == [0.5] * 3


@pytest.mark.parametrize("as_weights", [True, False])
def test_a_folder_that_was_cut_into_parts_is_read_whole(as_weights, tmp_path):
    saying(b0(PETS), 2).save_pretrained(tmp_path, max_shard_size="4MB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    given = {"weights": tmp_path} if as_weights else {"options": {"pretrained": str(tmp_path)}}
    adapter = build("transformers/segformer_b0", classes=task(*PETS), **given)
    assert set(np.unique(predict(adapter, [GREY])[0].labels)) == {2}
    if as_weights:
        next(tmp_path.glob("model-00001*")).unlink()
        with pytest.raises(BenchError, match=r"names \d files, of which 1 are missing, such as model-00001"):
            build("transformers/segformer_b0", classes=task(*PETS), **given)


def test_a_segformer_of_one_output_names_the_foreground_where_it_is_sure(tmp_path):
    for bias, expected in ((9.0, 1), (-9.0, 0)):
        network = b0(("cat",))
        with torch.no_grad():
            network.decode_head.classifier.bias.fill_(bias)
        network.save_pretrained(tmp_path)
        adapter = build("transformers/segformer_b0", {"pretrained": str(tmp_path), "head": "sigmoid"}, classes=CATS)
        assert set(np.unique(predict(adapter, [GREY])[0].labels)) == {expected}
        assert adapter.describe()["output_rule"].startswith("one sigmoid")


def test_several_sigmoids_of_smp_name_the_background_where_none_is_sure(tmp_path):
    network = smp.Unet("resnet18", encoder_weights=None, classes=2)
    with torch.no_grad():
        network.segmentation_head[0].weight.zero_()
        network.segmentation_head[0].bias.copy_(torch.tensor([0.2, 0.4]))  # 0.55 and 0.60
    torch.save(network.state_dict(), tmp_path / "w.pt")
    for threshold, expected in (([0.5, 0.5], 2), ([0.5, 0.7], 1), ([0.6, 0.7], 0)):
        options = {"head": "multilabel", "threshold": threshold}
        adapter = build("smp/unet_resnet18", options, tmp_path / "w.pt", classes=task(*PETS))
        assert set(np.unique(predict(adapter, [GREY])[0].labels)) == {expected}


def test_a_file_of_a_folder_with_classes_in_another_order_is_refused_with_what_to_write(tmp_path):
    b0(("dog", "background", "cat")).save_pretrained(tmp_path)
    with pytest.raises(BenchError, match=r"another order.*trained_on: \[dog, background, cat\]"):
        build("transformers/segformer_b0", weights=tmp_path / "model.safetensors", classes=task(*PETS))


# --------------------------------------------------------------------------- what a network sees


def seen(model_config, options, classes=CATS):
    """What a pixel of (255, 51, 0) is to the network."""
    adapter = build(model_config, options, classes=classes)
    pixel = np.zeros((32, 32, 3), np.uint8)
    pixel[:] = (255, 51, 0)
    return adapter.preprocess([pixel]).pixels[0, :, 0, 0].tolist()


@pytest.mark.parametrize(
    "model_config", ["unet/transposed", "deeplab/small", "smp/unet_resnet18", "torchvision/lraspp_mobilenet_v3_large"]
)
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"mean": [0, 0, 0], "std": [1, 1, 1]}, [1.0, 0.2, 0.0]),
        ({"mean": [0.5] * 3, "std": [0.5] * 3}, [1.0, -0.6, -1.0]),
        ({"mean": [0, 0, 0], "std": [1, 1, 1], "scale": 255}, [255.0, 51.0, 0.0]),
        ({"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1], "channels": "bgr"}, [-0.3, 0.0, 0.9]),
    ],
)
def test_a_network_sees_what_its_model_config_says(model_config, said, expected):
    assert seen(model_config, {"input": said}) == pytest.approx(expected, abs=1e-4)


def test_the_encoders_of_timm_are_fed_as_their_weights_were_trained():
    fed = seen(
        "smp/unet_resnet18",
        {"encoder": "tu-vit_tiny_patch16_224.augreg_in21k", "decoder": "dpt", "arguments": {"dynamic_img_size": True}},
    )
    assert fed == pytest.approx([1.0, -0.6, -1.0], abs=1e-4)


def test_a_mean_outside_of_input_is_refused_with_where_it_stands():
    with pytest.raises(BenchError, match=r"no option named 'mean'.*It stands in 'input'"):
        build("unet/transposed", {"mean": [0, 0, 0]})
