"""group_norm(x) is d = x − P mean(x); d · rsqrt(P mean(d²) + eps) · w + b, with P within groups."""

import pytest
import torch
from check_rule import FEW, Net, check, check_spared, drawn, operators
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

RULE = "group_norm_by_means"
MAPS = st.tuples(st.integers(1, 3), st.just(8), st.integers(1, 9), st.integers(1, 9))
GROUPS = st.sampled_from([1, 2, 4])  # torch refuses a group of one number


def norm(groups, **kwargs):
    return Net(lambda m, x: m.norm(x), norm=drawn(nn.GroupNorm(groups, 8, **kwargs)))


@FEW
@given(groups=GROUPS, shape=MAPS)
def test_a_group_norm_is_made_of_means(groups, shape):
    net = Net(lambda m, x: [m.a(x), m.b(x)], a=norm(groups), b=norm(groups, affine=False))
    done, _ = check(net, torch.randn(shape) + 3, applies=RULE, growth=32)
    assert "group_norm" not in operators(done)


@FEW
@given(groups=GROUPS, shape=MAPS)
def test_a_mean_far_away_costs_no_more_digits_than_in_torch(groups, shape):
    net = Net(lambda m, *xs: [m.norm(x) for x in xs], norm=norm(groups))
    pairs = [(1e3, 1.0), (1e3, 1e-2), (0, 1e-6)]
    xs = [mean + deviation * torch.randn(shape) for mean, deviation in pairs]
    check(net, *xs, applies=RULE, growth=32)


def test_what_is_all_alike_has_no_deviation():
    net = Net(lambda m, *xs: [m.norm(x) for x in xs], norm=norm(2))
    check(net, *[torch.full((2, 8, 5, 3), x) for x in (0.0, 7.0, 1e3)], applies=RULE, growth=32)


@pytest.mark.parametrize("shape", [(2, 8), (2, 8, 5), (1, 8, 3, 2, 2)])
def test_what_is_no_map_is_refused(shape):
    check_spared(norm(2), torch.randn(shape), spared_by=RULE, because=f"rank {len(shape)}")


@FEW
@given(shape=st.tuples(*[st.integers(1, 6)] * 3), mean=st.sampled_from([0.0, 1e3]))
def test_an_instance_norm_is_made_of_means(shape, mean):
    n, c, h = shape
    a, b = drawn(nn.InstanceNorm2d(c, affine=True)), nn.InstanceNorm2d(c)
    net = Net(lambda m, x: [m.a(x), m.b(x)], a=a, b=b)
    x = mean + torch.randn(n, c, h + 1, 5)
    done, _ = check(net, x, applies="instance_norm_by_means", growth=32)
    assert "instance_norm" not in operators(done)


def test_an_instance_norm_of_a_sequence_is_refused():
    net = Net(lambda m, x: m.n(x), n=nn.InstanceNorm1d(3))
    check_spared(net, torch.randn(2, 3, 8), spared_by="instance_norm_by_means", because="no map")
