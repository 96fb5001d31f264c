"""Networks that classify masks: how they are built, fed and cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers", reason="transformers is not installed; make install")

import tokenizers

from adapters._torch.images import scaled_size
from adapters.transformers.adapter import Adapter
from adapters.transformers.classes import Classes
from adapters.transformers.configs import MODELS, make_config
from adapters.transformers.networks import make_network
from adapters.transformers.options import OPTIONS, UniversalOptions
from bench.adapter import predict, predict_with_probabilities
from bench.errors import BenchError, Unsupported
from bench.records import InferenceAugmentation, Size, SlidingWindow, Target
from bench.records.predictions import check_prediction
from bench.suite.model_configs import model_config_files, resolve_model
from tests.adapters.rectangles import PANOPTIC, THREE_CLASSES, Rectangles
from tests.adapters.transformers.made import TASKS, built, small_model

OF_TRANSFORMERS = [c for c in model_config_files() if c.startswith("transformers/")]
MODEL_CONFIGS = sorted(
    c for c in OF_TRANSFORMERS if resolve_model(c).options.get("architecture", "segformer") not in OPTIONS
)


SIZE = Size(24, 32)


def picture(size=SIZE):
    return Rectangles(1, seed=3, size=size).image(0)


@pytest.mark.few(10)
@pytest.mark.parametrize("model_config", MODEL_CONFIGS)
def test_every_model_config_makes_a_network_of_its_task(model_config):
    model = resolve_model(model_config)
    options, classes = UniversalOptions(**model.options), Classes.of(TASKS[model.task], model_config)
    with torch.device("meta"):
        network = MODELS[options.architecture](make_config(options, labels=len(classes)))
    assert model.task in model_config
    assert network.config.num_labels == (2 if model.task == "instance" else 3)


@pytest.mark.parametrize(
    ("model_config", "labels", "millions"),
    [
        # Cheng et al., Masked-attention Mask Transformer, CVPR 2022, table 1: Swin-T 47 M (COCO's 133 classes).
        ("transformers/mask2former_swin_tiny_panoptic", 133, 47),
        # Cheng et al., Per-Pixel Classification is Not All You Need, NeurIPS 2021, table 1: R50 41 M (150 classes).
        ("transformers/maskformer_r50_semantic", 150, 41),
    ],
)
def test_parameters_are_those_of_the_papers(model_config, labels, millions):
    options = UniversalOptions(**resolve_model(model_config).options)
    with torch.device("meta"):
        network = MODELS[options.architecture](make_config(options, labels=labels))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=1)


@pytest.mark.few(5)
@pytest.mark.parametrize("architecture", ["mask2former", "maskformer", "eomt"])  # oneformer needs a tokenizer
@pytest.mark.parametrize("kind", sorted(TASKS))
def test_weights_and_configuration_of_a_local_folder_are_taken(architecture, kind, tmp_path):
    own = UniversalOptions(architecture=architecture, queries=7, encoder_layers=1, decoder_layers=1)
    torch.manual_seed(3)
    labels = len(Classes.of(TASKS[kind], ""))
    module = MODELS[architecture](make_config(own, labels=labels))
    module.save_pretrained(tmp_path)
    adapter = built(architecture, kind, pretrained=str(tmp_path))
    loaded = adapter._chosen._network.module.module.state_dict()
    given = module.state_dict()
    assert all(torch.equal(loaded[name.replace("criterion.", "criterion.criterion.")], given[name]) for name in given)
    check_prediction(predict(adapter, [picture()])[0], kind=kind, num_classes=3, size=SIZE, image_id="", model="")


def test_a_classifier_of_other_classes_is_made_anew(tmp_path):
    own = UniversalOptions(architecture="eomt", encoder_layers=1, decoder_layers=1)
    MODELS["eomt"](make_config(own, labels=9)).save_pretrained(tmp_path)
    network = built("eomt", pretrained=str(tmp_path), training_follows=True)._chosen._network.module.module
    assert network.class_predictor.weight.shape[0] == 3 + 1


def test_a_pretrained_network_of_another_architecture_is_named(tmp_path):
    own = UniversalOptions(architecture="eomt", encoder_layers=1, decoder_layers=1)
    make_config(own, labels=3).save_pretrained(tmp_path)
    with pytest.raises(BenchError, match="is a eomt; the model config's architecture is mask2former"):
        built("mask2former", pretrained=str(tmp_path))


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(BenchError, match="option 'pretrained': nothing to load at"):
        built("mask2former", pretrained=str(tmp_path))


def test_oneformer_reads_its_task_with_the_tokenizer_of_its_folder(tmp_path):
    own = UniversalOptions(architecture="oneformer", encoder_layers=1, decoder_layers=1)
    MODELS["oneformer"](make_config(own, labels=3)).save_pretrained(tmp_path)
    words = {"[PAD]": 0, "the": 1, "task": 2, "is": 3, "semantic": 4}
    spoken = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[PAD]"))
    spoken.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=spoken, pad_token="[PAD]").save_pretrained(tmp_path)
    tokens = built("oneformer", pretrained=str(tmp_path))._chosen._network.module.task_tokens
    assert tokens[0, :6].tolist() == [1, 2, 3, 4, 0, 0]
    assert tokens.shape == (1, 77)


def test_oneformer_without_the_tokenizer_of_its_weights_is_refused(tmp_path):
    own = UniversalOptions(architecture="oneformer", encoder_layers=1, decoder_layers=1)
    MODELS["oneformer"](make_config(own, labels=3)).save_pretrained(tmp_path)
    with pytest.raises(BenchError, match="no tokenizer at"):
        built("oneformer", pretrained=str(tmp_path))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"width": 96}, "'width' .* multiple of 64"),
        ({"canvas": 50, "patch": 8}, "'canvas' .* multiple of 'patch'"),
        ({"backbone": "vgg"}, "backbone"),
    ],
)
def test_options_that_do_not_fit_are_named(options, named):
    with pytest.raises(BenchError, match=named):
        built("eomt", **options)


def test_an_unknown_architecture_is_named_with_the_nearest_one():
    model = small_model("mask2former").model_copy(update={"options": {"architecture": "mask2fomer"}})
    with pytest.raises(BenchError, match="Did you mean 'mask2former'"):
        Adapter().build(model, THREE_CLASSES, Target(), None)


def test_inputs_are_padded_to_cells_of_32_pixels_and_eomts_to_its_canvas():
    adapter = built("mask2former")
    batch = adapter.preprocess([picture(Size(33, 20))])
    assert batch.pixels.shape == (1, 3, 64, 32)
    assert not batch.pixels[..., 33:, :].any()
    assert not batch.pixels[..., 20:].any()
    square = built("eomt", canvas=48).preprocess([picture(Size(20, 40))])
    assert square.pixels.shape == (1, 3, 48, 48)
    assert square.placements[0].input == Size(24, 48)


def test_eomt_refuses_what_is_larger_than_its_canvas():
    with pytest.raises(Unsupported, match="sees 48 x 48 pixels and the target's 'image_size' has 64 x 32"):
        built("eomt", canvas=48, target=Target(threads=1, image_size=Size(64, 32)))


def test_without_a_size_images_are_scaled_as_the_authors_scale_them():
    assert scaled_size(Size(480, 640), 800, 1333) == Size(800, 1067)
    assert scaled_size(Size(100, 1000), 800, 1333) == Size(133, 1333)
    batch = built("mask2former", short_edge=48, max_size=64).preprocess([picture(Size(24, 32))])
    assert batch.placements[0].input == Size(48, 64)


def test_one_window_that_covers_all_gives_what_no_window_gives():
    plain = built("mask2former", target=Target(threads=1))
    windowed = built("mask2former", target=Target(threads=1, window=SlidingWindow(size=[32, 32])))
    shot = picture(Size(32, 32))
    one, other = (predict(adapter, [shot])[0].labels for adapter in (plain, windowed))
    assert (one == other).mean() > 0.999


@pytest.mark.parametrize("architecture", ["mask2former", "eomt"])
def test_windows_and_mirror_images_are_answered_at_the_size_of_the_image(architecture):
    target = Target(
        threads=1, window=SlidingWindow(size=[32, 32], overlap=0.5), test_time=InferenceAugmentation(flip=True)
    )
    found = predict(built(architecture, target=target), [picture(Size(41, 50)), picture(Size(24, 32))])
    assert [tuple(one.labels.shape) for one in found] == [(41, 50), (24, 32)]


def test_a_mirrored_image_gets_the_mirrored_answer_where_mirror_images_are_averaged():
    adapter = built("mask2former", target=Target(threads=1, test_time=InferenceAugmentation(flip=True)))
    shot = picture(Size(32, 32))
    one, other = (predict(adapter, [image])[0].labels for image in (shot, np.ascontiguousarray(shot[:, ::-1])))
    assert (one == other[:, ::-1]).mean() > 0.99


@pytest.mark.parametrize("kind", ["instance", "panoptic"])
def test_objects_of_several_windows_are_refused(kind):
    with pytest.raises(Unsupported, match="window"):
        built("mask2former", kind, target=Target(window=SlidingWindow(size=[32, 32])))


def test_a_network_in_bfloat16_answers_nearly_alike():
    shot = picture(Size(64, 64))
    one, other = (
        predict(built("mask2former", target=Target(threads=1, precision=p)), [shot])[0].labels for p in ("fp32", "bf16")
    )
    assert (one == other).mean() > 0.9


def test_oneformer_is_told_its_task():
    tokens = [
        make_network(
            UniversalOptions(architecture="oneformer", encoder_layers=1, decoder_layers=1),
            Classes.of(PANOPTIC, ""),
            kind,
            load=True,
            model=small_model("oneformer"),
        ).module.task_tokens
        for kind in ("semantic", "panoptic")
    ]
    assert bytes(int(t) for t in tokens[1][0] if t).decode() == "the task is panoptic"
    assert not torch.equal(*tokens)


def kept(adapter, image):
    """Labels, and probabilities of the same raw output."""
    predictions, (probabilities,) = predict_with_probabilities(adapter, [image])
    return predictions[0].labels, probabilities


@pytest.mark.parametrize(
    "target", [{}, {"image_size": Size(64, 64)}, {"test_time": InferenceAugmentation(scales=(0.5, 1.0), flip=True)}]
)
def test_shares_of_the_class_scores_name_the_labels_and_sum_to_one(target):
    labels, shares = kept(built("mask2former", target=Target(threads=1, **target)), picture())
    assert shares.shape == (3, *SIZE)
    assert np.allclose(shares.sum(axis=0), 1, atol=1e-5)
    assert np.allclose(np.take_along_axis(shares, labels[None].astype(np.int64), 0)[0], shares.max(axis=0), atol=1e-6)


def test_shares_are_the_probabilities_that_augmentation_averages():
    plain = kept(built("mask2former"), picture())[1]
    # One copy, neither scaled nor mirrored: the mean over it, which is made by logarithms and a softmax.
    target = Target(threads=1, test_time=InferenceAugmentation())
    augmented = kept(built("mask2former", target=target), picture())[1]
    assert np.abs(plain - 1 / 3).max() > 1e-4  # it says something
    assert np.allclose(plain, augmented, atol=1e-4)


def test_a_network_that_finds_objects_has_no_probabilities_of_pixels():
    with pytest.raises(Unsupported, match="finds objects"):
        predict_with_probabilities(built("mask2former", "instance"), [picture()])
