"""Every data set, in miniature, is checked, trained on for two steps, predicted and scored, by every adapter.

All pairs of the two would take minutes. Each data set is paired with at least one adapter, and each
adapter with at least one data set for each form of prediction that it has; everything between them
is the harness's own path, in this process: `prepare`, the worker's jobs, `score_case`.
"""

from __future__ import annotations

import importlib
import io
from dataclasses import dataclass, field
from importlib.util import find_spec

import pytest
import yaml
from rich.console import Console

from bench.data.check import check
from bench.data.labels.dataset import open_labelled
from bench.data.opening import Choice, opened
from bench.datasets.shapes import Options as Drawn
from bench.datasets.shapes import open_dataset as drawn
from bench.records import Size
from bench.records.predictions import save_prediction
from bench.run.environments.interpreters import Interpreters
from bench.run.planning.prepare import prepare
from bench.run.worker.work import do_job
from bench.score.scoring import score_case
from bench.suite.load import load_suite
from bench.suite.model_configs import resolve_model

SIDE = 64
STEPS = 2
METRICS = {
    "semantic": ["mean_iou", "boundary_iou"],
    "instance": ["mask_ap", "boundary_ap"],
    "panoptic": ["panoptic_quality", "mask_ap", "mean_iou"],
}


@dataclass(frozen=True)
class Miniature:
    """A data set of this test.

    Attributes:
        form: Module that exports it, and reads it; None for one that comes with the harness.
        options: Over those that the export tells.
        test: Split to score.
        tasks: Forms of its ground truth.
    """

    form: str | None
    options: dict = field(default_factory=dict)
    test: str = "test"
    tasks: tuple[str, ...] = ("semantic",)


ALL_FORMS = ("semantic", "instance", "panoptic")
MINIATURES = {
    "cityscapes": Miniature("cityscapes", tasks=ALL_FORMS),
    "carvana": Miniature("carvana"),
    "voc": Miniature("voc", tasks=("semantic", "instance")),
    "ade20k": Miniature("ade20k", test="val"),
    "coco instances": Miniature("coco", {"truth": "instances"}, tasks=("instance",)),
    "coco panoptic": Miniature("coco", {"truth": "panoptic"}, tasks=ALL_FORMS),
    "pets": Miniature("pets"),
    "camvid": Miniature("camvid"),
    "yolo": Miniature("yolo", tasks=("instance",)),
    "folder": Miniature("folder"),
    "brain": Miniature(None),
}

SMALL_MASKS = {"queries": 5, "encoder_layers": 1, "decoder_layers": 1, "train_points": 64, "object_score": 0.1}
SMALL_BOXES = {"fpn_channels": 16, "box_head_channels": 32, "mask_head_channels": 16}
PAIRS = [
    ("brain", "unet/transposed", {"base_width": 4}),
    ("carvana", "unet/binary_sigmoid", {"base_width": 4}),
    ("yolo", "unet/components_instances", {"base_width": 4}),
    ("cityscapes", "unet/components", {"base_width": 4}),
    ("pets", "smp/unet_mobilenet_v2", {}),
    ("folder", "deeplab/small", {"base_width": 8, "aspp_width": 16, "decoder_width": 16, "output_stride": 8}),
    ("camvid", "torchvision/lraspp_mobilenet_v3_large", {}),
    ("coco instances", "torchvision/maskrcnn_small", SMALL_BOXES),
    ("ade20k", "transformers/segformer_b0", {}),
    ("yolo", "transformers/mask2former_instance", SMALL_MASKS),
    ("coco panoptic", "transformers/mask2former_panoptic", SMALL_MASKS),
    ("cityscapes", "detectron2/semantic_fpn", {"fpn_channels": 16, "head_channels": 16}),
    ("voc", "detectron2/mask_rcnn", SMALL_BOXES),
    ("cityscapes", "detectron2/panoptic_fpn", {"fpn_channels": 16, "head_channels": 16, "box_head_channels": 32}),
    ("folder", "ultralytics/yolo26n_sem", {}),
    ("voc", "ultralytics/yolo11n_seg", {}),
]
TRAINED_HERE = ("unet", "smp", "torchvision", "transformers", "detectron2", "ultralytics", "deeplab")
MODULE = {"unet": "lightning", "deeplab": "lightning", "smp": "segmentation_models_pytorch"}
"""Adapter -> the module that it needs, where that has another name."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Write a miniature when it is first asked for; returns it as a command names it."""
    folder, made = tmp_path_factory.mktemp("miniatures"), {}
    source = drawn(Drawn(size=Size(SIDE, SIDE), train=6, val=2, test=2))

    def miniature(name):
        wanted = MINIATURES[name]
        if wanted.form is None:
            return Choice(name, name)
        if wanted.form not in made:
            made[wanted.form] = importlib.import_module(f"bench.data.exports.{wanted.form}").export(
                source, folder / wanted.form
            )
        return Choice(wanted.form, name, {**made[wanted.form].options, **wanted.options})

    return miniature


def planned(name, model_config, options, data, folder):
    """The one case of a suite of the data set and the model, as `bench run` plans it."""
    choice, kind = data(name), resolve_model(model_config).task
    if choice.name == "brain":
        pytest.importorskip("nibabel", reason="nibabel is not installed (extra: brain)")
    suite = {
        "task": kind,
        "models": [{"name": model_config, "options": options}],
        "datasets": [
            {
                "name": choice.name,
                "label": name,
                "options": choice.options,
                "test": MINIATURES[name].test,
                "max_images": 2,
            }
        ],
        "targets": [{"device": "cpu", "threads": 1, "image_size": [SIDE, SIDE]}],
        "recipe": {
            "budget": {"steps": STEPS},
            "batch_size": 2,
            "device": "cpu",
            "threads": 1,
            "image_size": [SIDE, SIDE],
            "validate_every": None,
        },
        "metrics": METRICS[kind],
    }
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    (case,) = prepare(path, Interpreters()).cases
    return case, load_suite(path).metrics


def scored(plan, metrics, predictions):
    """Metric -> value of stored predictions."""
    dataset = open_labelled(plan.case.dataset)
    task = plan.predict.task
    found = score_case(plan.case, task, dataset, predictions, metrics, predict_key="k", seed=0)
    return {score.metric: score.value for score in found.scores.scores}


def parameters(pairs):
    for name, model_config, options in pairs:
        adapter = model_config.split("/")[0]
        module = MODULE.get(adapter, adapter)
        missing = pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed; make install")
        yield pytest.param(name, model_config, options, id=f"{name}-{model_config}".replace(" ", "_"), marks=missing)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.few(5)
@pytest.mark.parametrize(("name", "model_config", "options"), [*parameters(PAIRS)])
def test_a_miniature_is_trained_on_predicted_and_scored(name, model_config, options, data, tmp_path):
    plan, metrics = planned(name, model_config, options, data, tmp_path)
    folders = {kind: tmp_path / kind for kind in ("train", "predict")}
    for folder in folders.values():
        folder.mkdir()
    trained = do_job(plan.train, folders["train"])
    assert (trained.trained_steps, trained.trained_images) == (STEPS, 2 * STEPS)
    weights = folders["train"] / trained.weights_file
    predicted = do_job(plan.predict.model_copy(update={"weights": str(weights)}), folders["predict"])
    assert predicted.predicted_images == 2
    assert predicted.weights_sha256 == trained.weights_sha256
    values = scored(plan, metrics, folders["predict"] / "predictions")
    assert list(values) == METRICS[plan.predict.task.kind]
    assert all(value is not None and 0 <= value <= 1 for value in values.values())


def kinds_of_ground_truth():
    return [(name, kind) for name, miniature in MINIATURES.items() for kind in miniature.tasks]


MODEL_CONFIGS = {"semantic": "unet/transposed", "instance": "unet/components_instances", "panoptic": "unet/components"}
"""Form of the prediction -> a model config, so that there is a case to score the ground truth in place of its
predictions."""


@pytest.mark.few(8)
@pytest.mark.parametrize(("name", "kind"), kinds_of_ground_truth(), ids=lambda part: part.replace(" ", "_"))
def test_the_ground_truth_of_a_miniature_scores_1_in_every_form_it_has(name, kind, data, tmp_path):
    plan, metrics = planned(name, MODEL_CONFIGS[kind], {"base_width": 4}, data, tmp_path)
    dataset, folder = open_labelled(plan.case.dataset), tmp_path / "predictions"
    for image_id in dataset.ids(plan.case.dataset.test)[:2]:
        ground_truth = dataset.target(image_id).of(kind)
        save_prediction(ground_truth, folder, image_id)
    values = scored(plan, metrics, folder)
    assert values == {metric: pytest.approx(1.0) for metric in METRICS[kind]}


@pytest.mark.parametrize("name", sorted(set(MINIATURES) - {"brain"}), ids=lambda name: name.replace(" ", "_"))
def test_nothing_is_wrong_with_a_miniature(name, data, tmp_path):
    choice = data(name)
    dataset = opened(choice)
    quiet = Console(file=io.StringIO())
    found = check(choice, dataset, dataset.splits(), cache=tmp_path, jobs=1, console=quiet)
    # A dozen images show few of the classes.
    assert [finding.message for finding in found.findings if finding.kind not in ("count", "absent")] == []
    assert sum(found.counts.values()) >= 8


def test_every_data_set_and_every_form_of_every_adapter_is_in_a_pair():
    assert {name for name, _, _ in PAIRS} == set(MINIATURES)
    covered = {(model_config.split("/")[0], resolve_model(model_config).task) for _, model_config, _ in PAIRS}
    forms = {"unet": 3, "smp": 1, "deeplab": 1, "torchvision": 2, "transformers": 3, "detectron2": 3, "ultralytics": 2}
    assert {adapter: sum(a == adapter for a, _ in covered) for adapter in TRAINED_HERE} == forms
    for name, model_config, _ in PAIRS:
        assert resolve_model(model_config).task in MINIATURES[name].tasks
