"""before: conv · conv · after: one conv with the product of their weights."""

import pytest
import torch
from check_rule import FEW, check, check_spared, operators
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn


@FEW
@given(
    k=st.sampled_from([1, 3]),
    stride=st.integers(1, 2),
    biases=st.tuples(st.booleans(), st.booleans()),
)
def test_a_convolution_and_a_pointwise_one(k, stride, biases):
    net = nn.Sequential(
        nn.Conv2d(3, 16, k, stride, k // 2, bias=biases[0]), nn.Conv2d(16, 5, 1, bias=biases[1])
    )
    done, _ = check(net, torch.randn(2, 3, 9, 7), applies="products_joined")
    assert operators(done) == ["conv2d"]


MOVES = st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2))  # side, stride, dilation


@settings(FEW, max_examples=15)
@given(
    first=MOVES,
    second=MOVES,
    groups=st.sampled_from([1, 2]),
    biases=st.tuples(st.booleans(), st.booleans()),
    padding=st.integers(0, 1),
    sides=st.tuples(st.integers(13, 16), st.integers(13, 16)),
)
def test_any_two_convolutions_are_one_kernel(first, second, groups, biases, padding, sides):
    """Sides, strides, dilations, groups and what the first pads; here the middle is so wide that
    one is cheaper.
    """
    pointwise = first[0] == 1 and not biases[0]
    net = nn.Sequential(
        nn.Conv2d(2, 256, first[0], first[1], 0 if pointwise else padding, first[2], groups,
                  bias=biases[0]),
        nn.Conv2d(256, 2, second[0], second[1], padding if pointwise else 0, second[2], groups,
                  bias=biases[1]),
    )  # fmt: skip
    done, _ = check(net, torch.randn(1, 2, *sides), applies="products_joined", names=("products",))
    assert operators(done) == ["conv2d"]


@FEW
@given(depth=st.integers(2, 4), rows=st.integers(1, 5))
def test_linear_layers(depth, rows):
    net = nn.Sequential(*(nn.Linear(8, 8) for _ in range(depth)))
    done, _ = check(net, torch.randn(rows, 8), applies="products_joined")
    assert operators(done) == ["linear"]


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Linear(32, 2), nn.Linear(2, 32)),  # a bottleneck is cheaper as it is
        nn.Sequential(nn.Conv2d(32, 32, 3, groups=32), nn.Conv2d(32, 8, 1)),
        nn.Sequential(nn.Conv2d(32, 8, 1), nn.Conv2d(8, 32, 3)),
        nn.Sequential(nn.Conv2d(32, 32, 3), nn.Conv2d(32, 32, 3)),
    ],
)
def test_what_would_be_dearer_or_another_function_stays(net):
    x = torch.randn(1, 32) if isinstance(net[0], nn.Linear) else torch.randn(1, 32, 12, 12)
    check_spared(net, x, spared_by="products_joined")


@pytest.mark.parametrize("first", [nn.Conv2d(32, 32, 1), nn.Conv2d(32, 32, 3, bias=False)])
def test_a_padded_map_between_the_two_keeps_them_apart(first):
    net, x = nn.Sequential(first, nn.Conv2d(32, 2, 1, padding=1)), torch.randn(1, 32, 5, 5)
    check_spared(net, x, spared_by="products_joined", because="pads the map between")
