"""before: conv · conv 1×1 · after: one conv with the product of their weights."""

import pytest
import torch
from check_rule import FEW, check, check_spared, operators
from hypothesis import given
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
        nn.Sequential(nn.Conv2d(32, 32, 1), nn.Conv2d(32, 8, 3)),
        nn.Sequential(nn.Conv2d(32, 32, 1), nn.Conv2d(32, 8, 1, padding=1)),
    ],
)
def test_what_would_be_dearer_or_another_function_stays(net):
    x = torch.randn(1, 32) if isinstance(net[0], nn.Linear) else torch.randn(1, 32, 5, 5)
    check_spared(net, x, spared_by="products_joined")
