"""Repairs are identities of real arithmetic, applied where they must be, and cure what they say."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgevit.converters import repairs
from edgevit.converters.target import find
from edgevit.converters.verify import AGREES
from edgevit.pipeline.convert import convert
from edgevit.recipe import Recipe

NORMS = {
    "by layer norm": repairs.group_norm_by_layer_norm,
    "by means": repairs.group_norm_by_means,
}


class TwoLinears(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x):
        return self.b(F.gelu(self.a(x)))


class Separable(nn.Module):
    """The product of MobileViTv2's attention: a vector expanded over the positions."""

    def __init__(self):
        super().__init__()
        self.into, self.out = nn.Conv2d(8, 16, 1), nn.Conv2d(8, 8, 1)

    def forward(self, x):
        value, key = self.into(x).split(8, 1)
        return self.out(value * key.sum(-1, keepdim=True).expand_as(value))


class Square(nn.Module):
    def forward(self, x):
        wide = x.expand(4, 3)
        return wide * wide


def exported(module, *shape):
    torch.manual_seed(0)
    for p in module.parameters():
        nn.init.normal_(p, std=0.5)
    return torch.export.export(module.eval(), (torch.randn(shape),))


def targets(program):
    return [n.target for n in program.graph.nodes]


@pytest.mark.parametrize("make", NORMS.values(), ids=NORMS)
@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (nn.GroupNorm(1, 6), (2, 6, 5, 7)),
        (nn.GroupNorm(3, 6, eps=0.1), (2, 6, 9)),
        (nn.GroupNorm(2, 6, affine=False), (1, 6, 4, 4)),
    ],
)
def test_a_group_norm_stays_the_same_function(make, norm, shape):
    before = exported(norm, *shape)
    after = repairs.replaced(before, make())
    assert torch.ops.aten.group_norm.default not in targets(after)
    x = torch.randn(shape, dtype=torch.float64)
    mine, theirs = after.module().double()(x), before.module().double()(x)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_programs_without_such_operators_stay_as_they_are():
    program = exported(TwoLinears(), 1, 2, 2, 8)
    for make in NORMS.values():
        assert repairs.replaced(program, make()) is program
    assert repairs.linear_over_rows(program) is program
    before = targets(program)
    assert targets(repairs.implicit_broadcasts(program)) == before


@pytest.mark.parametrize("shape", [(1, 1, 1, 8), (1, 3, 1, 8), (2, 3, 1, 1, 8)])
def test_linears_over_rows_keep_shape_and_values(shape):
    before = exported(TwoLinears(), *shape)
    after = repairs.linear_over_rows(before)
    assert after is not before
    x = torch.randn(shape, dtype=torch.float64)
    mine, theirs = after.module().double()(x), before.module().double()(x)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_an_expand_goes_where_the_product_broadcasts_anyway():
    program = exported(Separable(), 1, 8, 4, 6)
    x = torch.randn(1, 8, 4, 6)
    expected = program.module()(x)
    after = repairs.implicit_broadcasts(program)
    assert torch.ops.aten.expand_as.default not in targets(after)
    assert torch.equal(after.module()(x), expected)


def test_an_expand_stays_where_it_makes_the_shape():
    program = repairs.implicit_broadcasts(exported(Square(), 1, 3))
    x = torch.randn(1, 3)
    assert torch.equal(program.module()(x), Square()(x))


class OneHead(nn.Module):
    def forward(self, q, k):
        return torch.bmm(q, k.permute(0, 2, 1))


@pytest.mark.parametrize(("heads", "cuts"), [(1, 2), (2, 0)])
def test_keys_of_one_head_are_cut_to_size(heads, cuts):
    q, k = torch.randn(heads, 5, 4), torch.randn(heads, 13, 4)
    program = repairs.keys_cut_to_size(torch.export.export(OneHead(), (q, k)))
    assert targets(program).count(torch.ops.aten.slice.Tensor) == cuts
    assert torch.equal(program.module()(q, k), OneHead()(q, k))


CURED = [
    ("executorch", nn.GroupNorm(1, 128), (1, 128, 64, 64)),
    ("executorch", nn.Sequential(nn.Conv2d(4, 4, 1), nn.Softmax(-1)), (1, 4, 6, 6)),
    ("onnx", nn.GroupNorm(1, 128), (1, 128, 64, 64)),
    ("tflite", TwoLinears(), (1, 1, 1, 8)),
    ("tflite", Separable(), (1, 8, 4, 6)),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "module", "shape"),
    [pytest.param(*case, marks=pytest.mark.needs(*find(case[0]).needs)) for case in CURED],
)
def test_cures_in_the_runtime(target, module, shape, tmp_path):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) + 3
    module = module.eval()
    (outcome,) = convert(Recipe("m"), to=[target], out=tmp_path, model=(module, (x,)), verify=False)
    assert outcome.error is None
    with outcome.artifact.open() as session:
        (found,) = session(x.numpy())
    with torch.no_grad():
        exact = copy.deepcopy(module).double()(x.double())
        eager = float((module(x) - exact).abs().max())
    assert np.abs(found - exact.numpy()).max() < 8 * eager


class CachedBias(nn.Module):
    """A tensor that is no buffer, and two Resizes of one scale: EfficientFormerV2 has both."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.cache = {"bias": torch.linspace(-1, 1, 3).reshape(3, 1, 1)}

    def forward(self, x):
        for _ in range(2):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear")
        return self.conv(x + self.cache["bias"])


HALVED = ("executorch", "onnx")


@pytest.mark.slow
@pytest.mark.parametrize(
    "target", [pytest.param(t, marks=pytest.mark.needs(*find(t).needs)) for t in HALVED]
)
def test_half_precision_reaches_constants_and_resizes(target, tmp_path):
    x = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    made = convert(
        Recipe("m"),
        to=[target],
        out=tmp_path,
        precisions=["fp16"],
        model=(CachedBias().eval(), (x,)),
    )
    assert [outcome.error for outcome in made] == [None]
    assert made[0].artifact.card.agreement.status == AGREES
