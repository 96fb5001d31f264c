from __future__ import annotations

import numpy as np
import pytest

from adapters.deeplab.adapter import Adapter, make_deeplab
from bench.adapter import predict
from bench.errors import BenchError
from bench.records import Target
from bench.suite.model_configs import resolve_model
from tests.adapters.rectangles import THREE_CLASSES, TWO_CLASSES, Recorder, rectangles, short_recipe

NARROW = {"base_width": 8, "aspp_width": 16, "low_level_width": 8, "decoder_width": 16, "output_stride": 8}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 19}, "option 'depth'.*18, 34, 50 or 101.*19"),
        ({"output_stride": 4}, "option 'output_stride'.*8, 16 or 32.*4"),
        ({"aspp_dilations": []}, "option 'aspp_dilations'"),
        ({"aspp_dilations": [6, 0]}, "option 'aspp_dilations': each dilation must be at least 1"),
        ({"pretrained": "imagenet"}, "option 'pretrained'.*'none'.*'imagenet'"),
        ({"aspp_dilation": [1]}, "no option named 'aspp_dilation'. Did you mean 'aspp_dilations'?"),
        ({"threshold": 0.4}, "'threshold' belongs to 'head: sigmoid'"),
    ],
)
def test_a_wrong_option_is_named(options, message):
    with pytest.raises(BenchError, match=message):
        make_deeplab(resolve_model("deeplab/small", options=options), THREE_CLASSES)


@pytest.mark.parametrize("config", ["deeplab/resnet50", "deeplab/resnet50_os8"])
def test_the_large_configs_are_the_published_network(config):
    network = make_deeplab(resolve_model(config), THREE_CLASSES)
    assert network.module.module.backbone.high_level_channels == 2048
    assert network.module.module.reduce[0].out_channels == 48
    strides = {"deeplab/resnet50": 16, "deeplab/resnet50_os8": 8}
    assert network.architecture["output_stride"] == strides[config]


def test_a_sigmoid_head_has_one_channel():
    network = make_deeplab(resolve_model("deeplab/small", options={"head": "sigmoid"}), TWO_CLASSES)
    assert network.module.module.classify.out_channels == 1


def test_a_narrow_network_learns_the_scenes(tmp_path):
    data, adapter = rectangles(16, 4), Adapter()
    config = resolve_model("deeplab/small", options=NARROW)
    adapter.build(config, THREE_CLASSES, Target(threads=1), None)
    recipe = short_recipe(budget={"steps": 80}, learning_rate=0.01)
    result = adapter.train(data, recipe, tmp_path, Recorder())
    adapter.build(config, THREE_CLASSES, Target(threads=1), result.weights)
    found = [p.labels for p in predict(adapter, [data.val.image(i) for i in range(4)])]
    ground_truth = [data.val.semantic(i) for i in range(4)]
    right = np.concatenate([(f == t)[t != 255] for f, t in zip(found, ground_truth, strict=True)])
    assert right.mean() > 0.9  # all ground would be about 0.84
    assert np.unique(found).tolist() == [0, 1, 2]
