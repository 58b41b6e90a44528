"""a + b.expand_as(a) is a + b, and x.repeat(1, 2) is cat([x, x], 1)."""

import pytest
import torch
import torch.nn.functional as F
from check_rule import FEW, Net, check, check_spared, each, operators
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

SHAPES = st.tuples(*[st.integers(1, 3)] * 2, *[st.integers(2, 5)] * 2)
WIDE = torch.tensor(0.1, dtype=torch.float64)

CASES = [
    ("expands_removed", lambda m, x: x * x.mean(3, keepdim=True).expand_as(x)),
    ("expands_removed", lambda m, x: x[:1, :1].expand(x.shape[0], x.shape[1], -1, -1) / (x + 9)),
    ("numbers_as_tensors", lambda m, x: 1.5 * x.exp() - 1),
    ("numbers_as_tensors", lambda m, x: x / (x.abs().sum((0, 1, 2, 3)) + 1)),
    ("reversed_differences", lambda m, x: (1 - x) * (0.5 - x)),
    ("integers_as_floats", lambda m, x: x.exp() * m.grid[: x.shape[-1]] + m.count),
    ("integers_as_floats", lambda m, x: x.exp() * WIDE),
    ("repeat_by_cat", lambda m, x: x.repeat(1, 2, 1, 3)),
    ("repeat_by_cat", lambda m, x: x.repeat(2, 3, 1, 1, 1).exp()),
]


@FEW
@given(shape=SHAPES)
def test_no_copy_and_no_conversion_is_left(shape):
    net = Net(
        each(*[function for _, function in CASES]), grid=torch.arange(5), count=torch.tensor(3)
    )
    done, _ = check(net, torch.randn(shape), applies={rule for rule, _ in CASES})
    assert not {"expand", "repeat", "rsub"} & set(operators(done))


STAYS = [
    ("expands_removed", lambda m, x: x[:1].expand(3, -1, -1, -1) * 2.5, None),
    ("expands_removed", lambda m, x: x[:1].expand(2, -1, -1, -1) + x[:1].exp(), None),
    ("expands_removed", lambda m, x: x * x.double().mean().expand(x.shape), None),
    ("numbers_as_tensors", lambda m, x: torch.sub(x, 2, alpha=3), None),
    ("numbers_as_tensors", lambda m, x: x * 2, torch.int64),
    ("numbers_as_tensors", lambda m, x: x * 0.5, torch.int64),
    ("reversed_differences", lambda m, x: torch.rsub(x, 1, alpha=2), None),
    ("reversed_differences", lambda m, x: 1.5 - x, torch.int64),
    ("integers_as_floats", lambda m, x: x * m.grid, torch.int64),
    ("integers_as_floats", lambda m, x: x * m.rows, None),
    ("integers_as_floats", lambda m, x: x.sum((0, 1, 2, 3)) * m.one, None),
    ("repeat_by_cat", lambda m, x: torch.cat([x, x.repeat(0, 1, 1, 1)]), None),
]


@pytest.mark.parametrize(("rule", "function", "dtype"), STAYS)
def test_what_decides_a_shape_or_a_type_stays(rule, function, dtype):
    net = Net(function, grid=torch.arange(4), rows=torch.rand(4), one=torch.tensor(2.0))
    check_spared(net, (9 * torch.randn(2, 3, 4, 4)).to(dtype or torch.float32), spared_by=rule)


@FEW
@given(shape=SHAPES, r=st.integers(2, 4), axis=st.integers(1, 3))
def test_a_factor_repeated_over_blocks_is_repeated_by_cat(shape, r, axis):
    def blocks(m, wide, narrow):
        return (narrow.unsqueeze(axis) * wide.unflatten(axis, (r, -1))).flatten(axis, axis + 1)

    wide = [*shape[:axis], r * shape[axis], *shape[axis + 1 :]]
    x = torch.randn(wide), torch.randn(shape)
    done, _ = check(Net(blocks), *x, applies="blocks_repeated_by_cat")
    assert sorted(operators(done)) == ["cat", "mul"]


def test_a_factor_repeated_element_by_element_is_left_alone():
    net = Net(lambda m, a, b: (a.unflatten(1, (3, 2)) * b.unsqueeze(2)).flatten(1, 2))
    x = torch.randn(2, 6, 4), torch.randn(2, 3, 4)
    check_spared(net, *x, spared_by="blocks_repeated_by_cat")


@FEW
@given(
    shape=SHAPES,
    r=st.integers(2, 4),
    bias=st.booleans(),
    padding=st.integers(0, 1),
    linear=st.booleans(),
)
def test_a_repeat_of_a_product_goes_into_its_weights(shape, r, bias, padding, linear):
    if linear:
        net = Net(lambda m, x: m.a(x).repeat(1, 1, 1, r), a=nn.Linear(shape[3], 5, bias=bias))
    else:
        conv = nn.Conv2d(shape[1], 5, 2, padding=padding, bias=bias)
        net = Net(lambda m, x: m.a(x).repeat(1, r, 1, 1), a=conv)
    done, _ = check(net, torch.randn(shape), applies="repeat_by_wider_weights")
    assert operators(done) == ["linear" if linear else "conv2d"]


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: m.conv(x).repeat(1, 1, 2, 1),
        lambda m, x: m.grouped(x).repeat(1, 2, 1, 1),
        lambda m, x: (y := m.conv(x)).repeat(1, 2, 1, 1).sum() + y,
        lambda m, x: torch.cat([m.conv(x), m.grouped(x)], 1),
        lambda m, x: nn.functional.conv2d(x, x[:, :, :1, :1]).repeat(1, 2, 1, 1),
    ],
    ids=["another axis", "groups", "read elsewhere", "no repeat", "computed weights"],
)
def test_a_repeat_of_something_else_is_left_alone(function):
    net = Net(function, conv=nn.Conv2d(4, 4, 1), grouped=nn.Conv2d(4, 4, 1, groups=2))
    check_spared(net, torch.randn(4, 4, 3, 3), spared_by="repeat_by_wider_weights")


def repeated(m, x):
    return m.after(F.gelu(m.wide(x)) * m.once(x).repeat(1, 3, 1, 1))


@FEW
@given(c=st.integers(1, 5), n=st.integers(1, 2), bias=st.booleans())
def test_a_repeated_factor_is_taken_branch_by_branch(c, n, bias):
    wide, once = nn.Conv2d(4, 3 * c, 1, bias=bias), nn.Conv2d(4, c, 1, bias=bias)
    net = Net(repeated, wide=wide, once=once, after=nn.Conv2d(3 * c, 6, 1, bias=bias))
    names = ("views", "repeat_by_cat", "repeat_by_branches")
    x = torch.randn(n, 4, 5, 3)
    done, _ = check(net, x, applies="repeat_by_branches", names=names)
    assert "cat" not in operators(done)


def test_a_product_that_something_else_reads_stays_whole():
    net = Net(
        lambda m, x: (y := m.wide(x) * m.once(x).repeat(1, 3, 1, 1)).sum() + m.after(y),
        wide=nn.Conv2d(4, 6, 1),
        once=nn.Conv2d(4, 2, 1),
        after=nn.Conv2d(6, 6, 1),
    )
    names = ("views", "repeat_by_cat", "repeat_by_branches")
    check_spared(net, torch.randn(1, 4, 3, 3), spared_by="repeat_by_branches", names=names)
