"""before: cat of many · after: cats of at most five."""

import torch
from check_rule import FEW, Net, check, check_spared
from hypothesis import given
from hypothesis import strategies as st


@FEW
@given(parts=st.integers(6, 40), axis=st.integers(-2, 1))
def test_no_cat_has_more_than_five_parts(parts, axis):
    net = Net(lambda m, x: torch.cat([x * (i + 2) for i in range(parts)], axis))
    done, _ = check(net, torch.randn(2, 3), applies="cat_of_five")
    assert all(len(n.args[0]) <= 5 for n in done.graph.nodes if "cat" in str(n.target))


def test_five_stay_together():
    net = Net(lambda m, x: torch.cat([x * (i + 2) for i in range(5)]))
    check_spared(net, torch.randn(2, 3), spared_by="cat_of_five")
