"""linear(3C) ── reshape ── slices q, k, v is three linear(C)."""

import pytest
import torch
import torch.nn.functional as F
from check_rule import FEW, Net, check, check_spared, operators
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

SIZES = st.tuples(*[st.integers(1, 4)] * 3)


@FEW
@given(parts=st.integers(2, 4), sizes=SIZES, bias=st.booleans())
def test_parts_of_a_linear_layer_are_linear_layers(parts, sizes, bias):
    n, t, c = sizes

    def function(m, x):
        return [p.exp() for p in m.fc(x).reshape(n, t, parts, c).unbind(2)]

    net = Net(function, fc=nn.Linear(5, parts * c, bias=bias))
    done, report = check(net, torch.randn(n, t, 5), applies="slice_before_reshape")
    assert report.applied["slice_of_product"] == parts
    assert set(operators(done)) == {"linear", "exp"}


@FEW
@given(
    sides=st.tuples(st.integers(1, 3), st.integers(3, 7), st.integers(3, 7)),
    cut=st.integers(1, 5),
    bias=st.booleans(),
    stride=st.integers(1, 2),
    padding=st.integers(0, 1),
)
def test_parts_of_a_convolution_are_convolutions(sides, cut, bias, stride, padding):
    n, h, w = sides
    conv = nn.Conv2d(3, 6, 3, stride, padding, bias=bias)
    net = Net(lambda m, x: [p.exp() for p in m.conv(x).split([cut, 6 - cut], 1)], conv=conv)
    done, _ = check(net, torch.randn(n, 3, h, w), applies="slice_of_product")
    assert operators(done).count("conv2d") == 2
    assert "slice" not in operators(done)


@FEW
@given(sizes=SIZES, r=st.integers(2, 4))
def test_a_slice_of_a_split_axis_is_a_slice_of_the_axis(sizes, r):
    n, c, w = sizes
    net = Net(lambda m, x: x.reshape(n, r, c, 2, w)[:, 1:] * 2)
    done, _ = check(net, torch.randn(n, 2 * r * c, w), applies="slice_before_reshape")
    assert operators(done)[0] == "slice"


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: x.reshape(2, 5, 3, 4)[:, 0:4:2],
        lambda m, x: x.reshape(2, 5, 3, 4)[:, ::2],
        lambda m, x: x.reshape(2, 5, 3, 4)[..., 1:],
        lambda m, x: x.reshape(10, 12)[1:],
        lambda m, x: x.exp()[:, 1:],
    ],
    ids=["step", "step to the end", "inner part", "joined axes", "no reshape"],
)
def test_a_slice_of_something_else_stays_behind_the_reshape(function):
    check_spared(Net(function), torch.randn(2, 5, 12), spared_by="slice_before_reshape")


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: m.fc(x)[..., ::2],
        lambda m, x: m.fc(x)[..., :4:2] + m.fc.bias[:2],
        lambda m, x: torch.cat([(y := m.fc(x))[..., ::2], y[..., 3:]], -1),
        lambda m, x: (y := m.fc(x))[..., 1:] * y[..., :-1],
        lambda m, x: (y := m.fc(x))[..., 1:] * y.sum(),
        lambda m, x: m.fc(x)[:, 1:],
        lambda m, x: F.linear(x, x[0])[..., 1:],
        lambda m, x: m.grouped(x[..., None])[:, 1:],
    ],
    ids=[
        "step to the end",
        "step",
        "step beside it",
        "overlapping",
        "read whole",
        "another axis",
        "computed weights",
        "groups",
    ],
)
def test_a_slice_of_a_product_stays_behind_it(function):
    net = Net(function, fc=nn.Linear(3, 5), grouped=nn.Conv2d(4, 4, 1, groups=2))
    check_spared(net, torch.randn(2, 4, 3), spared_by="slice_of_product")


@FEW
@given(sizes=SIZES, start=st.integers(0, 2))
def test_only_the_rows_that_are_kept_are_computed(sizes, start):
    n, t, c = sizes
    t += 3

    def function(m, x):
        y = x + m.fc2(m.fc1(m.norm(x)).relu() * 2)
        return y[:, start : start + 1]

    net = Net(function, norm=nn.LayerNorm(c), fc1=nn.Linear(c, 7), fc2=nn.Linear(7, c))
    rule = "slice_before_what_it_keeps"
    done, report = check(net, torch.randn(n, t, c), applies=rule, names=("views", "slices"))
    assert report.applied["equal_slices_joined"] == 1
    assert operators(done)[0] == "slice"
    assert operators(done).count("slice") == 1


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: torch.bmm(x, x.mT)[:, 1:],
        lambda m, x: torch.bmm(x, x.mT)[..., 1:],
        lambda m, x: torch.bmm(x, x.mT)[1:],
        lambda m, x: (x * x[:, :1])[:, 1:].exp(),
        lambda m, x: torch.cat([x, x[:, :1].exp()[:, 1:]], 1),
        lambda m, x: x.softmax(-1)[:, 1:],
        lambda m, x: F.scaled_dot_product_attention(x, x, x)[:, 1:],
    ],
    ids=["left rows", "right columns", "batches", "broadcast", "none of one", "softmax", "queries"],
)
def test_a_slice_of_a_product_of_two_takes_what_it_needs(function):
    rule = "slice_before_what_it_keeps"
    done, _ = check(Net(function), torch.randn(3, 4, 5), applies=rule, names=("views", "slices"))
    assert operators(done)[-1] != "slice"


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: x.softmax(-1)[..., 1:],
        lambda m, x: F.scaled_dot_product_attention(x, x, x, is_causal=True)[:, 1:],
        lambda m, x: m.norm(x)[..., 1:],
        lambda m, x: (y := x.exp())[:, 1:] + y.sum(),
        lambda m, x: torch.cat([(y := x.exp())[:, 1:], y[:, :2]]),
    ],
    ids=["along the softmax", "causal", "along the norm", "read whole", "two different"],
)
def test_a_slice_that_needs_the_whole_stays(function):
    net = Net(function, norm=nn.LayerNorm(5))
    rule = "slice_before_what_it_keeps"
    check_spared(net, torch.randn(3, 3, 5), spared_by=rule, names=("views", "slices"))
