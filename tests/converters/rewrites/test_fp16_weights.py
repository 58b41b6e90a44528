"""Weights too small for fp16 are made larger by a power of two, and what they give smaller."""

import pytest
import torch
from check_rule import Net, check, check_spared
from torch import nn

from edgevit.converters.rewrites.fp16_weights import UNIT, rounding

AFTER = ("fp16_weights",)


def _tiny(layer, size):
    for p in layer.parameters():
        p.data.mul_(size)
    return layer


def _smallest(program):
    return max(rounding(t) for t in program.state_dict.values() if t.numel() > 1)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(16, 8), (2, 16)),
        (nn.Conv2d(4, 8, 3, padding=1), (1, 4, 6, 6)),
        (nn.Conv2d(4, 4, 3, groups=4, bias=False), (1, 4, 6, 6)),
    ],
)
def test_tiny_weights_are_lifted(layer, shape):
    net = Net(lambda m, x: m.layer(x), layer=_tiny(layer, 1e-6))
    before = max(rounding(p) for p in net.parameters())
    after, _ = check(net, torch.randn(shape) * 1e4, applies="weights_lifted", names=AFTER)
    assert before > 4 * UNIT
    assert _smallest(after) <= UNIT


def test_ordinary_weights_stay():
    net = Net(lambda m, x: m.layer(x), layer=nn.Linear(16, 8))
    check_spared(net, torch.randn(2, 16), spared_by="weights_lifted", names=AFTER)


def test_a_tiny_layer_scale_is_lifted():
    net = Net(lambda m, x: m.gamma * x.exp(), gamma=torch.rand(16) * 1e-6)
    after, _ = check(net, torch.randn(2, 16) * 3, applies="factor_lifted", names=AFTER)
    assert _smallest(after) <= UNIT


def test_one_large_element_leaves_no_room():
    gamma = torch.cat([torch.ones(1), torch.rand(15) * 1e-6])
    net = Net(lambda m, x: m.gamma * x.exp(), gamma=gamma)
    check_spared(net, torch.randn(2, 16), spared_by="factor_lifted", names=AFTER)
