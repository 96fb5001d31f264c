"""Tests what a recipe may ask of a training beyond its budget: each against an account of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from adapters._torch.network import Head, SemanticNetwork
from adapters._torch.training.semantic import fit
from adapters.unet.adapter import make_unet
from bench.adapter import TrainingData
from bench.errors import BenchError
from bench.records import Augmentation, Budget
from tests.adapters._torch.training.test_loop import Killed, KilledAt, same, state
from tests.adapters.rectangles import THREE_CLASSES, Recorder, Rectangles, rectangles, short_recipe, small_unet

PLAIN_SGD = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "schedule": "constant", "warmup_fraction": 0.0}


def network(seed=0, norm="group"):
    torch.manual_seed(seed)
    return make_unet(small_unet(norm=norm), THREE_CLASSES)


def trained(folder, recipe, *, data=None, seed=0):
    """The last weights of a training of a network without batch statistics."""
    fit(network(seed), data or rectangles(), recipe, folder, Recorder())
    return state(folder / "last.pt")


def test_accumulated_gradients_move_the_weights_as_one_large_batch_does(tmp_path):
    budget = Budget(steps=4)
    whole = trained(tmp_path / "whole", short_recipe(budget=budget, batch_size=4, **PLAIN_SGD))
    parts = trained(tmp_path / "parts", short_recipe(budget=budget, batch_size=2, accumulate=2, **PLAIN_SGD))
    start = network().module.state_dict()
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-4, atol=1e-6)
    assert not torch.equal(start["classify.weight"], whole["classify.weight"])


def test_accumulation_counts_steps_and_images_as_they_are(tmp_path):
    recorder = Recorder()
    result = fit(network(), rectangles(), short_recipe(batch_size=2, accumulate=3), tmp_path, recorder)
    assert (result.steps, result.images) == (6, 36)
    assert recorder.plans == [{"steps": 6, "seconds": None}]
    assert recorder.steps[-1]["images"] == 36


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_clipped_step_is_no_longer_than_rate_times_norm(tmp_path, precision):
    recipe = {"budget": Budget(steps=1), "learning_rate": 1.0, "precision": precision, **PLAIN_SGD}
    start = network().module.state_dict()
    lengths = {}
    for norm in (None, 1e-3):
        ends = trained(tmp_path / str(norm), short_recipe(clip_gradient_norm=norm, **recipe))
        moved = torch.cat([(ends[name] - start[name]).flatten() for name in start])
        lengths[norm] = moved.norm().item()
    assert lengths[None] > 1e-2
    assert lengths[1e-3] == pytest.approx(1e-3, rel=1e-2)


def test_the_kept_weights_are_the_moving_average_of_those_of_every_step(tmp_path):
    plain = {"budget": Budget(steps=4), **PLAIN_SGD}
    recipes = [short_recipe(**{**plain, "budget": Budget(steps=n)}) for n in (1, 2, 3, 4)]
    steps = [trained(tmp_path / str(n), recipe) for n, recipe in enumerate(recipes)]
    averaged = trained(tmp_path / "averaged", short_recipe(ema_decay=0.25, **plain))
    for name, found in averaged.items():
        expected = steps[0][name].double()
        for updates, weights in enumerate(steps[1:], start=1):
            decay = min(0.25, (1 + updates) / (10 + updates))
            expected = decay * expected + (1 - decay) * weights[name].double()
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-7)
    assert not torch.equal(averaged["classify.weight"], steps[-1]["classify.weight"])


def test_averages_of_batch_statistics_are_kept_with_the_weights(tmp_path):
    fit(network(norm="batch"), rectangles(), short_recipe(ema_decay=0.9), tmp_path, Recorder())
    found = state(tmp_path / "last.pt")
    means = [tensor for name, tensor in found.items() if name.endswith("running_mean")]
    assert means
    assert all(tensor.abs().max() > 0 for tensor in means)


@pytest.mark.few(1)
@pytest.mark.parametrize("changes", [{"ema_decay": 0.9}, {"accumulate": 2}, {"class_balanced": True}], ids=str)
def test_what_was_killed_and_resumed_ends_with_the_weights_of_what_was_not(tmp_path, changes):
    recipe = short_recipe(budget=Budget(steps=8), batch_size=2, validate_every=1, checkpoint_every_s=1e-6, **changes)
    fit(network(norm="batch"), rectangles(), recipe, tmp_path / "whole", Recorder())
    with pytest.raises(Killed):
        fit(network(norm="batch"), rectangles(), recipe, tmp_path / "killed", KilledAt(1))
    fit(network(99, norm="batch"), rectangles(), recipe, tmp_path / "killed", Recorder())
    assert same(tmp_path / "whole/last.pt", tmp_path / "killed/last.pt")


def test_early_stopping_ends_after_so_many_validations_without_a_better_one(tmp_path):
    recorder = Recorder()
    recipe = short_recipe(budget=Budget(epochs=20), learning_rate=1e-12, early_stopping=2)  # learns nothing
    result = fit(network(), rectangles(), recipe, tmp_path, recorder)
    assert [v["step"] for v in recorder.validations] == [3, 6, 9]
    assert (result.steps, recorder.steps[-1]["step"]) == (9, 9)
    again = fit(network(5), rectangles(), recipe, tmp_path, Recorder())
    assert again == replace(result, validation_s=0.0)  # nothing was validated again


def test_a_training_that_gets_better_is_not_stopped_early(tmp_path):
    result = fit(network(), rectangles(), short_recipe(budget=Budget(epochs=4), early_stopping=4), tmp_path, Recorder())
    assert result.steps == 12


def test_augmented_images_train_to_other_weights_and_the_same_ones_every_time(tmp_path):
    recipe = short_recipe(augmentation=Augmentation(scale=(0.5, 2.0), rotate_deg=20, colour=0.3, noise=0.05))
    for name in ("once", "again"):
        fit(network(), rectangles(), recipe, tmp_path / name, Recorder())
    fit(network(), rectangles(), short_recipe(), tmp_path / "plain", Recorder())
    assert same(tmp_path / "once/last.pt", tmp_path / "again/last.pt")
    assert not same(tmp_path / "once/last.pt", tmp_path / "plain/last.pt")


class Poisoned(nn.Module):
    """Gives no number wherever an image has a white corner."""

    def __init__(self):
        super().__init__()
        self.classify = nn.Conv2d(3, 3, 1)

    def forward(self, pixels):
        white = (pixels[:, :, -1, -1] > 1.99).all(dim=1).view(-1, 1, 1, 1)
        return torch.where(white, torch.nan, 1.0) * self.classify(pixels)


def test_a_loss_that_is_no_number_names_the_step_and_its_images_and_leaves_the_last_sound_checkpoint(tmp_path):
    split = Rectangles(12, seed=1)
    split.pairs[7][0][-1, -1] = 255
    data = TrainingData(split, Rectangles(0, seed=2), THREE_CLASSES)
    poisoned = SemanticNetwork(Poisoned(), Head(3), {"network": "test"}, ("ground", "red", "green"))
    recipe = short_recipe(budget=Budget(epochs=1), batch_size=1, checkpoint_every_s=1e-6, flip=False, seed=3)
    with pytest.raises(BenchError, match=r"the loss is nan in step (\d+), on the images 7 of the training") as told:
        fit(poisoned, data, recipe, tmp_path, Recorder())
    step = int(str(told.value).partition("in step ")[2].partition(",")[0])
    assert step > 1, "the image comes first: this test needs another seed"
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert kept["segbench"]["clock"][0] == step - 1
    assert all(tensor.isfinite().all() for tensor in kept["state_dict"].values())


def test_a_batch_that_devices_cannot_share_is_refused(tmp_path):
    with pytest.raises(BenchError, match=r"3 devices cannot share batches of 4 images evenly; make 'batch_size' a"):
        fit(network(), rectangles(), short_recipe(devices=3), tmp_path, Recorder())
