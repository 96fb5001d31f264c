"""torchvision's networks with the parameters its documentation states."""

from __future__ import annotations

import pytest
from torch import nn

pytest.importorskip("torchvision", reason="torchvision is not installed; make install")

from adapters.torchvision.semantic import make_network
from bench.records import ClassSpec, TaskSpec
from bench.suite.model_configs import resolve_model

VOC = TaskSpec(kind="semantic", classes=tuple(ClassSpec(name=f"c{i}", colour=(0, 0, 0)) for i in range(21)))
AUXILIARY = 1024 * 256 * 9 + 2 * 256 + 256 * 21 + 21
"""Parameters of the auxiliary head, which the documented counts of the ResNets include and training here does not."""

AUXILIARY_MOBILENET = 40 * 10 * 9 + 2 * 10 + 10 * 21 + 21


@pytest.mark.parametrize(
    ("name", "documented", "auxiliary"),
    [
        ("fcn_resnet50", 35_322_218, AUXILIARY),
        ("fcn_resnet101", 54_314_346, AUXILIARY),
        ("deeplabv3_resnet50", 42_004_074, AUXILIARY),
        ("deeplabv3_resnet101", 60_996_202, AUXILIARY),
        ("deeplabv3_mobilenet_v3_large", 11_029_328, AUXILIARY_MOBILENET),
        ("lraspp_mobilenet_v3_large", 3_221_538, 0),
    ],
)
def test_parameters_are_those_of_the_documentation(name, documented, auxiliary):
    network = make_network(resolve_model(f"torchvision/{name}"), VOC)
    assert sum(p.numel() for p in network.module.parameters()) == documented - auxiliary


def test_running_statistics_follow_within_a_short_training():
    network = make_network(resolve_model("torchvision/lraspp_mobilenet_v3_large"), VOC)
    assert {m.momentum for m in network.module.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}
    config = resolve_model("torchvision/lraspp_mobilenet_v3_large", options={"bn_momentum": None})
    assert 0.01 in {m.momentum for m in make_network(config, VOC).module.modules() if isinstance(m, nn.BatchNorm2d)}
