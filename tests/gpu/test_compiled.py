"""torch.compile and CUDA graphs through an adapter, with batches that come in other sizes than the first."""

from __future__ import annotations

import pytest

from bench.adapter import predict
from bench.errors import Unsupported
from bench.records import Size
from bench.report.summary.audit import agreement
from tests.adapters.parity import picture
from tests.adapters.test_contract import (
    REPRESENTATIVES,
    SMALL_UNET,
    TASKS,
    built,
    model_config_parameters,
    resolve_model,
)

MODELS = {
    "unet/transposed": SMALL_UNET,
    **{name: REPRESENTATIVES[name] for name in ("transformers/segformer_b0", "ultralytics/yolo11n_seg")},
}
SIZE = Size(64, 64)


@pytest.mark.parametrize("runtime", ["compile", "cuda_graphs"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("model_config", "options", "task"), [model_config_parameters(*one) for one in MODELS.items()])
def test_batches_of_1_8_and_3_are_answered_as_by_eager_torch(model_config, options, task, precision, runtime, measured):
    common = {"device": "cuda", "precision": precision, "image_size": SIZE}
    try:
        adapter = built(model_config, options, task, runtime=runtime, **common)
    except Unsupported as reason:
        pytest.skip(str(reason))
    eager = built(model_config, options, task, **common)
    shares = []
    for count in (1, 8, 3, 1):
        batch = [picture(SIZE, seed) for seed in range(count)]
        pairs = zip(predict(adapter, batch), predict(eager, batch), strict=True)
        shares += [agreement(one, other).share for one, other in pairs]
    measured("least_equal_pixels", min(shares))
    assert min(shares) >= (0.999 if precision == "fp32" else 0.97)


def test_a_pass_that_copies_within_is_recorded_or_refused_by_name():
    options = REPRESENTATIVES["transformers/mask2former_panoptic"]
    task = TASKS[resolve_model("transformers/mask2former_panoptic").task]
    try:
        adapter = built("transformers/mask2former_panoptic", options, task, device="cuda", runtime="cuda_graphs")
    except Unsupported as reason:
        pytest.skip(str(reason))
    first, second = (predict(adapter, [picture(SIZE, seed)])[0].content_hash() for seed in (0, 1))
    assert first != second
