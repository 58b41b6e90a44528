"""layer_norm(x) is d = x − M x; d · rsqrt(M d² + eps) · w + b, with the product M by 1/C."""

import torch
from check_rule import FEW, Net, check, check_spared, drawn, operators
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

RULE = "layer_norm_by_products"
CHANNELS = st.integers(2, 40)


def norm(c, **kwargs):
    return Net(lambda m, x: m.norm(x), norm=drawn(nn.LayerNorm(c, **kwargs)))


@FEW
@given(c=CHANNELS, shape=st.lists(st.integers(1, 5), max_size=3), bias=st.booleans())
def test_a_layer_norm_is_made_of_products(c, shape, bias):
    plain = norm(c, elementwise_affine=False, eps=1e-3)
    net = Net(lambda m, x: [m.a(x), m.b(x)], a=norm(c, bias=bias), b=plain)
    done, _ = check(net, torch.randn(*shape, c), applies=RULE, growth=16)
    assert "layer_norm" not in operators(done)


FAR = [(1e3, 1.0), (1e3, 1e-2), (-1e4, 1.0), (0, 1e-6)]


@FEW
@given(c=CHANNELS, n=st.integers(1, 9))
def test_a_mean_far_away_costs_no_more_digits_than_in_torch(c, n):
    net = Net(lambda m, *xs: [m.norm(x) for x in xs], norm=norm(c))
    xs = [mean + deviation * torch.randn(2, n, c) for mean, deviation in FAR]
    check(net, *xs, applies=RULE, growth=32)


@FEW
@given(c=CHANNELS, shape=st.tuples(*[st.integers(1, 4)] * 3), mean=st.sampled_from([0, 1e3]))
def test_the_norm_of_a_map_turned_channels_last_stays_a_map(c, shape, mean):
    n, h, w = shape
    net = Net(lambda m, x: m.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), norm=norm(c))
    applies = "layer_norm_by_convolutions" if h * w > 1 < c else RULE
    done, _ = check(net, mean + torch.randn(n, c, h, w), applies=applies, growth=32)
    if h * w > 1:
        assert not {"permute", "linear"} & set(operators(done))


def test_what_is_all_alike_has_no_deviation():
    net = Net(lambda m, *xs: [m.norm(x) for x in xs], norm=norm(16))
    check(net, *[torch.full((2, 3, 16), x) for x in (0.0, 7.0, 1e3)], applies=RULE, growth=32)


def test_a_norm_over_two_axes_is_refused():
    check_spared(norm((3, 8)), torch.randn(2, 3, 8), spared_by=RULE, because="over 2 axes")


@FEW
@given(c=CHANNELS, shape=st.lists(st.integers(1, 5), max_size=3), scale=st.sampled_from([1, 1e-6]))
def test_a_root_mean_square_norm_is_made_of_products(c, shape, scale):
    a, b = drawn(nn.RMSNorm(c)), nn.RMSNorm(c, eps=1e-3, elementwise_affine=False)
    net = Net(lambda m, x: [m.a(x), m.b(x)], a=a, b=b)
    done, _ = check(net, scale * torch.randn(*shape, c), applies="rms_norm_by_products", growth=16)
    assert "rms_norm" not in operators(done)


def test_a_root_mean_square_norm_over_two_axes_is_refused():
    net = Net(lambda m, x: m.n(x), n=nn.RMSNorm((3, 8)))
    check_spared(net, torch.randn(2, 3, 8), spared_by="rms_norm_by_products", because="over 2 axes")
