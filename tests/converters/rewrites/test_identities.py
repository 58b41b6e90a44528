"""x.clone() · 1 is x, and table[index] is a constant."""

import pytest
import torch
import torch.nn.functional as F
from check_rule import FEW, Net, as_exported, check, check_spared, each, operators
from hypothesis import given
from hypothesis import strategies as st

aten = torch.ops.aten
SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4)
COPIES = [
    lambda m, x: F.dropout(x, 0.5, m.training).contiguous().clone() + 2,
    lambda m, x: x.expand(x.shape).repeat([1] * x.dim()).detach() + 2,
    lambda m, x: x.type_as(x).to(x.dtype).expand_as(x) + 2,
]


@FEW
@given(shape=SHAPES)
def test_copies_are_the_tensor_itself(shape):
    done, _ = check(Net(each(*COPIES)), torch.randn(shape), applies="copies_removed")
    assert set(operators(done)) == {"add"}


@pytest.mark.parametrize(
    "function",
    [lambda m, x: x.expand(4, 3, 5) + 2, lambda m, x: aten._to_copy(x, dtype=torch.float64) + 2],
)
def test_a_copy_of_another_shape_or_type_stays(function):
    check_spared(Net(function), torch.randn(3, 5), spared_by="copies_removed")


def test_dropout_in_train_mode_stays():
    with as_exported():
        net = Net(lambda m, x: F.dropout(x, 0.0, True) + 2)
        check_spared(net, torch.randn(3, 5), spared_by="copies_removed")


@FEW
@given(shape=SHAPES)
def test_neutral_numbers_are_gone(shape):
    net = Net(lambda m, x: ((x + 0) * 1.0 - 0.0) / 1 + 2)
    done, report = check(net, torch.randn(shape), applies="neutral_numbers_removed")
    assert report.applied["neutral_numbers_removed"] == 4
    assert operators(done) == ["add"]


@pytest.mark.parametrize("x", [torch.randn(3), torch.arange(3)], ids=["float", "integer"])
@pytest.mark.parametrize(
    "function", [lambda m, x: x / 1 + x * 0, lambda m, x: x * 1.0 - 1], ids=["over", "times"]
)
def test_numbers_that_change_the_type_are_not_neutral(function, x):
    if x.is_floating_point():
        check(Net(function), x, applies="neutral_numbers_removed")
    else:
        check_spared(Net(function), x, spared_by="neutral_numbers_removed")


FOLDED = [
    lambda m, x: x + m.table[m.index].permute(1, 0).reshape(-1)[: x.shape[-1]],
    lambda m, x: x * (m.table.softmax(-1).mean(0) + m.table.exp().sum(0).rsqrt()),
    lambda m, x: x * torch.cat([m.table, -m.table.relu()]).sigmoid().pow(2).sum(0),
    lambda m, x: x + m.index.to(x.dtype).mean(0),
    lambda m, x: x + F.linear(m.table, m.table).matmul(m.table).sum(0),
]


@FEW
@given(rows=st.integers(1, 6), c=st.integers(1, 5))
def test_what_is_made_of_constants_is_a_constant(rows, c):
    net = Net(each(*FOLDED), table=torch.randn(rows, c), index=torch.arange(rows).flip(0))
    done, _ = check(net, torch.randn(2, c), applies="constants_folded")
    assert set(operators(done)) <= {"add", "mul"}


def test_a_constant_that_would_outgrow_its_parts_is_computed():
    net = Net(lambda m, x: x + m.a * m.b, a=torch.randn(1100, 1), b=torch.randn(1, 1000))
    done, _ = check_spared(net, torch.randn(1), spared_by="constants_folded")
    assert sum(t.numel() for t in done.state_dict.values()) == 2100
