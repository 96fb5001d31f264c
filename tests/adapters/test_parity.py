"""The harness answers as each framework's own inference does, on one checkpoint and pictures of three sizes.

YOLO, SAM and networks that classify masks have theirs beside their stages: `ultralytics/test_stages.py` and its like.
"""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.adapters.contracts import contracts
from tests.adapters.parity import FAMILIES, PAGE, share_that_differs

SLOW = ("swin", "segformer", "deeplab", "fpn", "mask_rcnn")


def cases():
    for name, (sizes, _) in FAMILIES.items():
        module = contracts()[name.partition("/")[0]]["modules"][0]
        marks = [pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed; make install")]
        # OpenVINO, which changes how signals are taken, is tested by itself.
        marks += [pytest.mark.openvino] if name.startswith(("openvino", "onnxruntime")) else []
        marks += [pytest.mark.slow] if any(part in name for part in SLOW) else []
        yield from (pytest.param(name, size, id=f"{name}-{size.height}x{size.width}", marks=marks) for size in sizes)


@pytest.mark.few(10)
@pytest.mark.parametrize(("name", "size"), [*cases()])
def test_labels_are_those_of_the_framework(name, size, tmp_path):
    share, classes = share_that_differs(name, tmp_path, size)
    assert classes > 1  # a network that names one class everywhere would agree with anything
    assert share <= 1e-4


def test_the_page_of_the_documentation_has_a_row_for_each_family():
    rows = [line.split("`")[1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert rows == [*FAMILIES]
