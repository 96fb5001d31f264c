"""The task `prompted` from suite to score: prompts from the ground truth, masks from the model, one number without
classes."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest

from bench.data.formats.by_name import open_dataset
from bench.errors import SuiteError
from bench.records import CaseScores, Status
from bench.records.predictions import load_prediction
from bench.records.store import layout
from bench.records.store.files import write_atomically, write_record
from bench.records.store.runs import new_run, read_plan, read_run
from bench.report.conclusion import conclusion
from bench.report.sentences import how_measured
from bench.report.summary.summarise import summarise
from bench.run.environments.interpreters import Interpreters
from bench.run.planning.prepare import prepare
from bench.run.worker.images import Images
from bench.suite.expand import expand
from bench.suite.load import load_suite
from tests.bench.builders import score_planned_case
from tests.bench.suites import SHAPES, run_suite, write_suite

PROMPTED = {"task": "prompted", "metrics": ["prompted_iou"]}
PERFECT = {"name": "fake/perfect_prompted", "label": "perfect", "options": {"dataset": SHAPES["options"]}}
ITSELF = {"name": "fake/prompt_itself", "label": "itself"}
KINDS = ("point", "box")
TINY_SAM = {
    "name": "sam/sam_vit_b",
    "label": "sam",
    "options": {
        "input_size": 32,
        "overrides": {
            "vision": {
                "hidden_size": 32,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "global_attn_indexes": [0],
                "output_channels": 32,
                "num_pos_feats": 16,
            },
            "prompt_encoder": {"hidden_size": 32},
            "mask_decoder": {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16},
        },
    },
}


def carried_out(tmp_path, models, **changes):
    """Run a prompted suite in real workers and score it; returns what was done, its view and its scores."""
    suite = write_suite(tmp_path, models, **{**PROMPTED, **changes})
    results = tmp_path / "results"
    run = new_run(results, "suite")
    prepared = prepare(suite, Interpreters())
    write_record(run.path / layout.PLAN, prepared.plan)
    write_atomically(run.path / layout.ENVIRONMENT, "{}")
    scores: dict[str, CaseScores] = {}

    def score(plan, predictions):
        stored = read_plan(run)
        planned = next(p for p in stored.cases if p.case.id == plan.case.id)
        scores[plan.case.model.label] = score_planned_case(run, stored, planned, predictions)

    ran = run_suite(suite, run, results, score=score)
    return ran, read_run(run, results), scores


def true_objects():
    """Image id -> the masks of its objects, from the segments of the scene and not from its instances."""
    dataset = open_dataset("shapes", SHAPES["options"])
    things = [i for i, spec in enumerate(dataset.classes) if spec.is_thing]
    found = {}
    for image_id in dataset.ids("test"):
        panoptic = dataset.target(image_id).panoptic
        segments = [s for s in panoptic.segments if s.class_id in things and not s.crowd]
        found[image_id] = [panoptic.segment_ids == s.id for s in segments]
    return found


def iou_of_box(mask):
    """IoU of a mask with its box, by a loop over pixels."""
    places = [(r, c) for r in range(mask.shape[0]) for c in range(mask.shape[1]) if mask[r, c]]
    rows, columns = [r for r, _ in places], [c for _, c in places]
    return len(places) / ((max(rows) - min(rows) + 1) * (max(columns) - min(columns) + 1))


@pytest.mark.slow
def test_who_answers_with_the_ground_truth_scores_one_and_who_answers_with_the_prompt_what_a_loop_says(tmp_path):
    ran, view, scores = carried_out(tmp_path, [PERFECT, ITSELF], prompts=list(KINDS))
    labels = [f"{model} {kind}" for model in ("perfect", "itself") for kind in KINDS]
    assert set(scores) == set(labels)
    for label in labels:
        assert ran.outcome("predict", label).status is Status.OK
        assert ran.outcome("time", label).status is Status.OK
    objects = [mask for masks in true_objects().values() for mask in masks]
    assert len(objects) > 4
    for kind in KINDS:
        assert scores[f"perfect {kind}"].scores[0].value == 1.0
    assert scores["itself box"].scores[0].value == pytest.approx(np.mean([iou_of_box(mask) for mask in objects]))
    # a pixel of the object covers one over its area
    assert scores["itself point"].scores[0].value == pytest.approx(np.mean([1 / mask.sum() for mask in objects]))
    summary = summarise(view)
    assert summary.headline == "class-agnostic mIoU"
    assert [row.prompt for row in summary.rows] == [*KINDS, *KINDS]
    told = [line for line in how_measured(summary) if line.startswith("Prompts are an oracle")]
    assert len(told) == 1
    assert all(f"*{kind}*" in told[0] for kind in KINDS)
    assert not any("random weights" in line for line in conclusion(summary))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed; make install")
def test_a_network_of_random_weights_runs_is_scored_and_is_called_what_it_is(tmp_path):
    ran, view, scores = carried_out(tmp_path, [TINY_SAM], prompts="point")
    assert ran.outcome("time", "sam point").status is Status.OK
    predictions = view.cases[0].predict.folder / layout.PREDICTIONS
    for image_id, masks in true_objects().items():
        assert load_prediction("prompted", predictions, image_id).masks.shape == (len(masks), 32, 32)
    assert 0 <= scores["sam point"].scores[0].value < 1
    lines = [line for line in conclusion(summarise(view)) if line.startswith("Untrained, with random weights: ")]
    assert len(lines) == 1
    assert "sam point" in lines[0]


def test_a_model_with_classes_has_no_score_among_prompted_ones_and_the_other_way_round(tmp_path):
    with pytest.raises(SuiteError, match="mask_ap scores instance predictions; the models of this suite make prompted"):
        carried_out(tmp_path, [PERFECT], prompts="box", metrics=["prompted_iou", "mean_iou", "mask_ap"])
    for models, task in ((["fake/perfect_instances"], "prompted"), ([PERFECT], "semantic"), ([PERFECT], "instance")):
        suite = write_suite(tmp_path, models, name="mixed", task=task, prompts=["box"] if task == "prompted" else [])
        with pytest.raises(SuiteError, match=f"cannot be scored as {task}"):
            expand(load_suite(suite), auto_device="cpu", source=suite)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "prompted", "metrics": ["prompted_iou"]}, "task prompted needs 'prompts'.*point, box, centre"),
        ({"task": "semantic", "prompts": ["box"]}, "for task: prompted only, not for task: semantic"),
    ],
)
def test_prompts_belong_to_the_task_and_the_task_needs_them(tmp_path, changes, said):
    models = [PERFECT] if changes["task"] == "prompted" else ["fake/perfect"]
    suite = write_suite(tmp_path, models, **changes)
    with pytest.raises(SuiteError, match=said):
        expand(load_suite(suite), auto_device="cpu", source=suite)


def test_an_unknown_kind_of_prompt_is_refused(tmp_path):
    suite = write_suite(tmp_path, [PERFECT], **PROMPTED, prompts=["scribble"])
    with pytest.raises(SuiteError, match="prompts"):
        load_suite(suite)


def test_the_kind_of_prompt_and_its_rules_are_part_of_what_a_result_is_known_by(tmp_path):
    suite = write_suite(tmp_path, [PERFECT], **PROMPTED, prompts=["box", "point"])
    box, point = (plan.predict for plan in prepare(suite, Interpreters()).cases)
    assert box.key != point.key
    assert (box.key_parts["prompt"], point.key_parts["prompt"]) == ("box, rules 1", "point, rules 1")


def test_images_of_a_prompted_job_lead_to_no_masks(tmp_path):
    dataset = open_dataset("shapes", SHAPES["options"])
    images = Images(dataset, dataset.ids("test"), "box")
    assert [name for name in dir(images) if not name.startswith("_")] == ["encoded", "ids", "image"]
    image = images.image(images.ids[0])
    assert image.base is None
    assert sorted(vars(image)) == ["prompts"]
    assert sorted(vars(image.prompts)) == ["kind", "xy"]
    assert image.prompts.xy.base is None or image.prompts.xy.base.size == image.prompts.xy.size
    assert image.prompts.xy.shape == (len(true_objects()[images.ids[0]]), 4)


def test_a_model_that_skips_a_prompt_is_named(tmp_path, monkeypatch):
    folder = tmp_path / "further" / "lazy"
    (folder / "models").mkdir(parents=True)
    (folder / "adapter.py").write_text(
        "from adapters.fake.adapter import Adapter as Fake\n"
        "from bench.records.predictions import PromptedMasks\n"
        "class Adapter(Fake):\n"
        "    def postprocess(self, raw, sizes):\n"
        "        return [PromptedMasks(one.masks[1:], one.scores[1:]) for one in raw]\n"
    )
    (folder / "models" / "lazy.yaml").write_text(
        "description: d\ntask: prompted\ntrainable: false\noptions: {behaviour: echoes_prompts}\n"
    )
    monkeypatch.setenv("BENCH_ADAPTERS", str(folder.parent))
    ran, _, _ = carried_out(tmp_path, ["lazy/lazy"], prompts="box")
    outcome = ran.outcome("predict", "lazy/lazy box")
    assert outcome.status is Status.INVALID_OUTPUT
    assert "masks of shape" in outcome.reason
    assert "expected" in outcome.reason


def test_a_data_set_without_instances_says_so(tmp_path, monkeypatch):
    dataset = open_dataset("shapes", SHAPES["options"])
    whole = dataset.target
    monkeypatch.setattr(dataset, "target", lambda image_id: type(whole(image_id))(whole(image_id).semantic))
    with pytest.raises(Exception, match="no instance ground truth to make point prompts from"):
        Images(dataset, dataset.ids("test"), "point").image(dataset.ids("test")[0])


def test_stored_masks_are_json_with_scores_and_run_lengths(tmp_path):
    _, view, _ = carried_out(tmp_path, [PERFECT], prompts="box")
    file = view.cases[0].predict.folder / layout.PREDICTIONS / "shapes-test-00000.json"
    document = json.loads(file.read_text())
    assert document["size"] == [32, 32]
    assert set(document["masks"][0]) == {"score", "counts"}
    assert sum(document["masks"][0]["counts"]) == 32 * 32
