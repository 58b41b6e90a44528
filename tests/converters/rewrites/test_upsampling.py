"""before: nearest-neighbour resize · after: two products with zeros and ones."""

import torch
import torch.nn.functional as F
from check_rule import FEW, Net, check, check_spared, operators
from hypothesis import given
from hypothesis import strategies as st


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
