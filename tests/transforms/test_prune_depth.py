"""Residual blocks: found, left out, and the structure that says so."""

import json

import pytest
import torch
from torch import nn

from edgevit import models
from edgevit.errors import WeightsError
from edgevit.models.efficientmod import Modulation
from edgevit.transforms.merge import merged, merging_of
from edgevit.transforms.prune_budget import Costs, Layer
from edgevit.transforms.prune_depth import blocks_of, divergence, left_of, shallower
from edgevit.transforms.prune_groups import groups_of
from edgevit.transforms.prune_narrow import without
from edgevit.transforms.prune_structure import restructured, structure, widths


class Residual(nn.Module):
    def __init__(self, wide, inner):
        super().__init__()
        self.f = nn.Sequential(nn.Linear(wide, inner), nn.ReLU(), nn.Linear(inner, wide))

    def forward(self, x):
        return x + self.f(x)


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 16), Residual(16, 32), nn.Linear(16, 16), Residual(16, 64), nn.Linear(16, 3)
    ).eval()


X = torch.randn(2, 6)


@pytest.mark.parametrize(
    ("name", "side", "many"),
    [
        ("mobilenetv2_100", 32, 10),
        ("deit_tiny", 32, 12),
        ("efficientmod_xxs", 64, None),
        ("timm:convnext_atto", 32, 12),
        ("timm:resnet18", 32, 5),  # relu(x + f(x)) of what is positive
    ],
)
def test_blocks_of_families(name, side, many):
    model = models.build(name, num_classes=4, input_size=side)
    blocks = blocks_of(model.module, model.inputs)
    own = sum(isinstance(m, Modulation) for m in model.module.modules())
    assert len(blocks) >= own
    assert many is None or len(blocks) == many
    narrow = shallower(model.module, blocks)
    assert narrow(*model.inputs).shape == (1, 4)
    assert sum(p.numel() for p in narrow.parameters()) < sum(
        p.numel() for p in model.module.parameters()
    )


def test_a_layer_that_keeps_the_shape_is_no_block():
    assert blocks_of(net(), (X,)) == ["1", "3"]


def test_without_a_block_x_is_passed_on():
    whole = net()
    short = shallower(whole, ["1"])
    x = whole[0](X)
    assert torch.equal(short(X), whole[4](whole[3](whole[2](x))))
    assert divergence(whole, whole, X) == 0 < divergence(short, whole, X)
    assert whole[1].f[0].weight.shape == (32, 16)


def test_a_shallower_and_narrower_net_is_made_again_from_its_structure():
    whole = net()
    groups, refused = groups_of(whole, (X,))
    assert refused == {}
    left = left_of(groups, ["3"])
    assert {g.name for g in groups} - {g.name for g in left} == {"3.f.0"}
    made = without(shallower(whole, ["3"]), [(g, range(g.units // 2)) for g in left])
    said = structure(made, whole)
    again = restructured(whole, said)
    again.load_state_dict(made.state_dict())
    assert torch.equal(again(X), made(X))
    assert widths(said, whole) == {
        "0": [16, 8],
        "1.f.0": [32, 16],
        "1.f.2": [16, 8],
        "2": [16, 8],
        "3.f.0": [64, 0],
        "3.f.2": [16, 0],
    }
    with pytest.raises(WeightsError, match="pruned from another model"):
        restructured(whole, json.dumps({"gone": ["7.f"], "shapes": {}, "counts": {}}))


class Named(nn.Module):
    """Its blocks are called with more than x."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Scaled(), Scaled()])

    def forward(self, x):
        return self.blocks[1](self.blocks[0](x, scale=2.0), scale=1.0)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Linear(6, 6)

    def forward(self, x, *, scale):
        return x + scale * self.f(x)


def test_a_block_that_is_told_more_than_x_stays():
    assert blocks_of(Named(), (X,)) == []


def test_tokens_merge_in_the_blocks_that_are_left():
    model = models.build("deit_tiny", num_classes=4, input_size=64)
    short = shallower(model.module, ["blocks.0", "blocks.7"])
    made = merged(short, 1, inputs=model.inputs)
    assert [m.counts for m in merging_of(made)] == [[1] * 10]
    same = merged(short, 0, inputs=model.inputs)(*model.inputs)
    assert torch.allclose(same, short(*model.inputs), atol=1e-5)


def test_what_a_block_costs_goes_with_it():
    whole = net()
    groups, _ = groups_of(whole, (X,))
    layers = [
        Layer(("1.f.0.weight",), (0.0, 1.0), (0.0, 3.0)),
        Layer(("3.f.0.weight", "3.f.2.weight"), (0.0, 1.0), (1.0, 5.0)),
        Layer(("2.weight", "3.f.2.weight"), (0.0, 1.0), (0.0, 5.0)),  # of 256 and 1024 numbers
        Layer((), (1.0,), (2.0,)),
    ]
    assert Costs(whole, groups, layers).most == 15
    assert Costs(whole, left_of(groups, ["3"]), layers, ["3"]).most == pytest.approx(3 + 1 + 2)
