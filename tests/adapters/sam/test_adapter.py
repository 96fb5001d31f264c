"""SAM and SAM 2 behind the contract, at a size that a test affords, against transformers' own processors."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers", reason="transformers is not installed; make install")

from adapters._torch.images import resize_image
from adapters.sam.networks import make_network
from bench.adapter import predict
from bench.errors import BenchError, Unsupported
from bench.records import Size
from bench.records.predictions import PromptedMasks
from bench.records.prompts import PromptedImage, Prompts
from bench.suite.model_configs import resolve_model
from tests.adapters.rectangles import INSTANCES, PANOPTIC, THREE_CLASSES
from tests.adapters.sam.tiny import NETWORKS, SIDE, built, scenes, spec, without_objects

MODEL_CONFIGS = pytest.mark.parametrize("model_config", NETWORKS)
KINDS = pytest.mark.parametrize("kind", ["point", "box", "centre"])
PROCESSORS = {
    "sam/sam_vit_b": lambda: transformers.SamProcessor(
        transformers.SamImageProcessor(
            size={"longest_edge": SIDE},
            pad_size={"height": SIDE, "width": SIDE},
            mask_pad_size={"height": 1, "width": 1},
        )
    ),
    "sam/sam2_hiera_tiny": lambda: transformers.Sam2Processor(
        transformers.Sam2ImageProcessor(size={"height": SIDE, "width": SIDE}), target_size=SIDE
    ),
}


@pytest.mark.parametrize(("size", "millions"), [("b", 93.7), ("l", 312.3), ("h", 641.1)])
def test_sam_has_as_many_parameters_as_its_checkpoints(size, millions):
    # sam_vit_b_01ec64.pth, sam_vit_l_0b3195.pth and sam_vit_h_4b8939.pth: 375, 1249 and 2565 MB of float32
    with torch.device("meta"):
        module = make_network(resolve_model(f"sam/sam_vit_{size}"), None).module
    assert sum(p.numel() for p in module.parameters()) / 1e6 == pytest.approx(millions, abs=0.3)


def test_sam_2_grows_from_size_to_size_as_published():
    # facebookresearch/sam2, README: 38.9, 46, 80.8 and 224.4 M with the memory, which is alike in all sizes
    counts = []
    for size in ("tiny", "small", "base_plus", "large"):
        with torch.device("meta"):
            module = make_network(resolve_model(f"sam/sam2_hiera_{size}"), None).module
        counts.append(sum(p.numel() for p in module.parameters()) / 1e6)
    assert np.diff(counts) == pytest.approx([46 - 38.9, 80.8 - 46, 224.4 - 80.8], abs=0.2)


def oracle(model_config, image, masks_of_a_prompt):
    """What transformers' processor and model make of an image and its prompts: masks and scores."""
    processor, model = PROCESSORS[model_config](), make_seeded(model_config)
    asked = image.prompts.xy.tolist()
    box = image.prompts.kind == "box"
    prompts = {"input_boxes": [asked]} if box else {"input_points": [[[place] for place in asked]]}
    if not box:
        prompts["input_labels"] = [[[1]] * len(asked)]
    inputs = processor(images=np.asarray(image), return_tensors="pt", **prompts)
    sizes = {"original_sizes": inputs.pop("original_sizes")}
    if "reshaped_input_sizes" in inputs:
        sizes["reshaped_input_sizes"] = inputs.pop("reshaped_input_sizes")
    inputs = {name: value.float() if value.is_floating_point() else value for name, value in inputs.items()}
    with torch.inference_mode():
        output = model(**inputs, multimask_output=masks_of_a_prompt == 3)
    (masks,) = processor.image_processor.post_process_masks(output.pred_masks, **sizes)
    surest = output.iou_scores[0].argmax(dim=1)
    rows = torch.arange(len(surest))
    return masks[rows, surest].numpy(), output.iou_scores[0][rows, surest].clamp(0, 1).numpy()


def make_seeded(model_config):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make_network(spec(model_config), None).module.eval()


@pytest.mark.few(9)
@MODEL_CONFIGS
@KINDS
@pytest.mark.parametrize("size", [Size(24, 32), Size(48, 33), Size(64, 64)])
def test_masks_and_scores_are_those_of_the_frameworks_own_processor(model_config, kind, size):
    (image,) = scenes([size], kind)
    masks, scores = oracle(model_config, image, 1 if kind == "box" else 3)
    (found,) = predict(built(model_config, kind), [image])
    assert found.masks.shape == masks.shape
    assert 0.02 < masks.mean() < 0.98  # neither nothing nor everything, which would agree without a reason
    assert (found.masks == masks).mean() >= 0.995  # images are resized by another library, to within a grey level
    assert found.scores == pytest.approx(scores, abs=1e-3)


@MODEL_CONFIGS
def test_a_picture_reaches_the_network_as_the_frameworks_own_processor_sends_it(model_config):
    (image,) = scenes([Size(24, 32)])
    theirs = PROCESSORS[model_config]()(images=np.asarray(image), return_tensors="pt")["pixel_values"]
    ours = built(model_config).preprocess([image]).pixels
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1.01 / (255 * 0.224)  # a grey level
    assert torch.equal(ours == 0, theirs == 0)  # the padding is exactly zero


@MODEL_CONFIGS
def test_larger_images_are_averaged_when_they_shrink(model_config):
    (image,) = scenes([Size(128, 128)])
    pixels = built(model_config).preprocess([image]).pixels[0, 0] * (255 * 0.229) + 255 * 0.485
    assert np.abs(pixels.numpy() - resize_image(np.asarray(image), Size(SIDE, SIDE))[..., 0]).max() < 1e-2


@MODEL_CONFIGS
@KINDS
def test_images_of_several_sizes_and_one_without_objects_are_answered_alike_alone_and_together(model_config, kind):
    adapter = built(model_config, kind)
    images = [*scenes(kind=kind), without_objects(kind)]
    together = predict(adapter, images)
    assert [found.masks.shape for found in together] == [(2, 24, 32), (2, 48, 33), (2, 40, 21), (0, 24, 32)]
    for image, found in zip(images, together, strict=True):
        assert isinstance(found, PromptedMasks)
        (alone,) = predict(adapter, [image])
        assert alone.masks.shape == found.masks.shape
        assert alone.scores == pytest.approx(found.scores, abs=1e-4)
        assert not found.masks.size or (alone.masks == found.masks).mean() >= 0.999


@MODEL_CONFIGS
def test_many_prompts_are_answered_in_groups_and_in_their_order(model_config):
    (image,) = scenes([Size(24, 32)])
    random = np.random.default_rng(0)
    corner = random.integers(0, 12, (70, 2)).astype(float)
    many = PromptedImage(
        np.asarray(image), Prompts("box", np.hstack([corner, corner + random.integers(2, 12, (70, 2))]))
    )
    adapter = built(model_config)
    (found,) = predict(adapter, [many])
    assert found.masks.shape == (70, 24, 32)
    for index in (0, 31, 32, 69):
        one = PromptedImage(np.asarray(image), Prompts("box", many.prompts.xy[index : index + 1]))
        (alone,) = predict(adapter, [one])
        assert (alone.masks[0] == found.masks[index]).mean() >= 0.999


@MODEL_CONFIGS
def test_an_answer_depends_on_the_image_and_on_the_prompt_and_is_the_same_again(model_config):
    adapter = built(model_config)
    (image,) = scenes([Size(24, 32)])
    darker = PromptedImage(np.asarray(image) // 3, image.prompts)
    elsewhere = PromptedImage(np.asarray(image), Prompts("box", image.prompts.xy[::-1].copy()))
    hashes = [predict(adapter, [one])[0].content_hash() for one in (image, darker, elsewhere)]
    assert len(set(hashes)) == 3
    again = built(model_config)
    assert [predict(again, [one])[0].content_hash() for one in (image, darker, elsewhere)] == hashes


@MODEL_CONFIGS
def test_stages_leave_images_alone_and_give_what_predict_gives(model_config):
    adapter, images = built(model_config), scenes()
    before = [np.array(image) for image in images]
    for image in images:
        image.flags.writeable = False
    raw = adapter.infer(adapter.preprocess(images))
    adapter.synchronize()
    by_stage = adapter.postprocess(raw, [Size(*image.shape[:2]) for image in images])
    assert [p.content_hash() for p in by_stage] == [p.content_hash() for p in predict(adapter, images)]
    assert all(np.array_equal(a, b) for a, b in zip(before, images, strict=True))


@MODEL_CONFIGS
def test_masks_of_a_point_are_the_best_of_three_and_of_a_box_the_single_one_unless_the_model_config_says_otherwise(
    model_config,
):
    for kind, masks in (("point", 3), ("centre", 3), ("box", 1)):
        (image,) = scenes([Size(24, 32)], kind)
        for option, expected in (("by_prompt", masks), ("single", 1), ("best_of_three", 3)):
            adapter = built(model_config, kind, masks=option)
            assert adapter.infer(adapter.preprocess([image])).logits[0][0].shape[:2] == (2, expected)


# --------------------------------------------------------------------------- weights


@MODEL_CONFIGS
def test_weights_of_a_local_folder_are_taken(model_config, tmp_path):
    torch.manual_seed(7)
    make_network(spec(model_config), None).module.save_pretrained(tmp_path)
    images = scenes()
    found = predict(built(model_config, weights=tmp_path), images)
    torch.manual_seed(7)
    expected = make_network(spec(model_config), None).module.state_dict()
    loaded = make_network(spec(model_config), tmp_path).module.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in expected.items())
    untrained = predict(built(model_config), images)
    assert [p.content_hash() for p in found] != [p.content_hash() for p in untrained]


def test_a_folder_of_the_video_model_as_published_serves_images(tmp_path):
    # the folders of facebook/sam2.1-hiera-* hold Sam2VideoModel, whose memory single images do not use
    from safetensors.torch import load_file, save_file

    module = make_network(spec("sam/sam2_hiera_tiny"), None).module
    module.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    video = {**config, "model_type": "sam2_video", "architectures": ["Sam2VideoModel"], "num_maskmem": 7}
    (tmp_path / "config.json").write_text(json.dumps(video))
    tensors = load_file(tmp_path / "model.safetensors")
    memory = {"memory_temporal_positional_encoding": torch.zeros(7, 1, 1, 8)}
    save_file({**tensors, **memory}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded = make_network(spec("sam/sam2_hiera_tiny"), tmp_path).module.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in module.state_dict().items())


@MODEL_CONFIGS
def test_a_folder_of_another_network_is_refused_with_what_differs(model_config, tmp_path):
    make_network(spec(model_config), None).module.save_pretrained(tmp_path)
    with pytest.raises(BenchError, match=r"holds another network: .*image_size is .*64.* in its config.json and .*128"):
        built(model_config, weights=tmp_path, input_size=128)


@MODEL_CONFIGS
def test_a_folder_that_lacks_tensors_is_refused(model_config, tmp_path):
    from safetensors.torch import load_file, save_file

    make_network(spec(model_config), None).module.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    del tensors[next(name for name in sorted(tensors) if name.startswith("mask_decoder."))]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(BenchError, match="lacks 1 tensors of this network, for example mask_decoder"):
        built(model_config, weights=tmp_path)


@MODEL_CONFIGS
def test_a_folder_without_weights_and_one_with_pickled_ones_are_refused(model_config, tmp_path):
    with pytest.raises(BenchError, match=r"no weights to load in .*no config\.json"):
        built(model_config, weights=tmp_path)
    module = make_network(spec(model_config), None).module
    module.config.save_pretrained(tmp_path)
    torch.save(module.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(BenchError, match=r"no weights to load in .*no model\.safetensors"):
        built(model_config, weights=tmp_path)


@MODEL_CONFIGS
def test_a_damaged_file_of_weights_is_refused(model_config, tmp_path):
    make_network(spec(model_config), None).module.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(BenchError, match="cannot be loaded"):
        built(model_config, weights=tmp_path)


# --------------------------------------------------------------------------- refusals


@MODEL_CONFIGS
@pytest.mark.parametrize("task", [THREE_CLASSES, INSTANCES, PANOPTIC], ids=lambda task: task.kind)
def test_class_aware_tasks_are_refused_as_unsupported(model_config, task):
    with pytest.raises(Unsupported, match=f"names no classes and has no {task.kind} prediction"):
        built(model_config, task=task)


@MODEL_CONFIGS
@pytest.mark.parametrize(
    "target", [{"precision": "fp16"}, {"device": "cuda:7"}, {"device": "quantum"}, {"image_size": Size(48, 64)}]
)
def test_what_cannot_be_had_is_refused_as_unsupported(model_config, target):
    with pytest.raises(Unsupported):
        built(model_config, target=target)


@MODEL_CONFIGS
def test_training_is_refused_with_what_to_do_instead(model_config, tmp_path):
    with pytest.raises(Unsupported, match="give 'weights', a folder"):
        built(model_config).train(None, None, tmp_path, None)


@MODEL_CONFIGS
def test_an_image_without_prompts_is_a_usage_error(model_config):
    with pytest.raises(BenchError, match="an image without prompts"):
        built(model_config).preprocess([np.zeros((24, 32, 3), dtype=np.uint8)])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"no_such_option": 1}, "no option named 'no_such_option'"),
        ({"network": "vit_x"}, "no network named 'vit_x'. Did you mean 'vit_l'|'vit_h'|'vit_b'"),
        ({"input_size": 100}, "100 is no multiple of 16; use 96"),
        ({"masks": "all"}, "option 'masks'"),
        ({"overrides": {"vision": {"hiden_size": 1}}}, "no key 'hiden_size'. Did you mean 'hidden_size'"),
        ({"overrides": {"vision": {"hidden_size": "wide"}}}, "option 'overrides': no network can be built"),
    ],
)
def test_a_wrong_option_is_named(options, said):
    with pytest.raises(BenchError, match=said):
        built("sam/sam_vit_b", **options)


# --------------------------------------------------------------------------- facts


@MODEL_CONFIGS
def test_a_cpu_has_no_device_clock_and_facts_are_read_back(model_config):
    adapter = built(model_config)
    adapter.synchronize()
    adapter.reset_peak_device_bytes()
    assert adapter.device_timer() is None
    assert adapter.peak_device_bytes() is None
    facts = adapter.describe()
    assert facts["threads"]["torch"] == 1
    assert facts["parameters"] > 50_000
    assert {"torch", "transformers", "python"} <= set(adapter.versions())


@MODEL_CONFIGS
def test_the_process_is_left_as_it_was(model_config):
    predict(built(model_config), scenes())  # what only a first import does is not repeated below
    before = torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), torch.get_default_dtype()
    predict(built(model_config), scenes())
    assert (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), torch.get_default_dtype()) == before
    assert torch.is_grad_enabled()


@MODEL_CONFIGS
def test_bf16_on_a_cpu_gives_nearly_the_scores_of_fp32(model_config):
    images = scenes()
    full, half = (predict(built(model_config, target={"precision": p}), images) for p in ("fp32", "bf16"))
    for a, b in zip(full, half, strict=True):
        assert b.masks.shape == a.masks.shape
        assert b.scores == pytest.approx(a.scores, abs=0.02)
