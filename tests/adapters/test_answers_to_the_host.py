"""Answers of a batch reach the host together, not image by image: on a simulated GPU, with real numbers."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make install")
pytest.importorskip("transformers", reason="transformers is not installed; make install")

from adapters._torch.images import to_host
from bench.records import Size
from bench.records.predictions import Instances, Panoptic, SemanticMap
from tests.adapters.sam.tiny import NETWORKS
from tests.adapters.sam.tiny import built as tiny_sam
from tests.adapters.sam.tiny import scenes as prompted_scenes
from tests.adapters.simulated_gpu import GPU, SimulatedGpu
from tests.adapters.test_contract import REPRESENTATIVES, SMALL_UNET, built, model_config_parameters

COPIES = {
    "unet/transposed": 1,
    "unet/components": 1,
    "unet/components_instances": 1,
    "detectron2/semantic_fpn": 1,
    "detectron2/mask_rcnn": 1,
    "detectron2/panoptic_fpn": 1,
    "detectron2/panoptic_deeplab": 2,
    "torchvision/maskrcnn_small": 2,
    "transformers/mask2former_semantic": 1,
    "transformers/mask2former_instance": 2,
    "transformers/mask2former_panoptic": 2,
    "transformers/rf_detr_instance": 2,
    "ultralytics/yolo11n_seg": 1,
    "ultralytics/yolo26n_sem": 1,
}
"""Copies of a batch: one, or one of the few numbers that decide what is copied, and that."""
OF_THE_FRAMEWORK = {"detectron2/panoptic_fpn": 1}
"""Further copies for each image: Detectron2's own combination of both heads reads which classes there are."""
EVERYTHING = {
    "detectron2/mask_rcnn": {"score_threshold": 0.0, "detections": 6},
    "detectron2/panoptic_fpn": {"score_threshold": 0.0, "detections": 6, "combine_score": 0.0},
    "torchvision/maskrcnn_small": {"score_threshold": 0.0, "detections": 6},
    "transformers/mask2former_panoptic": {"object_score": 0.0},
    "transformers/rf_detr_instance": {"score_threshold": 0.0},
    "ultralytics/yolo11n_seg": {"conf": 1e-6, "max_det": 6},
}
"""Thresholds at which networks without a training find something."""
SIZES = [Size(24, 32), Size(17, 19), Size(40, 21)]


def answers_and_copies(adapter, sizes, images=None):
    """What a batch, of noise, gives on the processor and on the simulated GPU, and the GPU that has seen it."""
    noise = [np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8) for i, size in enumerate(sizes)]
    images = images or noise
    inner, gpu = getattr(adapter, "_chosen", adapter), SimulatedGpu()
    raw = adapter.infer(adapter.preprocess(images))
    on_host = adapter.postprocess(raw, sizes)
    real = inner._device
    postprocess = type(inner).postprocess.__wrapped__  # outside of inference mode, in which operators are not seen
    inner._device = GPU
    try:
        with torch.no_grad(), gpu.in_use():
            return on_host, postprocess(inner, gpu.put(raw), sizes), gpu
    finally:
        inner._device = real


def test_tensors_of_all_types_and_shapes_are_what_they_were_after_one_copy():
    random, gpu = np.random.default_rng(0), SimulatedGpu()
    arrays = [
        random.random((3, 2, 5)) < 0.5,
        random.integers(0, 256, (7,), dtype=np.uint8),
        random.standard_normal((2, 3)),
        np.zeros((0, 4, 4), dtype=bool),
        np.float32(1.5),
        random.integers(0, 9, (3,)),
        random.standard_normal((3, 3)).astype(np.float16),
    ]
    tensors = [torch.from_numpy(np.asarray(array)) for array in arrays]
    with gpu.in_use():
        moved = [gpu.put(tensor) for tensor in tensors]
        moved[2] = gpu.put(tensors[2].t().contiguous()).t()  # not contiguous
        found = to_host([(moved[0], moved[1]), (moved[2], moved[3]), (moved[4], moved[5]), (moved[6], moved[6])])
    assert (len(gpu.copies), gpu.waits) == (1, ["synchronize"])
    flat = [array for row in found for array in row]
    for array, expected in zip(flat, [*arrays, arrays[-1]], strict=True):
        assert array.dtype == np.asarray(expected).dtype
        assert np.array_equal(array, expected)


def test_the_simulated_gpu_refuses_what_a_gpu_refuses_and_counts_what_waits_for_it():
    gpu = SimulatedGpu()
    with gpu.in_use():
        there, here = gpu.put(torch.arange(4.0)), torch.ones(4)
        with pytest.raises(RuntimeError, match="same device"):
            there + here
        with pytest.raises(RuntimeError, match="numpy"):
            there.numpy()
        assert float(there[there > 1].sum()) == 5.0
        assert [name.partition(".")[2] for name in gpu.waits] == ["index.Tensor", "_local_scalar_dense.default"]
        assert (there.cpu() + here).tolist() == [1, 2, 3, 4]
        assert torch.zeros(2, device=GPU).add_(there[:2]).device == GPU
    assert gpu.copies == [16]


def assert_equal(one, other):
    assert type(one) is type(other)
    if isinstance(one, SemanticMap):
        assert np.array_equal(one.labels, other.labels)
    elif isinstance(one, Instances):
        assert one.class_ids.tolist() == other.class_ids.tolist()
        assert one.scores == pytest.approx(other.scores, abs=1e-6)
        assert np.array_equal(one.masks, other.masks)
    else:
        assert isinstance(one, Panoptic)
        assert [s.score for s in one.segments] == pytest.approx([s.score for s in other.segments], abs=1e-6)
        assert np.array_equal(one.segment_ids, other.segment_ids)
        assert [(s.id, s.class_id) for s in one.segments] == [(s.id, s.class_id) for s in other.segments]


@pytest.mark.few(7)
@pytest.mark.parametrize(
    ("model_config", "options", "task"),
    [
        model_config_parameters(
            name, {**REPRESENTATIVES.get(name, SMALL_UNET), **EVERYTHING.get(name, {})}, trains=False
        )
        for name in COPIES
    ],
)
def test_answers_of_a_batch_take_as_many_copies_as_those_of_one_image(model_config, options, task):
    adapter = built(model_config, options, task)
    for sizes in (SIZES[:1], SIZES):
        on_host, on_gpu, gpu = answers_and_copies(adapter, sizes)
        assert len(gpu.copies) == COPIES[model_config] + len(sizes) * OF_THE_FRAMEWORK.get(model_config, 0)
        for one, other in zip(on_host, on_gpu, strict=True):
            assert_equal(one, other)


@pytest.mark.parametrize("model_config", NETWORKS)
def test_masks_of_all_prompts_of_a_batch_take_one_copy(model_config):
    adapter = tiny_sam(model_config)
    images = prompted_scenes()
    for few in (images[:1], images):
        on_host, on_gpu, gpu = answers_and_copies(adapter, [Size(*image.shape[:2]) for image in few], few)
        assert len(gpu.copies) == 1
        for one, other in zip(on_host, on_gpu, strict=True):
            assert np.array_equal(one.masks, other.masks)
            assert np.array_equal(one.scores, other.scores)
