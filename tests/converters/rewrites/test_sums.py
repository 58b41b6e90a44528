"""a − b with the sign in the constants of b, and x · a + x · b as x · (a + b)."""

import pytest
import torch
from check_rule import FEW, Net, check, check_spared, drawn, operators
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

DIFFERENCE, COPIES = "difference_by_sum", "copies_summed"


def test_what_fastvit_subtracts_folds():
    net = Net(
        lambda m, x: x + m.gamma * (m.conv(x) - m.norm(x)),
        conv=nn.Conv2d(4, 4, 3, padding=1, groups=4),
        norm=drawn(nn.BatchNorm2d(4)),
        gamma=torch.rand(4, 1, 1),
    )
    done, _ = check(net, torch.randn(2, 4, 6, 5), applies=DIFFERENCE)
    assert operators(done) == ["conv2d"]


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: m.conv(x) - x,
        lambda m, x: x - m.conv(x),
        lambda m, x: m.conv(x) - (m.conv(x) * m.k - 2 + x * 3.0 + m.k),
    ],
    ids=["the map", "a convolution", "a sum"],
)
def test_a_difference_of_branches_is_one_convolution(function):
    net = Net(function, conv=nn.Conv2d(4, 4, 3, padding=1), k=torch.rand(4, 1, 1))
    done, _ = check(net, torch.randn(2, 4, 6, 5), applies=DIFFERENCE)
    assert operators(done) == ["conv2d"]


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: x - x.mean(1, keepdim=True),
        lambda m, x: x.relu() - x,
        lambda m, x: x.relu() - m.mean(x),
        lambda m, x: torch.sub(x.relu(), m.conv(x), alpha=2),
        lambda m, x: x.relu() - (y := m.conv(x)) + y.relu(),
        lambda m, x: x.relu() - m.k,
    ],
    ids=["a mean", "a map", "broadcast", "alpha", "read twice", "a constant"],
)
def test_a_sign_that_would_cost_an_operator_stays(function):
    net = Net(function, conv=nn.Conv2d(4, 4, 1), mean=nn.Conv2d(4, 1, 1), k=torch.rand(4, 1, 1))
    check_spared(net, torch.randn(2, 4, 6, 5), spared_by=DIFFERENCE, names=("affine", "sums"))


@FEW
@given(n=st.integers(1, 3), t=st.integers(2, 5), c=st.integers(2, 9))
def test_the_norm_of_slab_is_one_scale_and_one_shift(n, t, c):
    """And then goes into the linear layer behind it."""

    def function(m, x):
        x = x.transpose(1, 2)
        return m.fc((m.norm(x) + m.alpha * x).transpose(1, 2))

    net = Net(function, norm=drawn(nn.BatchNorm1d(c)), alpha=torch.rand(1), fc=nn.Linear(c, 3))
    done, _ = check(net, torch.randn(n, t, c), applies=COPIES)
    assert operators(done) == ["linear"]


def test_a_map_beside_its_scaled_copy():
    net = Net(lambda m, x: (x * m.k + x.exp() + x + 1).relu(), k=torch.rand(4, 1, 1))
    done, _ = check(net, torch.randn(2, 4, 6, 5), applies=COPIES)
    assert sorted(operators(done)) == ["add", "add", "exp", "mul", "relu"]


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: x * m.k + x * m.row,
        lambda m, x: (y := x * m.k) + x + y.relu(),
        lambda m, x: x * m.k + x.exp(),
        lambda m, x: torch.add(x * m.k, x, alpha=2),
    ],
    ids=["a larger sum", "read twice", "another map", "alpha"],
)
def test_other_sums_stay(function):
    net = Net(function, k=torch.rand(4, 1, 1), row=torch.rand(1, 6, 1))
    check_spared(net, torch.randn(2, 4, 6, 5), spared_by=COPIES)
