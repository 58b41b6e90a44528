"""conv ── permute ── norm ── linear ── permute ── conv becomes conv ── norm ── conv 1×1 ── conv."""

import pytest
import torch
import torch.nn.functional as F
from check_rule import FEW, Net, check, check_spared, drawn, each, operators
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

SHAPES = st.tuples(st.integers(1, 3), *[st.integers(2, 5)] * 3)


def channels_last(m, x):
    y = m.dw(x).permute(0, 2, 3, 1)
    y = m.fc2(F.gelu(m.fc1(m.norm(y)))) * m.gamma
    return x + y.permute(0, 3, 1, 2)


@FEW
@given(shape=SHAPES, bias=st.booleans())
def test_a_channels_last_block_keeps_its_layout(shape, bias):
    c = shape[1]
    net = Net(
        channels_last,
        dw=nn.Conv2d(c, c, 3, padding=1, groups=c, bias=bias),
        norm=drawn(nn.LayerNorm(c, bias=bias)),
        fc1=nn.Linear(c, 16, bias=bias),
        fc2=nn.Linear(16, c, bias=bias),
        gamma=torch.rand(c),
    )
    done, _ = check(net, torch.randn(shape), applies="permute_past_linear", growth=16)
    assert not {"permute", "linear", "layer_norm"} & set(operators(done))


def last(x):
    return x.permute(0, 2, 3, 1)


def first(x):
    return x.permute(0, 3, 1, 2)


MOVES = [
    ("permute_past_unary", lambda m, x: first(last(x).tanh().clamp(-0.5, 1).pow(3))),
    ("permute_past_binary", lambda m, x: first(last(x) * m.c[: x.shape[1]] - last(x.exp()) / 3)),
    ("permute_past_binary", lambda m, x: first(last(x) + x.mean((1, 2, 3), keepdim=True)[:1])),
    ("permute_past_axis", lambda m, x: first(last(x).softmax(-2)[:, 1:, :, 1:])),
    ("permute_past_reduction", lambda m, x: last(x).mean((1, 2)) + last(x).amax((1, 2))),
    (
        "permute_past_reduction",
        lambda m, x: x.permute(3, 1, 0, 2).sum(2) + x.mT.amax(1).mT[0, 0, 0],
    ),
    ("permute_past_reduction", lambda m, x: first(last(x).mean(-1, keepdim=True))),
    ("permute_past_cat", lambda m, x: first(torch.cat([last(x), last(x.relu())], -1))),
    ("permute_before_reshape", lambda m, x: x.flatten(2).transpose(1, 2).cumsum(1)),
    ("permute_after_reshape", lambda m, x: last(x).flatten(1, 2).mT.reshape(x.shape) * 2),
]


@FEW
@given(shape=SHAPES)
def test_a_permute_moves_down(shape):
    net = Net(each(*[function for _, function in MOVES]), c=torch.rand(5) + 0.5)
    check(net, torch.randn(shape), applies={rule for rule, _ in MOVES}, growth=16)


WIDE = torch.tensor(0.1, dtype=torch.float64)


def test_a_number_of_another_type_does_not_change_that_of_a_map():
    net = Net(lambda m, x: first(last(x) + WIDE) * x)
    done, _ = check(net, torch.randn(2, 3, 4, 5), applies="permute_past_binary")
    assert "permute" not in operators(done)


STAYS = {
    "turned_otherwise": ("permute_past_binary", lambda m, x: last(x) + x.permute(0, 3, 2, 1)),
    "a_map_beside_it": ("permute_past_binary", lambda m, x: last(x) * x),
    "more_axes_beside_it": ("permute_past_binary", lambda m, x: x[0].permute(1, 2, 0) * x),
    "softmax_at_the_end": ("permute_past_axis", lambda m, x: last(x).softmax(-1)),
    "height_and_width": ("permute_past_reduction", lambda m, x: last(x).mean((2, 3))),
    "another_type": ("permute_past_reduction", lambda m, x: last(x).sum(1, dtype=torch.float64)),
    "parts_turned_otherwise": (
        "permute_past_cat",
        lambda m, x: torch.cat([last(x), x.permute(0, 3, 2, 1)], 1),
    ),
    "a_part_not_turned": ("permute_past_cat", lambda m, x: torch.cat([last(x), x], 1)),
    "rows_not_channels": ("permute_past_linear", lambda m, x: m.fc(x.permute(0, 3, 2, 1))),
    "computed_weights": ("permute_past_linear", lambda m, x: F.linear(last(x), x[0, 0])),
    "a_vector_of_weights": ("permute_past_linear", lambda m, x: F.linear(last(x), m.fc.bias)),
    "tokens_read_twice": (
        "permute_before_reshape",
        lambda m, x: (y := x.flatten(2)).mT.cumsum(1).sum() + y,
    ),
    "no_map_before": ("permute_before_reshape", lambda m, x: x.flatten(1, 2).mT * 2),
    "no_map_behind": ("permute_after_reshape", lambda m, x: x[0].mT.reshape(2, 2, 2, 8) * 2),
}


@pytest.mark.parametrize("name", STAYS)
def test_a_permute_stays_at(name):
    rule, function = STAYS[name]
    net = Net(function, fc=nn.Linear(4, 4))
    check_spared(net, torch.randn(4, 4, 4, 4), spared_by=rule, growth=16)


@FEW
@given(c=st.integers(2, 5), n=st.integers(1, 2), h=st.integers(2, 4))
def test_a_linear_layer_after_the_norm_of_a_map(c, n, h):
    net = Net(
        lambda m, x: m.fc(m.norm(x.permute(0, 2, 3, 1))).relu().permute(0, 3, 1, 2),
        norm=nn.LayerNorm(c),
        fc=nn.Linear(c, 7),
    )
    x = torch.randn(n, c, h, 3)
    names = ("views", "layout")
    done, _ = check(net, x, applies="convolution_after_norm", names=names)
    assert operators(done) == ["permute", "layer_norm", "permute", "conv2d", "relu"]


def test_a_linear_layer_after_the_norm_of_tokens_stays():
    net = Net(lambda m, x: m.fc(m.norm(x)), norm=nn.LayerNorm(6), fc=nn.Linear(6, 7))
    check_spared(net, torch.randn(2, 3, 6), spared_by="convolution_after_norm")
