"""The moving average of weights: torch's own numbers, without a look at a number on the device."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils._python_dispatch import TorchDispatchMode

from adapters._torch.training.moving_average import MovingAverage

DECAY = 0.6


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def by_torch(averages, newest, updates):
    share = 1 - min(DECAY, (1 + int(updates)) / (10 + int(updates)))
    if averages[0].is_floating_point():
        torch._foreach_lerp_(averages, newest, share)
    else:
        torch._foreach_copy_(averages, newest)


def stepped(module, step):
    """Weights, statistics and counters after another step."""
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.add_(torch.full_like(tensor, step + 1))
    return module


def same(one, other):
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def test_averages_are_those_of_torch_with_the_same_formula():
    ours = MovingAverage(network(0), DECAY)
    theirs = AveragedModel(network(0), multi_avg_fn=by_torch, use_buffers=True)
    module = network(1)
    for step in range(12):
        stepped(module, step)
        ours.update_parameters(module)
        theirs.update_parameters(module)
        assert same(ours, theirs), step
    assert not any(parameter.requires_grad for parameter in ours.parameters())


def test_a_checkpoint_goes_on_where_it_was():
    whole, module = MovingAverage(network(0), DECAY), network(1)
    for step in range(3):
        whole.update_parameters(stepped(module, step))
    resumed = MovingAverage(network(2), DECAY)
    resumed.load_state_dict(whole.state_dict())
    for averaged in (whole, resumed):
        averaged.update_parameters(module)
    assert same(whole, resumed)
    assert int(resumed.n_averaged) == 4


class Looks(TorchDispatchMode):
    """Counts what makes the host wait for a number."""

    seen = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen += str(function).startswith("aten._local_scalar_dense")
        return function(*args, **(kwargs or {}))


def test_no_update_but_the_first_looks_at_a_number_on_the_device():
    ours, module = MovingAverage(network(0), DECAY), network(1)
    theirs = AveragedModel(network(0), multi_avg_fn=by_torch, use_buffers=True)
    for averaged in (ours, theirs):
        averaged.update_parameters(module)
    with Looks() as of_ours:
        ours.update_parameters(module)
    with Looks() as of_torch:
        theirs.update_parameters(module)
    assert of_ours.seen == 0
    assert of_torch.seen > 0
