"""before: cat of many, slice of a cat · after: cats of at most five, the part."""

import torch
from check_rule import FEW, Net, check, check_spared, operators
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


@FEW
@given(widths=st.lists(st.integers(1, 4), min_size=2, max_size=4), axis=st.integers(-2, 1))
def test_a_slice_of_one_part_is_the_part(widths, axis):
    def apart(m, *parts):
        return [s * 2 for s in torch.cat(parts, axis).split(widths, axis)]

    shapes = [(w, 3) if axis % 2 == 0 else (3, w) for w in widths]
    done, _ = check(Net(apart), *(torch.randn(s) for s in shapes), applies="slice_of_cat")
    assert "cat" not in operators(done)


def test_a_slice_across_parts_stays():
    net = Net(lambda m, x: torch.cat([x, x * 2])[1:3] + 1)
    check_spared(net, torch.randn(2, 3), spared_by="slice_of_cat")
