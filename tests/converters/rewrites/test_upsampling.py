"""before: nearest-neighbour resize, depthwise transposed convolution · after: products."""

import pytest
import torch
import torch.nn.functional as F
from check_rule import FEW, Net, check, check_spared, operators
from hypothesis import given
from hypothesis import strategies as st
from torch import nn


@FEW
@given(h=st.integers(1, 6), w=st.integers(1, 6), to=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_to_any_size(h, w, to):
    net = Net(lambda m, x: F.interpolate(x, size=to))
    done, _ = check(net, torch.randn(2, 3, h, w), applies="nearest_by_products")
    assert "upsample_nearest2d" not in operators(done)


def test_by_a_whole_factor():
    net = Net(lambda m, x: F.interpolate(x, scale_factor=(2, 3)))
    check(net, torch.randn(1, 3, 5, 4), applies="nearest_by_products")


def test_by_a_factor_with_a_fraction():
    """torch then counts pixels by the factor, not by the sizes."""
    net = Net(lambda m, x: F.interpolate(x, scale_factor=1.4))
    x = torch.randn(1, 3, 5, 4)
    check_spared(net, x, spared_by="nearest_by_products", because="not whole")


@FEW
@given(
    sides=st.tuples(*[st.integers(1, 4)] * 4),
    window=st.tuples(st.integers(1, 3), st.integers(2, 4)),
    bias=st.booleans(),
)
def test_windows_that_tile_the_map(sides, window, bias):
    n, c, h, w = sides
    spread = nn.ConvTranspose2d(c, c, window, stride=window, groups=c, bias=bias)
    net = Net(lambda m, x: m.spread(x), spread=spread)
    done, _ = check(net, torch.randn(n, c, h, w), applies="windows_by_product")
    assert "conv_transpose2d" not in operators(done)


@pytest.mark.parametrize(
    "options", [{"stride": 1}, {"padding": 1}, {"output_padding": 1}, {"dilation": 2}]
)
def test_windows_that_do_not_tile_the_map(options):
    spread = nn.ConvTranspose2d(3, 3, 2, **{"stride": 2, "groups": 3, **options})
    net = Net(lambda m, x: m.spread(x), spread=spread)
    check_spared(net, torch.randn(1, 3, 4, 4), spared_by="windows_by_product", because="windows")


def test_windows_that_mix_channels():
    net = Net(lambda m, x: m.spread(x), spread=nn.ConvTranspose2d(4, 4, 2, stride=2, groups=2))
    check_spared(net, torch.randn(1, 4, 3, 3), spared_by="windows_by_product")
