"""Trainings on a GPU: every precision, interrupted and resumed, and shared among cards."""

from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import pytest
import torch

from adapters._torch.training.augment import Augmenter
from bench.adapter import predict
from bench.records import Augmentation, Budget, Outcome, Size, read_record
from bench.records.predictions import check_prediction
from bench.records.store import layout
from bench.records.store.runs import new_run
from tests.adapters._torch.training.test_loop import Killed, KilledAt, fit, fresh_network
from tests.adapters.rectangles import Recorder, rectangles, short_recipe
from tests.adapters.test_contract import REPRESENTATIVES, built, images, model_config_parameters
from tests.bench.suites import job_folders, run_suite, write_suite


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16"])
def test_a_gpu_trains_resumes_and_reports_in_every_precision(tmp_path, precision):
    recipe = short_recipe(
        budget=Budget(epochs=12), device="cuda", precision=precision, checkpoint_every_s=1e-6, channels_last=True
    )
    with pytest.raises(Killed):
        fit(fresh_network(), rectangles(), recipe, tmp_path, KilledAt(2))
    recorder = Recorder()
    result = fit(fresh_network(99), rectangles(), recipe, tmp_path, recorder)
    assert result.steps == 36
    assert recorder.steps[-1]["loss"] < 0.9
    assert np.isfinite(list(result.self_reported.values())).all()


FRAMEWORKS = {
    name: REPRESENTATIVES[name]
    for name in (
        "detectron2/mask_rcnn",
        "detectron2/semantic_fpn",
        "torchvision/maskrcnn_small",
        "ultralytics/yolo11n_seg",
        "ultralytics/yolo26n_sem",
    )
}


class Cut(Recorder):
    """Ends a training at its second report, as a signal would."""

    def step(self, **step):
        super().step(**step)
        if len(self.steps) == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("model_config", "options", "task"), [model_config_parameters(*one) for one in FRAMEWORKS.items()]
)
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_framework_s_own_trainer_goes_on_in_mixed_precision(model_config, options, task, precision, tmp_path):
    plan = short_recipe(
        budget=Budget(steps=16), device="cuda", precision=precision, checkpoint_every_s=1e-9, learning_rate=0.003
    )
    data = rectangles(12, 4, task=task)
    with suppress(KeyboardInterrupt):
        built(model_config, options, task, device="cuda").train(data, plan, tmp_path, Cut())
    recorder = Recorder()
    result = built(model_config, options, task, device="cuda").train(data, plan, tmp_path, recorder)
    assert result.steps == 16
    assert all(np.isfinite(step["loss"]) for step in recorder.steps)
    assert all(np.isfinite(value) for value in result.self_reported.values())
    adapter = built(model_config, options, task, result.weights, device="cuda")
    (found,) = predict(adapter, images([Size(24, 32)]))
    check_prediction(
        found, kind=task.kind, num_classes=len(task.classes), size=Size(24, 32), image_id="drawn", model="tested"
    )


def test_random_changes_of_a_gpu_are_those_of_a_loader_but_for_rounding():
    changes = Augmentation(scale=(0.5, 2.0), rotate_deg=30, elastic_px=2, colour=0.3, blur_px=1, noise=0.05)
    random, augment = np.random.default_rng(0), Augmenter(changes, fill=(0.5, 0.4, 0.3))
    for seed in range(8):
        image = random.integers(0, 256, (64, 48, 3), dtype=np.uint8)
        masks = np.repeat(np.repeat(random.integers(0, 2, (4, 8, 6), dtype=np.uint8), 8, axis=1), 8, axis=2)
        expected, followed = augment(image, masks, seed=seed)
        on_gpu, ids = torch.from_numpy(image).cuda(), torch.from_numpy(masks).cuda()
        augment.on_device([augment.draw((64, 48), seed).pinned()], [on_gpu], [ids])
        assert np.abs(on_gpu.cpu().numpy().astype(int) - expected).max() <= 2
        assert (ids.cpu().numpy() == followed).mean() > 0.999


def test_batches_made_ahead_leave_a_gpu_waiting_for_little(tmp_path, measured):
    recipe = short_recipe(budget=Budget(steps=200), device="cuda", batch_size=8)
    result = fit(fresh_network(), rectangles(64, 4), recipe, tmp_path, Recorder())
    measured("train_s", result.train_s)
    measured("data_wait_s", result.data_wait_s)
    assert result.data_wait_s < result.train_s


def trained(folder, name, **recipe):
    wanted = {"budget": {"steps": 5}, "batch_size": 4, "device": "cuda", "optimizer": "sgd", "momentum": 0.0}
    model = {"name": "unet/group_norm", "options": {"depth": 2, "base_width": 4}}
    suite = write_suite(folder, [model], name=name, recipe={**wanted, "learning_rate": 0.05, **recipe})
    run = new_run(folder / "results", name)
    run_suite(suite, run, folder / "results", kinds=("train",))
    (job,) = job_folders(run, "train")
    outcome = read_record(Outcome, job / layout.OUTCOME)
    assert outcome.status == "ok", (outcome.reason, (job / "worker.log").read_text())
    state = torch.load(job / "weights/last.pt", weights_only=True)["state_dict"]
    return job, outcome.facts, torch.cat([tensor.flatten() for tensor in state.values()])


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one CUDA device at most, and NCCL wants two")
def test_two_cards_train_over_nccl_what_one_trains(tmp_path):
    _, one, alone = trained(tmp_path, "alone")
    folder, two, shared = trained(tmp_path, "shared", devices=2)
    _, _, half = trained(tmp_path, "half", batch_size=2)
    assert (two.trained_steps, two.trained_images) == (one.trained_steps, one.trained_images) == (5, 20)
    assert (shared - alone).norm() < 0.05 * (half - alone).norm()
    events = [json.loads(line) for line in (folder / layout.TRAINING_LOG).read_text().splitlines()]
    assert sum(event["event"] == "planned" for event in events) == 1
