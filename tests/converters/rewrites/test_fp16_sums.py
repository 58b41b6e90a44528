"""Sums that overflow fp16 on the way are formed of smaller numbers, equal ones."""

import torch
from check_rule import FEW, Net, check, check_spared, operators
from hypothesis import given
from hypothesis import strategies as st

BEFORE = ("fp16_sums",)


@FEW
@given(side=st.integers(1, 9), factor=st.sampled_from([None, 2.0, 0.25]), keep=st.booleans())
def test_a_divided_sum_is_a_mean(side, factor, keep):
    count = side * side if factor is None else factor
    net = Net(lambda m, x: x.sum((2, 3), keepdim=keep) / count)
    after, _ = check(net, torch.randn(2, 3, side, side), applies="sum_as_mean", names=BEFORE)
    assert "sum" not in operators(after)
    assert operators(after).count("mul") == (0 if count == side * side else 1)


def test_a_sum_that_others_read_stays():
    def both(m, x):
        total = x.sum((2, 3))
        return total / 4, total.exp()

    check_spared(Net(both), torch.rand(1, 2, 3, 3), spared_by="sum_as_mean", names=BEFORE)


@FEW
@given(tokens=st.integers(1, 9), width=st.integers(1, 16), divided=st.booleans())
def test_scores_are_scaled_before_the_product(tokens, width, divided):
    def scores(m, q, k):
        product = q @ k.transpose(-2, -1)
        return product / width**0.5 if divided else product * (0.5 / width)

    sides = torch.randn(2, tokens, width), torch.randn(2, tokens, width)
    applies = {"scores_scaled_first"} if width > 1 or not divided else set()
    after, _ = check(Net(scores), *sides, applies=applies, names=BEFORE)
    if applies:
        found = operators(after)
        assert found.index("mul") < found.index("matmul")


def test_scores_that_grow_are_left():
    net = Net(lambda m, q: (q @ q.transpose(-2, -1)) * 3.0)
    check_spared(net, torch.randn(1, 4, 8), spared_by="scores_scaled_first", names=BEFORE)


@FEW
@given(
    eps=st.sampled_from([1e-6, 1e-5, 1e-3]),
    inverse=st.booleans(),
    size=st.sampled_from([0.0, 1.0, 900.0]),
)
def test_a_norm_squares_smaller_numbers(eps, inverse, size):
    def normalised(m, x):
        d = x - x.mean(-1, keepdim=True)
        moment = d.pow(2).mean(-1, keepdim=True) + eps
        return d * torch.rsqrt(moment) if inverse else d / torch.sqrt(moment)

    x = size * torch.randn(2, 5, 16)
    after, _ = check(Net(normalised), x, applies="norm_of_smaller", names=BEFORE)
    assert "pow" not in operators(after)


def test_a_norm_with_a_tiny_epsilon_has_no_room():
    net = Net(lambda m, x: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-12))
    check_spared(net, torch.randn(2, 8), spared_by="norm_of_smaller", names=BEFORE)
