"""ONNX files of other people's making: each a colour picker whose answers follow from the pixels.

The file is one 1 × 1 convolution; its weights are chosen so that the right class is known by the
colour, and only if the pixels went in as the model config says.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from adapters._torch.fitting import Placement
from bench.adapter import load_adapter, predict
from bench.errors import BenchError, Unsupported
from bench.records import ClassSpec, InferenceAugmentation, ModelSpec, Size, SlidingWindow, Target, TaskSpec
from tests.adapters.test_contract import MIXED, checked

onnx = pytest.importorskip("onnx", reason="onnx is not installed; make install")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; make install")
from onnx import TensorProto, helper

pytestmark = pytest.mark.openvino

COLOURS = ("red", "green", "blue")
TASK = TaskSpec(
    kind="semantic", classes=tuple(ClassSpec(name=name, colour=(i, i, i)) for i, name in enumerate(COLOURS))
)
TWO = TaskSpec(kind="semantic", classes=TASK.classes[:2])
IDENTITY = np.eye(3, dtype=np.float32)
"""Logits are the channels themselves: the strongest colour wins."""


def write(
    path,
    *,
    matrix=IDENTITY,
    bias=None,
    shape=("b", 3, "h", "w"),
    nhwc=False,
    after=(),
    kind=TensorProto.FLOAT,
    coarser=1,
    out_kind=TensorProto.FLOAT,
):
    """Write a model: transposed if wished, a 1 × 1 convolution, then further operators."""
    weights = np.asarray(matrix, dtype=np.float32).reshape(len(matrix), 3, 1, 1)
    bias = np.zeros(len(matrix), dtype=np.float32) if bias is None else np.asarray(bias, dtype=np.float32)
    nodes, last = [], "image"
    if kind != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [last], ["float"], to=TensorProto.FLOAT))
        last = "float"
    if nhwc:
        nodes.append(helper.make_node("Transpose", [last], ["first"], perm=[0, 3, 1, 2]))
        last = "first"
    nodes.append(helper.make_node("Conv", [last, "weights", "bias"], ["scores"], strides=[coarser, coarser]))
    last = "scores"
    for number, (operator, attributes) in enumerate(after):
        nodes.append(helper.make_node(operator, [last], [f"after{number}"], **attributes))
        last = f"after{number}"
    nodes[-1].output[0] = "answer"
    graph = helper.make_graph(
        nodes,
        "picker",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("answer", out_kind, None)],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.ravel()),
            helper.make_tensor("bias", TensorProto.FLOAT, bias.shape, bias),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def adapter_of(file, options=None, task=TASK, **target):
    adapter = load_adapter("onnxruntime")
    model = ModelSpec(
        name="onnxruntime/file",
        label="mine",
        adapter="onnxruntime",
        task="semantic",
        description="",
        options=options or {},
        trainable=False,
    )
    adapter.build(model, task, Target(threads=1, **target), file)
    return adapter


def drawn(*sizes):
    """Images of blocks of 8 × 8 pixels in one of three colours, with the true ids."""
    random = np.random.default_rng(0)
    found = []
    for size in sizes:
        cells = random.integers(0, 3, (-(-size[0] // 8), -(-size[1] // 8)))
        ids = np.kron(cells, np.ones((8, 8), dtype=int))[: size[0], : size[1]].astype(np.uint8)
        image = np.full((*size, 3), 60, dtype=np.uint8)
        np.put_along_axis(image, ids[..., None].astype(int), 200, axis=2)
        found.append((image, ids))
    return found


def answers_right(adapter, *sizes, ids=None):
    pairs = drawn(*sizes)
    found = predict(adapter, [image for image, _ in pairs])
    for prediction, (_, ground_truth) in zip(found, pairs, strict=True):
        wanted = ground_truth if ids is None else np.asarray(ids, dtype=np.uint8)[ground_truth]
        np.testing.assert_array_equal(prediction.labels, wanted)


@pytest.fixture(params=["onnxruntime", "openvino"])
def runtime(request):
    pytest.importorskip(request.param, reason=f"{request.param} is not installed; make install")
    return request.param


def test_images_of_several_sizes_in_one_batch_get_their_own_answers(tmp_path, runtime):
    adapter = adapter_of(write(tmp_path / "m.onnx"), runtime=runtime)
    checked(adapter, MIXED, TASK)
    answers_right(adapter, (24, 32), (17, 19), (40, 21))
    answers_right(adapter, (24, 32), (24, 32))


def test_the_default_runtime_is_onnx_runtime_and_settings_are_read_back(tmp_path):
    adapter = adapter_of(write(tmp_path / "m.onnx"))
    assert adapter.describe()["threads"]["onnxruntime"] == 1
    assert "onnxruntime" in adapter.versions()
    assert adapter.describe()["weights_bytes"] == (tmp_path / "m.onnx").stat().st_size


def test_pixels_are_normalised_as_the_config_says(tmp_path):
    # Seen: (200 / 255 - mean) / std. Class 0 above the bar of exactly what red 200 gives, else class 1.
    options = {"mean": [0.2, 0.4, 0.6], "std": [0.1, 0.2, 0.5]}
    value = (200 / 255 - 0.2) / 0.1
    file = write(tmp_path / "m.onnx", matrix=[[1, 0, 0], [0, 0, 0]], bias=[0, value])
    labels = []
    for red in (199, 201):
        image = np.full((4, 4, 3), red, dtype=np.uint8)
        labels.append(int(predict(adapter_of(file, options, TWO), [image])[0].labels[0, 0]))
    assert labels == [1, 0]


def test_a_range_of_255_leaves_bytes_as_they_are(tmp_path):
    file = write(tmp_path / "m.onnx", matrix=[[1, 0, 0], [0, 0, 0]], bias=[0, 120.5])
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    image[:2, :, 0], image[2:, :, 0] = 121, 120
    labels = predict(adapter_of(file, {"range_max": 255}, TWO), [image])[0].labels
    assert labels[:, 0].tolist() == [0, 0, 1, 1]


def test_bgr_models_see_blue_first_and_the_mean_stays_in_the_order_of_rgb(tmp_path):
    backwards = write(tmp_path / "m.onnx", matrix=IDENTITY[::-1])
    answers_right(adapter_of(backwards, {"channels": "bgr"}), (16, 24))
    # A mean of red alone makes red the weakest: what is red is called by whatever else is higher.
    shifted = adapter_of(backwards, {"channels": "bgr", "mean": [1.0, 0.0, 0.0]})
    image = np.full((4, 4, 3), 60, dtype=np.uint8)
    image[..., 0] = 200
    assert set(np.unique(predict(shifted, [image])[0].labels)) <= {1, 2}


def test_channels_last_models_are_fed_and_read_so(tmp_path, runtime):
    file = write(
        tmp_path / "m.onnx", shape=("b", "h", "w", 3), nhwc=True, after=[("Transpose", {"perm": [0, 2, 3, 1]})]
    )
    answers_right(adapter_of(file, {"layout": "NHWC"}, runtime=runtime), (16, 24), (9, 17))


def test_a_model_of_bytes_gets_bytes(tmp_path):
    file = write(tmp_path / "m.onnx", kind=TensorProto.UINT8)
    answers_right(adapter_of(file, {"range_max": 255}), (16, 24))


def test_a_file_of_one_size_and_a_batch_of_one_takes_any_images(tmp_path, runtime):
    file = write(tmp_path / "m.onnx", shape=(1, 3, 16, 24))
    adapter = adapter_of(file, runtime=runtime)
    answers_right(adapter, (16, 24), (16, 24))
    checked(adapter, MIXED, TASK)


def test_a_size_the_file_does_not_take_is_refused_with_the_one_it_does(tmp_path):
    with pytest.raises(Unsupported, match=r"image_size: \[16, 24\]"):
        adapter_of(write(tmp_path / "m.onnx", shape=(1, 3, 16, 24)), image_size=Size(32, 32))


@pytest.mark.parametrize("centred", [True, False])
def test_a_letterbox_keeps_the_aspect_ratio_and_its_bars_are_cut_away(tmp_path, centred):
    # a square input of 16; an image of 8 x 32 becomes 4 x 16, with bars of 12 rows that are red, as no pixel of it is
    file = write(tmp_path / "a.onnx")
    image = np.zeros((8, 32, 3), dtype=np.uint8)
    image[:, :16], image[:, 16:] = (0, 255, 0), (0, 0, 255)
    options = {"fit": "letterbox", "fill": [255, 0, 0], "centred": centred, "mean": [0, 0, 0], "std": [1, 1, 1]}
    adapter = adapter_of(file, options, image_size=Size(16, 16))
    batch = adapter.preprocess([image, image.transpose(1, 0, 2)])
    (array,), (wide, tall) = batch.arrays, batch.contents
    assert array.shape == (2, 3, 16, 16)  # images of two shapes are one array
    top = 6 if centred else 0
    square = Size(16, 16)
    assert (wide, tall) == (Placement(square, Size(4, 16), top, 0), Placement(square, Size(16, 4), 0, top))
    red = array[0, 0] == 1
    assert red.sum() == 12 * 16
    assert not red[top : top + 4].any()
    flat, upright = predict(adapter, [image, image.transpose(1, 0, 2)])
    expected = np.repeat(np.uint8([[1] * 16 + [2] * 16]), 8, axis=0)
    assert (flat.labels == expected).all()
    assert (upright.labels == expected.T).all()


def test_a_letterbox_without_a_size_is_refused(tmp_path):
    with pytest.raises(BenchError, match="give the target an image_size"):
        adapter_of(write(tmp_path / "a.onnx"), {"fit": "letterbox"})


def test_padding_to_a_multiple_is_cut_away_also_from_coarser_outputs(tmp_path):
    # Every fourth pixel is looked at; blocks are 8 wide, so that resizing blurs only their borders.
    file = write(tmp_path / "m.onnx", coarser=4)
    (image, ids), *_ = drawn((24, 40))
    padded = predict(adapter_of(file, {"multiple_of": 32}), [image])[0].labels
    plain = predict(adapter_of(file), [image])[0].labels
    np.testing.assert_array_equal(padded, plain)
    assert (plain == ids).mean() > 0.6


@pytest.mark.parametrize(
    ("output_is", "after", "out_kind"),
    [
        ("logits", [], TensorProto.FLOAT),
        ("probabilities", [("Softmax", {"axis": 1})], TensorProto.FLOAT),
        ("labels", [("ArgMax", {"axis": 1, "keepdims": 0})], TensorProto.INT64),
        ("labels", [("ArgMax", {"axis": 1, "keepdims": 1})], TensorProto.INT64),
    ],
    ids=["logits", "probabilities", "labels", "labels with an axis of one"],
)
def test_an_output_is_what_the_config_says(tmp_path, runtime, output_is, after, out_kind):
    file = write(tmp_path / "m.onnx", after=after, out_kind=out_kind)
    answers_right(adapter_of(file, {"output_is": output_is}, runtime=runtime), (16, 24), (9, 17))


@pytest.mark.parametrize(("output_is", "after"), [("sigmoid_logit", []), ("sigmoid_probability", [("Sigmoid", {})])])
@pytest.mark.parametrize("threshold", [0.5, 0.8])
def test_a_sigmoid_is_compared_with_its_threshold(tmp_path, output_is, after, threshold):
    # Logit = green in 0-255 minus 100; the probability is above 0.8 from a logit of ln 4 = 1.39 on.
    file = write(tmp_path / "m.onnx", matrix=[[0, 1, 0]], bias=[-100], after=after)
    image = np.zeros((1, 4, 3), dtype=np.uint8)
    image[0, :, 1] = (99, 101, 102, 200)
    options = {"output_is": output_is, "threshold": threshold, "range_max": 255}
    labels = predict(adapter_of(file, options, TWO), [image])[0].labels
    assert labels.tolist() == [[0, 1, 1, 1] if threshold == 0.5 else [0, 0, 1, 1]]


def test_classes_are_matched_by_name(tmp_path):
    file = write(tmp_path / "m.onnx")
    answers_right(adapter_of(file, {"classes": ["blue", "red", "green"]}), (16, 24), ids=[2, 0, 1])


def test_a_class_that_only_the_model_has_is_void_or_what_the_config_says(tmp_path):
    file = write(tmp_path / "m.onnx")
    names = {"classes": ["red", "sky", "blue"]}
    answers_right(adapter_of(file, names), (16, 24), ids=[0, 255, 2])
    answers_right(adapter_of(file, {**names, "others": "green"}), (16, 24), ids=[0, 1, 2])


def test_ids_that_the_config_does_not_name_are_void(tmp_path):
    file = write(tmp_path / "m.onnx", after=[("ArgMax", {"axis": 1, "keepdims": 0})], out_kind=TensorProto.INT64)
    answers_right(adapter_of(file, {"output_is": "labels"}, TWO), (16, 24), ids=[0, 1, 255])


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"classes": ["cat", "dog", "cow"]}, "none of cat, dog, cow is a class of the task"),
        ({"classes": ["red", "rest", "blue"], "others": "gren"}, "Did you mean 'green'"),
        ({"output": "logits"}, "no output named 'logits'; the file has answer"),
        ({"input": "x"}, "the file's input is called image"),
        ({"layout": "NHWC"}, r"has the shape \(\?, 3, \?, \?\); layout NHWC is \(B, H, W, 3\)"),
        ({"threshold": 0.3}, "threshold"),
        ({"output_si": "labels"}, "Did you mean 'output_is'"),
    ],
)
def test_a_config_that_does_not_fit_is_a_usage_error_that_is_named(tmp_path, options, why):
    with pytest.raises(BenchError, match=why):
        adapter_of(write(tmp_path / "m.onnx"), options)


def test_too_many_channels_are_a_usage_error_that_is_named(tmp_path):
    adapter = adapter_of(write(tmp_path / "m.onnx"), task=TWO)
    with pytest.raises(BenchError, match="3 channels, and 2 classes"):
        predict(adapter, [np.zeros((4, 4, 3), dtype=np.uint8)])


def test_without_a_file_the_message_says_where_to_name_it():
    with pytest.raises(BenchError, match=r"weights: model\.onnx"):
        adapter_of(None)


def test_a_file_that_is_no_model_is_named(tmp_path, runtime):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(BenchError, match=r"broken\.onnx cannot be run"):
        adapter_of(broken, runtime=runtime)


@pytest.mark.parametrize(
    "target",
    [
        {"runtime": "compile"},
        {"runtime": "cuda_graphs"},
        {"runtime": "tensorrt"},
        {"device": "cuda"},
        {"device": "mps"},
        {"precision": "fp16"},
        {"precision": "int8", "runtime": "openvino"},
        {"channels_last": True},
        {"window": SlidingWindow(size=Size(8, 8))},
        {"test_time": InferenceAugmentation(flip=True)},
    ],
)
def test_what_a_file_cannot_be_run_with_is_refused(tmp_path, target):
    with pytest.raises(Unsupported):
        adapter_of(write(tmp_path / "m.onnx"), **target)


def test_a_file_is_not_trained(tmp_path):
    with pytest.raises(Unsupported, match="not trained"):
        adapter_of(write(tmp_path / "m.onnx")).train(None, None, tmp_path, None)


def test_an_image_is_left_as_it_was_and_may_be_read_only(tmp_path):
    ((image, _),) = drawn((17, 19))
    copy = image.copy()
    image.flags.writeable = False
    predict(adapter_of(write(tmp_path / "m.onnx")), [image])
    assert np.array_equal(image, copy)


def test_a_file_that_takes_bytes_is_given_them_as_they_are_whatever_the_mean(tmp_path):
    file = write(tmp_path / "bytes.onnx", kind=TensorProto.UINT8, matrix=IDENTITY / 255)
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    adapter = adapter_of(file, {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]})
    (array,) = adapter.preprocess([image]).arrays
    np.testing.assert_array_equal(array[0].transpose(1, 2, 0), image)
    np.testing.assert_array_equal(predict(adapter, [image])[0].labels, image.argmax(-1))


def test_the_shape_of_a_file_says_where_its_channels_are(tmp_path):
    file = write(tmp_path / "nhwc.onnx", shape=("b", "h", "w", 3), nhwc=True)
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    np.testing.assert_array_equal(predict(adapter_of(file), [image])[0].labels, image.argmax(-1))


def test_the_option_input_of_all_networks_is_that_of_a_file_too(tmp_path):
    file = write(tmp_path / "file.onnx")
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    asked = {"mean": [10, 20, 30], "std": [1, 2, 4], "scale": 255, "channels": "bgr", "size": [4, 6]}
    adapter = adapter_of(file, {"input": asked})
    (array,) = adapter.preprocess([image]).arrays
    small = cv2.resize(image, (6, 4), interpolation=cv2.INTER_AREA).astype(np.float64)
    expected = ((small - [10, 20, 30]) / [1, 2, 4])[..., ::-1]
    np.testing.assert_allclose(array[0].transpose(1, 2, 0), expected, rtol=1e-5)
    assert adapter.describe()["input_contract"]["size"] == [4, 6]


def test_a_file_of_one_channel_sees_the_luma_of_colours(tmp_path):
    weights = helper.make_tensor("weights", TensorProto.FLOAT, (2, 1, 1, 1), np.array([-1.0, 1.0], np.float32))
    bias = helper.make_tensor("bias", TensorProto.FLOAT, (2,), np.array([0.5, -0.5], np.float32))
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weights", "bias"], ["answer"])],
        "bright",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ("b", 1, "h", "w"))],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)],
        [weights, bias],
    )
    file = tmp_path / "grey.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    adapter = adapter_of(file, task=TWO)
    expected = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) > 127.5
    np.testing.assert_array_equal(predict(adapter, [image])[0].labels, expected)
    assert adapter.describe()["input_contract"]["channels"] == "gray"
