from __future__ import annotations

import io
import itertools
import logging
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from torch import nn

from adapters._torch.network import Head, SemanticNetwork
from adapters._torch.training import augment as random_changes
from adapters._torch.training import clock, loop
from adapters._torch.training.augment import Augmenter
from adapters._torch.training.semantic import SemanticTrainee, fit
from adapters.unet.adapter import make_unet
from bench.adapter import TrainingData
from bench.errors import BenchError, Unsupported
from bench.records import Augmentation, Budget, Size
from bench.records.names import harness_root
from tests.adapters.rectangles import THREE_CLASSES, Recorder, Rectangles, rectangles, short_recipe, small_unet


def fresh_network(seed=0):
    torch.manual_seed(seed)
    return make_unet(small_unet(), THREE_CLASSES)


def with_dropout(seed=0):
    """A network that draws from torch's generator at every step."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Dropout(0.3), nn.Conv2d(8, 3, 1))
    return SemanticNetwork(module, Head(3), {"network": "test"}, tuple(c.name for c in THREE_CLASSES.classes))


def state(path: Path):
    return torch.load(path, weights_only=True)["state_dict"]


def same(a: Path, b: Path) -> bool:
    first, second = state(a), state(b)
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


class Killed(BaseException):
    """The process goes away here."""


class KilledAt(Recorder):
    def __init__(self, validation):
        super().__init__()
        self.left = validation

    def validated(self, **validation):
        self.left -= 1
        if self.left == 0:
            raise Killed


def test_the_same_seed_gives_the_same_weights(tmp_path):
    for before, name in enumerate("ab"):
        network = with_dropout()
        torch.manual_seed(100 + before)  # whatever was drawn before must not matter
        fit(network, rectangles(), short_recipe(), tmp_path / name, Recorder())
    assert same(tmp_path / "a/last.pt", tmp_path / "b/last.pt")


def test_another_seed_of_the_image_order_gives_other_weights(tmp_path):
    for seed in (0, 1):
        fit(fresh_network(), rectangles(), short_recipe(seed=seed), tmp_path / str(seed), Recorder())
    assert not same(tmp_path / "0/last.pt", tmp_path / "1/last.pt")


@pytest.mark.few(2)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("make", [fresh_network, with_dropout], ids=["unet", "dropout"])
def test_a_training_that_was_killed_and_resumed_ends_with_the_weights_of_one_that_was_not(tmp_path, make, optimizer):
    recipe = short_recipe(budget=Budget(epochs=4), checkpoint_every_s=1e-6, optimizer=optimizer)
    fit(make(), rectangles(), recipe, tmp_path / "whole", Recorder())
    with pytest.raises(Killed):
        # Three steps an epoch: dies in step 6, whose checkpoint is not written yet.
        fit(make(), rectangles(), recipe, tmp_path / "killed", KilledAt(2))
    assert not (tmp_path / "killed/last.pt").exists()
    recorder = Recorder()
    result = fit(make(seed=99), rectangles(), recipe, tmp_path / "killed", recorder)
    assert [v["step"] for v in recorder.validations] == [6, 9, 12]
    assert (result.steps, result.images) == (12, 48)
    assert same(tmp_path / "whole/last.pt", tmp_path / "killed/last.pt")
    assert same(tmp_path / "whole/best.pt", tmp_path / "killed/best.pt")


def test_a_training_says_how_long_it_waited_for_its_batches(tmp_path, monkeypatch):
    load, took_s = SemanticTrainee.load, []

    def slowly(trainee, chosen):
        began = time.perf_counter()
        time.sleep(0.05)
        batch = load(trainee, chosen)
        took_s.append(time.perf_counter() - began)
        return batch

    monkeypatch.setattr(SemanticTrainee, "load", slowly)
    result = fit(fresh_network(), rectangles(), short_recipe(budget=Budget(steps=4)), tmp_path, Recorder())
    assert 4 * 0.05 <= result.data_wait_s <= result.train_s + sum(took_s[:2]) + 0.05  # before the clock starts


TERMINATED = """
import signal, sys
from pathlib import Path
from adapters._torch.training import loop
from adapters._torch.training.augment import Augmenter
from adapters._torch.training.semantic import fit
from bench.records import Augmentation, Budget, Size
from tests.adapters._torch.training.test_loop import fresh_network
from tests.adapters.rectangles import Recorder, rectangles, short_recipe

class Terminated(Recorder):
    def validated(self, **validation):
        signal.raise_signal(signal.SIGTERM)

fit(fresh_network(), rectangles(), short_recipe(budget=Budget(epochs=4)), Path(sys.argv[1]), Terminated())
"""


@pytest.mark.slow
def test_a_training_that_is_told_to_terminate_saves_its_last_step_first(tmp_path):
    # In a process of its own, which dies of the signal as a worker would.
    ended = subprocess.run([sys.executable, "-c", TERMINATED, tmp_path / "killed"], cwd=harness_root())
    assert ended.returncode == -signal.SIGTERM
    recipe, recorder = short_recipe(budget=Budget(epochs=4)), Recorder()
    fit(fresh_network(99), rectangles(), recipe, tmp_path / "killed", recorder)
    assert recorder.steps[0]["step"] == 4  # the first epoch, three steps, was kept
    fit(fresh_network(), rectangles(), recipe, tmp_path / "whole", Recorder())
    assert same(tmp_path / "whole/last.pt", tmp_path / "killed/last.pt")


def test_ctrl_c_stops_a_training(tmp_path):
    class Interrupted(Recorder):
        def validated(self, **validation):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(fresh_network(), rectangles(), short_recipe(), tmp_path, Interrupted())


def test_a_finished_training_is_not_trained_again(tmp_path):
    first = fit(fresh_network(), rectangles(), short_recipe(), tmp_path, Recorder())
    weights = state(first.weights)
    recorder = Recorder()
    second = fit(fresh_network(5), rectangles(), short_recipe(), tmp_path, recorder)
    assert second == replace(first, validation_s=0.0)  # nothing was validated again
    assert recorder.steps == []
    assert all(torch.equal(weights[name], tensor) for name, tensor in state(second.weights).items())


def test_the_checkpoint_of_another_training_is_refused(tmp_path):
    fit(fresh_network(), rectangles(), short_recipe(), tmp_path, Recorder())
    with pytest.raises(BenchError, match=r"checkpoint\.pt is the checkpoint of another training; remove it"):
        fit(fresh_network(), rectangles(), short_recipe(learning_rate=0.02), tmp_path, Recorder())


def test_a_step_is_as_long_as_the_schedule_says(tmp_path):
    moved = []
    for warmup_fraction in (0.0, 0.5):  # the first step of a warm-up goes at a hundredth of the peak
        recipe = short_recipe(
            budget=Budget(steps=1), optimizer="sgd", momentum=0.0, weight_decay=0.0, warmup_fraction=warmup_fraction
        )
        before = fresh_network().module.classify.weight.detach().clone()
        fit(fresh_network(), rectangles(), recipe, tmp_path / str(warmup_fraction), Recorder())
        moved.append(state(tmp_path / f"{warmup_fraction}/last.pt")["classify.weight"] - before)
    assert moved[0].abs().max() > 0
    torch.testing.assert_close(moved[1], 0.01 * moved[0], rtol=0, atol=2e-7)


def test_a_budget_in_seconds_ends_near_its_time_with_its_rate_near_zero(tmp_path, monkeypatch):
    readings, recorder = itertools.count(), Recorder()  # by a clock that goes on by 10 ms at each reading
    monkeypatch.setattr(clock, "time", SimpleNamespace(perf_counter=lambda: next(readings) / 100))
    recipe = short_recipe(budget=Budget(seconds=0.8), validate_every=None)
    result = fit(fresh_network(), rectangles(), recipe, tmp_path, recorder)
    assert recorder.plans == [{"steps": None, "seconds": 0.8}]
    assert 0.8 <= result.train_s < 0.85
    rates = [step["learning_rate"] for step in recorder.steps]
    assert rates[-1] < 0.2 * max(rates)


def test_validation_time_does_not_count_as_training_time(tmp_path):
    class SlowToReport(Recorder):
        def validated(self, **validation):
            time.sleep(0.5)

    recipe = short_recipe(budget=Budget(epochs=3))
    began = time.perf_counter()
    result = fit(fresh_network(), rectangles(), recipe, tmp_path, SlowToReport())
    assert time.perf_counter() - began - result.train_s >= 3 * 0.5


def test_progress_hears_of_the_plan_the_first_and_last_step_and_every_validation(tmp_path):
    recorder = Recorder()
    recipe = short_recipe(budget=Budget(epochs=5), validate_every=2)
    fit(fresh_network(), rectangles(), recipe, tmp_path, recorder)
    assert recorder.plans == [{"steps": 15, "seconds": None}]
    assert (recorder.steps[0]["step"], recorder.steps[-1]["step"]) == (1, 15)
    assert recorder.steps[-1]["images"] == 60
    assert all(0 < a["train_s"] <= b["train_s"] for a, b in zip(recorder.steps, recorder.steps[1:], strict=False))
    assert [v["step"] for v in recorder.validations] == [6, 12, 15]  # every other epoch, and the end
    assert recorder.validations[0]["values"].keys() == {"val_loss", "val_mean_iou"}


def test_the_best_validated_weights_are_the_result(tmp_path):
    recorder = Recorder()
    # A rate that never falls and is too high makes the score go up and down.
    recipe = short_recipe(budget=Budget(epochs=8), learning_rate=0.1, schedule="constant", warmup_fraction=0.0)
    result = fit(fresh_network(), rectangles(), recipe, tmp_path, recorder)
    scores = {v["step"]: v["values"]["val_mean_iou"] for v in recorder.validations}
    best = max(scores, key=scores.get)
    assert best != 24, "the last validation is the best one: this test needs another recipe"
    assert result.weights == tmp_path / "best.pt"
    assert result.self_reported["best_step"] == best
    assert result.self_reported["val_mean_iou"] == scores[best]
    assert result.self_reported["last_val_mean_iou"] == scores[24]


def test_without_validation_images_the_last_weights_are_the_result(tmp_path):
    data = TrainingData(Rectangles(8, seed=1), Rectangles(0, seed=2), THREE_CLASSES)
    result = fit(fresh_network(), data, short_recipe(), tmp_path, Recorder())
    assert result.weights == tmp_path / "last.pt"
    assert result.self_reported == {}


def test_training_leaves_its_three_files_and_nothing_else(tmp_path, monkeypatch, capsys):
    log = logging.StreamHandler(io.StringIO())
    logging.getLogger("lightning.pytorch").addHandler(log)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(fresh_network(), rectangles(), short_recipe(), tmp_path / "out", Recorder())
    assert sorted(p.name for p in (tmp_path / "out").rglob("*")) == ["best.pt", "checkpoint.pt", "last.pt"]
    assert list((tmp_path / "here").iterdir()) == []
    logging.getLogger("lightning.pytorch").removeHandler(log)
    assert capsys.readouterr() == ("", "")
    assert log.stream.getvalue() == ""


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd"},
        {"optimizer": "adam"},
        {"precision": "bf16"},
        {"channels_last": True},
        {"loss": "0.5*cross_entropy + 0.5*dice"},
        {"schedule": "one_cycle", "warmup_fraction": 0.3},
        {"image_size": (16, 24)},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_every_field_of_a_recipe_trains_to_a_lower_loss(tmp_path, changes):
    recorder = Recorder()
    recipe = short_recipe(budget=Budget(epochs=12), validate_every=None, **changes)
    fit(fresh_network(), rectangles(), recipe, tmp_path, recorder)
    assert recorder.steps[-1]["loss"] < recorder.steps[0]["loss"]


def test_bf16_is_not_fp32(tmp_path):
    for precision in ("fp32", "bf16"):
        fit(fresh_network(), rectangles(), short_recipe(precision=precision), tmp_path / precision, Recorder())
    assert not same(tmp_path / "fp32/last.pt", tmp_path / "bf16/last.pt")


def test_fp16_on_a_cpu_is_refused(tmp_path):
    with pytest.raises(Unsupported, match=r"fp16 needs a CUDA device"):
        fit(fresh_network(), rectangles(), short_recipe(precision="fp16"), tmp_path, Recorder())


def test_a_training_that_diverges_says_so(tmp_path):
    network = fresh_network()
    with torch.no_grad():
        network.module.classify.weight.fill_(float("nan"))
    with pytest.raises(BenchError, match=r"diverged: the loss is nan in step 1, on the images .*Lower 'learning_rate'"):
        fit(network, rectangles(), short_recipe(), tmp_path, Recorder())


def test_an_empty_training_split_is_refused(tmp_path):
    data = TrainingData(Rectangles(0, seed=1), Rectangles(2, seed=2), THREE_CLASSES)
    with pytest.raises(BenchError, match=r"the training split has no images"):
        fit(fresh_network(), data, short_recipe(), tmp_path, Recorder())


def test_a_network_with_coarse_logits_is_trained_at_the_size_of_its_labels(tmp_path):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.ReLU(), nn.Conv2d(8, 3, 1))
    network = SemanticNetwork(module, Head(3), {"network": "coarse"}, ("ground", "red", "green"))
    result = fit(
        network, rectangles(), short_recipe(budget=Budget(epochs=20), learning_rate=0.05), tmp_path, Recorder()
    )
    assert result.self_reported["last_val_mean_iou"] > 0.5  # all ground gives 0.28


SLURM = {
    "SLURM_NTASKS": "1",
    "SLURM_JOB_NAME": "train",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_JOB_ID": "1",
    "SLURM_NNODES": "1",
    "SLURM_NODELIST": "localhost",
}


def test_within_a_job_of_slurm_this_process_starts_the_others_itself(tmp_path, monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    trainer = loop._trainer(torch.device("cpu"), short_recipe(devices=2, batch_size=4), tmp_path)
    assert trainer.world_size == 2
    assert isinstance(trainer.strategy.cluster_environment, LightningEnvironment)


def test_a_training_alone_is_alone_within_a_job_of_several_tasks(tmp_path, monkeypatch):
    for name, value in {**SLURM, "SLURM_NTASKS": "4"}.items():
        monkeypatch.setenv(name, value)
    result = fit(fresh_network(), rectangles(), short_recipe(budget=Budget(steps=2)), tmp_path, Recorder())
    assert result.steps == 2


def test_shares_of_a_batch_for_processes_that_are_not_there_are_refused(tmp_path, monkeypatch):
    alone = loop._trainer(torch.device("cpu"), short_recipe(), tmp_path)
    monkeypatch.setattr(loop, "_trainer", lambda *_: alone)
    with pytest.raises(BenchError, match=r"'devices: 2' shares each batch among that many processes, but 1 are"):
        fit(fresh_network(), rectangles(), short_recipe(devices=2, batch_size=4), tmp_path, Recorder())


def test_batches_made_ahead_by_threads_train_the_same_weights_bit_for_bit(tmp_path, monkeypatch):
    changes = {"budget": Budget(steps=6), "augmentation": Augmentation(scale=(0.7, 1.4), colour=0.2, noise=0.05)}
    fit(fresh_network(), rectangles(), short_recipe(**changes), tmp_path / "alone", Recorder())
    monkeypatch.setattr(loop, "loading_threads", lambda device, processes: 3)
    fit(fresh_network(), rectangles(), short_recipe(**changes), tmp_path / "ahead", Recorder())
    assert same(tmp_path / "alone" / "last.pt", tmp_path / "ahead" / "last.pt")


@pytest.mark.parametrize("crop", [None, Size(16, 16)])
def test_changes_made_where_the_network_is_trained_are_those_of_the_loader_bit_for_bit(tmp_path, monkeypatch, crop):
    changes = Augmentation(scale=(0.7, 1.4), rotate_deg=20, elastic_px=1, colour=0.2, blur_px=1, noise=0.05)
    recipe = short_recipe(budget=Budget(steps=6), augmentation=changes, random_crop=crop)
    fit(fresh_network(), rectangles(), recipe, tmp_path / "loader", Recorder())
    made, on_device = [], Augmenter.on_device

    def noted(self, draws, pixels, labels):
        made.append(len(draws))
        on_device(self, draws, pixels, labels)

    monkeypatch.setattr(Augmenter, "on_device", noted)
    monkeypatch.setattr(random_changes, "made_on", lambda device: True)
    fit(fresh_network(), rectangles(), recipe, tmp_path / "device", Recorder())
    assert made == [4] * 6
    assert same(tmp_path / "loader" / "last.pt", tmp_path / "device" / "last.pt")
