"""Adapters with torch's own runtime alone say why, before anything is built."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from bench.errors import Unsupported
from bench.records import Target
from bench.run.worker.model import built
from tests.bench.builders import make_job, make_model

REASONS = {
    "sam": ("transformers", "it decodes as many prompts as an image has objects"),
    "detectron2": ("torch", "are no tensors, which a graph is made of"),
    "fake": ("numpy", "mine has no runtime {}; it has eager"),
}
"""Adapter -> the package that its module needs, and a part of what it says."""


@pytest.mark.parametrize("adapter", REASONS)
@pytest.mark.parametrize("runtime", ["compile", "openvino", "tensorrt"])
def test_a_runtime_that_an_adapter_lacks_is_refused_with_the_reason(tmp_path, adapter, runtime):
    package, reason = REASONS[adapter]
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed; make install")
    job = make_job(model=make_model(label="mine", adapter=adapter), target=Target(runtime=runtime))
    with pytest.raises(Unsupported) as refused:
        built(job, tmp_path)
    assert reason.format(runtime) in str(refused.value)
    assert str(refused.value).endswith("; it has eager")
