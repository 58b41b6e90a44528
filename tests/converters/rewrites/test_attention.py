"""scaled_dot_product_attention(q, k, v) is bmm(softmax(bmm(q·s, kᵀ) + mask), v)."""

import pytest
import torch
import torch.nn.functional as F
from check_rule import FEW, Net, check, check_spared, operators
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

fused = F.scaled_dot_product_attention
RULE = "attention_by_products"
FEW_AXES = st.lists(st.integers(1, 3), min_size=1, max_size=3)


def attention(m, x):
    n, t, c = x.shape
    q, k, v = m.qkv(x).reshape(n, t, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
    return m.proj(fused(q, k, v).transpose(1, 2).reshape(n, t, c))


@FEW
@given(t=st.integers(1, 9), n=st.integers(1, 3))
def test_an_attention_block_is_made_of_products(t, n):
    """With an input 17 times as large the softmax is saturated."""
    net = Net(
        lambda m, *xs: [attention(m, x) for x in xs], qkv=nn.Linear(8, 24), proj=nn.Linear(8, 8)
    )
    x = torch.randn(n, t, 8)
    done, report = check(net, x, 17 * x, applies=RULE, growth=32)
    assert report.applied["slice_of_product"] == 6
    assert set(operators(done)) <= {"linear", "reshape", "permute", "bmm", "softmax"}


@FEW
@given(
    outer=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    lengths=st.tuples(*[st.integers(1, 7)] * 4),
    scale=st.sampled_from([None, 0.3, 40.0]),
)
def test_keys_of_another_length_and_a_scale_of_ones_own(outer, lengths, scale):
    t, s, d, e = lengths
    shapes = [(*outer, t, d), (*outer, s, d), (*outer, s, e)]
    net = Net(lambda m, q, k, v: fused(q, k, v, scale=scale))
    check(net, *[torch.randn(shape) for shape in shapes], applies=RULE, growth=32)


@FEW
@given(t=st.integers(2, 7), heads=st.integers(1, 3))
def test_a_constant_mask_is_added_though_it_hides_keys(t, heads):
    fills = torch.tensor([-3.0, -1e4, float("-inf")])[:, None, None, None]
    masks = torch.triu(fills.expand(3, heads, t, t), 1) + torch.tril(torch.rand(t, t))
    net = Net(lambda m, x: [fused(x, x, x, mask[None]) for mask in m.masks], masks=masks)
    check(net, torch.randn(2, heads, t, 4), applies=RULE, growth=32)


HIDDEN = torch.zeros(5, 5)
HIDDEN[2] = float("-inf")
REFUSED = [
    ("boolean", lambda m, x: fused(x, x, x, m.kept)),
    ("hides a whole row", lambda m, x: fused(x, x, x, m.hidden)),
    ("mask is computed", lambda m, x: fused(x, x, x, x @ x.mT)),
    ("causal", lambda m, x: fused(x, x, x, is_causal=True)),
    ("drops out", lambda m, x: fused(x, x, x, dropout_p=1.0)),
    ("in groups", lambda m, x: fused(x, x[:, :1], x[:, :1], enable_gqa=True)),
]


@pytest.mark.parametrize(("why", "function"), REFUSED, ids=[why for why, _ in REFUSED])
def test_attention_is_refused_where_it_is_more_than_products(why, function):
    net = Net(function, kept=torch.tril(torch.ones(5, 5)).bool(), hidden=HIDDEN)
    check_spared(net, torch.randn(1, 2, 5, 4), spared_by=RULE, because=why)


@FEW
@given(outer=FEW_AXES, sizes=st.tuples(*[st.integers(1, 6)] * 3))
def test_a_product_of_many_axes_is_one_of_three(outer, sizes):
    t, d, e = sizes
    net = Net(lambda m, a, b: (a @ b) @ m.w, w=torch.randn(e, 3))
    x = torch.randn(*outer, t, d), torch.randn(*outer, d, e)
    done, _ = check(net, *x, applies="matmul_by_bmm", growth=16)
    assert set(operators(done)) <= {"bmm", "linear", "reshape"}


@pytest.mark.parametrize(
    ("a", "b"), [((2, 3, 4, 5), (3, 5, 4)), ((4, 5), (5, 4)), ((3, 4, 5), (5,))], ids=str
)
def test_a_product_that_broadcasts_or_has_no_batch_is_refused(a, b):
    net = Net(lambda m, a, b: a @ b)
    x, why = (torch.randn(a), torch.randn(b)), f"{list(a)} with {list(b)}"
    check_spared(net, *x, spared_by="matmul_by_bmm", because=why)


@FEW
@given(shape=st.tuples(*[st.integers(2, 5)] * 4), axis=st.sampled_from([0, 1, -2]))
def test_a_softmax_over_another_axis_turns_it_to_the_end(shape, axis):
    net, x = Net(lambda m, *xs: [x.softmax(axis) for x in xs]), torch.randn(shape)
    done, _ = check(net, x, 1e4 * x, applies="softmax_along_the_last_axis")
    assert sorted(operators(done)) == [*["permute"] * 4, *["softmax"] * 2]


@pytest.mark.parametrize("axis", [-1, 2])
def test_a_softmax_over_the_last_axis_stays(axis):
    net = Net(lambda m, x: x.softmax(axis))
    check_spared(net, torch.randn(2, 3, 4), spared_by="softmax_along_the_last_axis")


def values_first(m, x):
    n, c, h, w = x.shape
    weights = torch.einsum("ncp,ncq->npq", x.flatten(2), x.flatten(2)).softmax(-1)
    return (x.relu().flatten(2) @ weights.transpose(1, 2)).reshape(n, c, h, w)


@FEW
@given(n=st.integers(1, 2), c=st.integers(1, 5), h=st.integers(2, 4))
def test_values_of_a_map_become_tokens(n, c, h):
    check(Net(values_first), torch.randn(n, c, h, 3), applies="values_as_tokens", growth=16)


def test_values_that_are_no_map_stay():
    net = Net(lambda m, x: x @ x.softmax(-1).transpose(1, 2))
    check_spared(net, torch.randn(2, 4, 4), spared_by="values_as_tokens")
