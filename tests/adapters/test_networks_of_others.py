"""Weights whose tensors fit two networks, and preprocessings in other words: the right one, or a refusal."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers", reason="transformers is not installed; make install")
smp = pytest.importorskip("segmentation_models_pytorch", reason="smp is not installed; make install")

from adapters._torch.input import DEFAULT
from bench.adapter import predict
from bench.errors import BenchError
from tests.adapters.test_weights_of_others import CATS, PETS, SMALL_UNET, b0, build, saying, task

IMAGE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def contract_of(adapter):
    return adapter.describe()["input_contract"]


@pytest.mark.parametrize("given", ["pretrained", "folder", "file"])
def test_heads_and_activations_of_a_segformer_are_those_of_its_own_config(given, tmp_path):
    theirs = b0(PETS, num_attention_heads=[1, 1, 1, 1], hidden_act="relu").eval()
    theirs.save_pretrained(tmp_path)
    weights = {"pretrained": None, "folder": tmp_path, "file": tmp_path / "model.safetensors"}[given]
    options = {"pretrained": str(tmp_path)} if weights is None else {}
    adapter = build("transformers/segformer_b0", options, weights, classes=task(*PETS))
    batch = adapter.preprocess([IMAGE])
    with torch.inference_mode():
        expected = theirs(pixel_values=batch.pixels).logits
    torch.testing.assert_close(adapter.infer(batch).logits, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["transformers/beit_small", "transformers/mask2former_semantic"])
def test_weights_of_other_heads_are_refused_with_what_to_write(name, tmp_path):
    module = build(name, classes=task(*PETS))._chosen._network.module.module
    module = getattr(module, "module", module)
    module.config.id2label = dict(enumerate(PETS))
    module.save_pretrained(tmp_path)
    assert build(name, weights=tmp_path, classes=task(*PETS)).describe()["weights_read"]["loaded"] > 100
    module.config.num_attention_heads = 2
    module.save_pretrained(tmp_path)
    why = r"num_attention_heads is 2 there and 4 in the model.*options: \{pretrained: "
    with pytest.raises(BenchError, match=why):
        build(name, weights=tmp_path / "model.safetensors", classes=task(*PETS))


def test_strides_in_the_config_of_smp_are_held_against_those_of_the_model(tmp_path):
    smp.DeepLabV3("resnet18", encoder_weights=None, classes=2, encoder_output_stride=16).save_pretrained(tmp_path)
    with pytest.raises(BenchError, match=r'decoder: deeplabv3, encoder: resnet18, arguments: \{"encoder_output_stride'):
        build("smp/deeplabv3_resnet50", {"encoder": "resnet18"}, tmp_path)
    told = {"encoder": "resnet18", "arguments": {"encoder_output_stride": 16}}
    assert build("smp/deeplabv3_resnet50", told, tmp_path / "model.safetensors").describe()["weights_read"]["loaded"]


def test_a_network_of_one_channel_is_refused_before_it_fails(tmp_path):
    config = build("transformers/beit_small", classes=task(*PETS))._chosen._network.module.module.module.config
    config.num_channels = 1
    transformers.BeitForSemanticSegmentation(config).save_pretrained(tmp_path)
    with pytest.raises(BenchError, match="its network sees images of 1 channels"):
        build("transformers/beit_small", {"pretrained": str(tmp_path)}, classes=task(*PETS))


def test_a_head_of_one_output_is_told_and_taken_where_it_is_asked_for(tmp_path):
    config = build("transformers/beit_small", classes=task(*PETS))._chosen._network.module.module.module.config
    config.num_labels = 1
    transformers.BeitForSemanticSegmentation(config).save_pretrained(tmp_path)
    with pytest.raises(BenchError, match=r"one output, a sigmoid's: set options: \{head: sigmoid\}"):
        build("transformers/beit_small", {"pretrained": str(tmp_path)})
    adapter = build("transformers/beit_small", {"pretrained": str(tmp_path), "head": "sigmoid"})
    assert adapter.describe()["output_rule"].startswith("one sigmoid")


@pytest.mark.parametrize("given", ["pretrained", "weights"])
def test_names_that_only_label2id_has_are_met_by_name(given, tmp_path):
    saying(b0(("dog", "background", "cat")), 0).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["id2label"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    if given == "weights":
        with pytest.raises(BenchError, match=r"another order.*trained_on: \[dog, background, cat\]"):
            build("transformers/segformer_b0", weights=tmp_path, classes=task(*PETS))
        return
    adapter = build("transformers/segformer_b0", {"pretrained": str(tmp_path)}, classes=task(*PETS))
    assert {PETS[i] for i in np.unique(predict(adapter, [IMAGE])[0].labels)} == {"dog"}


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_a_folder_in_half_precision_is_computed_in_the_precision_of_the_target(kind, tmp_path):
    saying(b0(PETS), 2).to(kind).save_pretrained(tmp_path)
    adapter = build("transformers/segformer_b0", {"pretrained": str(tmp_path)}, classes=task(*PETS))
    assert {t.dtype for t in adapter._chosen._network.module.parameters()} == {torch.float32}
    assert set(np.unique(predict(adapter, [IMAGE])[0].labels)) == {2}


def test_one_sigmoid_that_names_no_classes_is_not_taken_for_the_background(tmp_path):
    small = {"base_width": 4, "depth": 1, "head": "sigmoid"}
    torch.save(build("unet/transposed", small)._network.module.state_dict(), tmp_path / "w.pt")
    build("unet/transposed", small, tmp_path / "w.pt")
    with pytest.raises(BenchError, match=r"its one output would stand for background.*trained_on: \[background, cat\]"):
        build("unet/transposed", small, tmp_path / "w.pt", classes=task("cat", "background"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("unet.engine", "TensorRT.*ONNX file that it was built from"),
        ("unet.h5", "of TensorFlow or Keras.*tf2onnx"),
        ("model.ckpt.index", "of TensorFlow or Keras"),
        ("unet.pdparams", "PaddlePaddle"),
        ("unet.tflite", "litert/file"),
    ],
)
def test_files_of_other_frameworks_are_told_with_what_to_give_instead(name, said, tmp_path):
    (tmp_path / name).write_bytes(bytes(64))
    with pytest.raises(BenchError, match=said):
        build("unet/transposed", weights=tmp_path / name)


def test_classes_that_are_numbered_from_1_leave_0_to_the_background(tmp_path):
    state = build("unet/transposed", SMALL_UNET, classes=task(*PETS))._network.module.state_dict()
    torch.save({"state_dict": state, "classes": {1: "dog", 2: "cat"}}, tmp_path / "w.pt")
    with pytest.raises(BenchError, match=r"trained_on: \[background, dog, cat\]"):
        build("unet/transposed", SMALL_UNET, tmp_path / "w.pt", classes=task(*PETS))
    torch.save(
        {"state_dict": state, "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]}, tmp_path / "w.pt"
    )
    build("unet/transposed", SMALL_UNET, tmp_path / "w.pt", classes=task(*PETS))


SMALL_SQUARE = {"height": 64, "width": 48}


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        (
            "processor_config.json",
            {"image_processor": {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": SMALL_SQUARE}},
            {"mean": [0.5] * 3, "size": [64, 48], "fit": "stretch", "trained_fit": "stretch"},
        ),
        ("preprocessor_config.json", {"image_mean": 0.5, "image_std": [0.5]}, {"mean": [0.5] * 3, "size": None}),
        (
            "preprocessor_config.json",
            {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": SMALL_SQUARE, "keep_aspect_ratio": True},
            {"size": None, "said_by": "preprocessor_config.json, but for keep_aspect_ratio, which is not followed"},
        ),
        ("preprocessor_config.json", {"do_normalize": False, "do_center_crop": True, "crop_size": 32}, {"fit": "crop"}),
    ],
)
def test_a_preprocessing_is_read_in_whatever_words_it_is_written(name, said, expected, tmp_path):
    b0(PETS).save_pretrained(tmp_path)
    (tmp_path / name).write_text(json.dumps(said))
    found = contract_of(build("transformers/segformer_b0", {"pretrained": str(tmp_path)}, classes=task(*PETS)))
    assert {key: found[key] for key in expected} == expected


def test_networks_of_masks_are_fed_as_what_stands_beside_their_weights_says(tmp_path):
    module = build("transformers/mask2former_semantic", classes=task(*PETS))._chosen._network.module.module
    module.config.id2label = dict(enumerate(PETS))
    module.save_pretrained(tmp_path)
    said = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"shortest_edge": 96, "longest_edge": 160}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    adapter = build("transformers/mask2former_semantic", weights=tmp_path / "model.safetensors", classes=task(*PETS))
    assert contract_of(adapter)["mean"] == [0.5] * 3
    assert adapter._chosen.preprocess([IMAGE]).placements[0].scaled == (96, 96)
    (found,) = adapter._chosen.preprocess([np.zeros((30, 120, 3), np.uint8)]).placements
    assert found.scaled == (40, 160)


def test_a_checkpoint_that_states_its_input_is_fed_so_by_every_torch_network(tmp_path):
    for name in ("transformers/mask2former_semantic", "unet/transposed"):
        adapter = build(name, classes=task(*PETS))
        state = getattr(adapter, "_chosen", adapter)._network.module.state_dict()
        torch.save({"state_dict": state, "input": {"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1]}}, tmp_path / "w.pt")
        assert contract_of(build(name, weights=tmp_path / "w.pt", classes=task(*PETS)))["mean"] == [0.1, 0.2, 0.3]


# --------------------------------------------------------------------------- fit


def test_how_images_were_fitted_in_training_is_said_or_is_not_known(tmp_path):
    small = {"base_width": 4, "depth": 1}
    state = build("unet/transposed", small)._network.module.state_dict()
    torch.save(state, tmp_path / "w.pt")
    silent = contract_of(build("unet/transposed", small, tmp_path / "w.pt"))
    assert (silent["trained_fit"], silent["from"]["fit"]) == (None, DEFAULT)
    by_option = contract_of(build("unet/transposed", small | {"input": {"trained_fit": "crop"}}, tmp_path / "w.pt"))
    assert (by_option["fit"], by_option["trained_fit"]) == ("stretch", "crop")
    torch.save({"state_dict": state, "input": {"mean": 0, "std": 1, "fit": "letterbox", "size": 64}}, tmp_path / "w.pt")
    stated = contract_of(build("unet/transposed", small | {"input": {"trained_fit": "crop"}}, tmp_path / "w.pt"))
    assert (stated["fit"], stated["trained_fit"], stated["from"]["fit"]) == (
        "letterbox",
        "letterbox",
        "the weight file",
    )


def test_weights_that_are_trained_here_say_how_their_images_were_fitted(tmp_path):
    from adapters._torch.weights import save_weights

    small = {"base_width": 4, "depth": 1}
    network = build("unet/transposed", small)._network
    save_weights(network, network.module.state_dict(), tmp_path / "w.pt")
    assert contract_of(build("unet/transposed", small, tmp_path / "w.pt", CATS))["trained_fit"] == "stretch"


def test_a_case_that_stretches_images_where_the_training_did_not_is_flagged():
    from bench.run.worker.model import doubts_of_weights

    small = {"base_width": 4, "depth": 1}
    flagged = build("unet/transposed", small | {"input": {"size": 32, "trained_fit": "crop"}})
    (flag,) = doubts_of_weights(flagged)
    assert flag.name == "fit_unlike_training"
    assert "made [32, 32] by fit: stretch, and the weights were trained with fit: crop" in flag.seen
    for said in ({"trained_fit": "crop"}, {"size": 32, "fit": "letterbox", "trained_fit": "crop"}, {"size": 32}):
        assert doubts_of_weights(build("unet/transposed", small | {"input": said})) == ()


def test_a_folder_for_other_classes_fits_its_network_and_tells_how_many(tmp_path):
    from adapters._torch.weights_info import answer
    from bench.records import as_json_dict
    from bench.suite.model_configs import resolve_model

    b0([f"class {n}x" for n in range(10)]).save_pretrained(tmp_path)
    models = [as_json_dict(resolve_model(name)) for name in ("transformers/segformer_b0", "transformers/segformer_b1")]
    rows = {row["name"]: row for row in answer({"file": str(tmp_path), "models": models})["models"]}
    assert (rows["transformers/segformer_b0"]["fits"], rows["transformers/segformer_b0"]["classes"]) == (True, 10)
    assert not rows["transformers/segformer_b1"]["fits"]
    with pytest.raises(BenchError, match="trained for"):
        build("transformers/segformer_b0", weights=tmp_path, classes=task(*PETS))
