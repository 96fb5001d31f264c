"""Networks that classify masks, exported: the eager answers, and what an export cannot hold."""

from __future__ import annotations

import pytest
import torch

from bench.errors import Unsupported
from bench.records import Size
from tests.adapters.rectangles import INSTANCES
from tests.adapters.test_contract import REPRESENTATIVES, built, checked, images

pytestmark = pytest.mark.openvino

pytest.importorskip("transformers", reason="transformers is not installed; make install")
pytest.importorskip("onnxscript", reason="onnxscript is not installed; make install")

CONFIG = "transformers/mask2former_instance"
INPUT = Size(64, 64)


@pytest.fixture(autouse=True, scope="module")
def _one_cache(tmp_path_factory):
    """All tests share exports, and the user's own cache stays as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_classes_and_masks_are_those_of_the_eager_network(runtime):
    pytest.importorskip(runtime, reason=f"{runtime} is not installed; make install")
    small = REPRESENTATIVES[CONFIG]
    eager, other = (built(CONFIG, small, INSTANCES, image_size=INPUT, runtime=r) for r in ("eager", runtime))
    batch = eager.preprocess(images([Size(24, 32), Size(50, 40)]))
    one, two = (adapter.infer(batch).masks for adapter in (eager, other))
    torch.testing.assert_close(two.classes, one.classes, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(two.masks, one.masks, atol=1e-5, rtol=1e-5)
    checked(other, [Size(24, 32), Size(50, 40)], INSTANCES)
    assert runtime in other.versions()


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_export_for_inputs_of_any_size_is_refused_where_sizes_would_be_constants(runtime):
    with pytest.raises(Unsupported, match="give the target an image_size"):
        built(CONFIG, REPRESENTATIVES[CONFIG], INSTANCES, runtime=runtime)
