"""SAM and SAM 2 on a GPU."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers", reason="transformers is not installed; make install")

from bench.adapter import predict
from tests.adapters.sam.tiny import NETWORKS, built, scenes, without_objects

MODEL_CONFIGS = pytest.mark.parametrize("model_config", NETWORKS)


@MODEL_CONFIGS
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16"])
def test_a_gpu_keeps_the_contract(model_config, precision):
    adapter = built(model_config, target={"device": "cuda", "precision": precision})
    adapter.reset_peak_device_bytes()
    images = [*scenes(), without_objects()]
    assert [found.masks.shape[0] for found in predict(adapter, images)] == [2, 2, 2, 0]
    assert adapter.peak_device_bytes() > 0
