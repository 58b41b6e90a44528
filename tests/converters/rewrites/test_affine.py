"""conv ── batch norm ── mul(gamma) is conv', and mul(w) ── add(b) ── linear is linear'."""

import pytest
import torch
import torch.nn.functional as F
from check_rule import FEW, Net, as_exported, check, check_spared, drawn, each, export, operators
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edgevit.converters.rewrites.rule import rewrite, rules

IN_ONE = "batch_norm_in_one_by_affine"
CONVS = st.fixed_dictionaries(
    {
        "kernel_size": st.integers(1, 3),
        "groups": st.sampled_from([1, 2, 4]),
        "stride": st.integers(1, 2),
        "dilation": st.integers(1, 2),
        "bias": st.booleans(),
    }
)
SIDES = st.integers(5, 9)


@FEW
@given(rank=st.integers(2, 4), n=st.integers(1, 3), affine=st.booleans(), mean=st.integers(0, 1))
def test_a_batch_norm_is_a_scale_and_a_shift(rank, n, affine, mean):
    """A mean a hundred thousand deviations away costs torch the same digits."""
    norm = (nn.BatchNorm2d if rank == 4 else nn.BatchNorm1d)(4, affine=affine)
    net, x = Net(lambda m, x: m.norm(x), norm=drawn(norm)), torch.randn(n, 4, 5, 3)
    if mean:
        norm.running_mean.fill_(1e3)
        norm.running_var.fill_(1e-4)
        x = 1e3 + 1e-2 * x
    x = x[(..., *[0] * (4 - rank))].contiguous()
    check(net, x, applies="batch_norm_by_affine")
    with as_exported():
        check(net, x, applies=IN_ONE)


def test_statistics_that_are_computed_are_refused():
    net = Net(lambda m, x: F.batch_norm(x, x.mean((0, 2, 3)), x.amax((0, 2, 3)) + 1))
    x, why = torch.randn(2, 4, 5, 5), "computed, not constant"
    check_spared(net, x, spared_by="batch_norm_by_affine", because=why)
    with as_exported():
        check_spared(net, x, spared_by=IN_ONE, because=why)


def test_statistics_of_the_batch_are_refused():
    net = Net(lambda m, x: m.norm(x), norm=drawn(nn.BatchNorm2d(4, track_running_stats=False)))
    check_spared(net, torch.randn(2, 4, 5, 5), spared_by="batch_norm_by_affine")
    with as_exported():
        check_spared(net, torch.randn(2, 4, 5, 5), spared_by=IN_ONE, because="train mode")


def test_weights_that_float32_cannot_hold_are_refused():
    """A norm of almost no variance, and a convolution that is too large for its scale."""
    norm = nn.BatchNorm2d(4, eps=0)
    norm.running_var.fill_(1e-30)
    net = Net(lambda m, x: m.norm(x * 1e-30), norm=norm).double()
    net.norm.running_var.fill_(1e-90)
    report = rewrite(export(net, torch.randn(1, 4, 5, 5).double()), rules(["affine"]))[1]
    assert [why for *_, why in report.refused] == ["the folded weights would be beyond float32"]


@FEW
@given(conv=CONVS, side=SIDES, n=st.integers(1, 3))
def test_batch_norm_and_scales_go_into_the_convolution_before(conv, side, n):
    net = Net(
        lambda m, x: 2 + -1.5 * (m.norm(m.conv(x)) * m.gamma / 3 - 0.5) / m.gamma,
        conv=nn.Conv2d(4, 8, **conv),
        norm=drawn(nn.BatchNorm2d(8)),
        gamma=torch.rand(8, 1, 1) + 0.5,
    )
    done, _ = check(net, torch.randn(n, 4, side, side + 2), applies="affine_into_what_precedes")
    assert operators(done) == ["conv2d"]


@FEW
@given(shape=st.lists(st.integers(1, 4), max_size=3), bias=st.booleans())
def test_scales_go_into_the_linear_layer_before(shape, bias):
    net = Net(lambda m, x: m.fc(x) * m.w - m.w, fc=nn.Linear(3, 5, bias=bias), w=torch.rand(5))
    done, _ = check(net, torch.randn(*shape, 3), applies="affine_into_what_precedes")
    assert operators(done) == ["linear"]


@pytest.mark.parametrize("out", [1, 4])
def test_a_convolution_without_a_batch_has_its_channels_first(out):
    net = Net(lambda m, x: m.conv(x * 3) * 2 + 1, conv=nn.Conv2d(4, out, 3))
    done, _ = check(net, torch.randn(4, 6, 6), applies="affine_into_what_precedes")
    assert operators(done) == ["conv2d"]


WIDE = torch.rand(4, 1, 1, dtype=torch.float64)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: m.conv(x) * m.rows,
        lambda m, x: (y := m.conv(x)) * 2 + y.relu(),
        lambda m, x: m.conv(x) * WIDE,
        lambda m, x: m.conv(x) * x[:, :, 2:, 2:],
        lambda m, x: F.conv2d(x, x[:, :, :3, :3]) * 2,
        lambda m, x: m.conv(x[0]) * m.rows[0],
    ],
    ids=["per row", "read twice", "another type", "computed", "computed weights", "no batch"],
)
def test_what_is_no_affine_of_the_product_alone_stays_behind_it(function):
    net = Net(function, conv=nn.Conv2d(4, 4, 3), rows=torch.rand(1, 1, 4, 1))
    check_spared(net, torch.randn(4, 4, 6, 6), spared_by="affine_into_what_precedes")


@FEW
@given(conv=CONVS, side=SIDES, n=st.integers(1, 3))
def test_an_affine_goes_into_the_convolution_behind(conv, side, n):
    conv = nn.Conv2d(8, 4, **conv)
    net = Net(lambda m, x: m.c(m.n(x)), n=drawn(nn.BatchNorm2d(8)), c=conv)
    done, _ = check(net, torch.randn(n, 8, side, side), applies="affine_into_what_follows")
    assert operators(done) == ["conv2d"]


@FEW
@given(c=st.integers(2, 20), n=st.integers(1, 3), bias=st.booleans())
def test_the_affine_part_of_a_norm_goes_into_what_follows(c, n, bias):
    net = Net(
        lambda m, x: [m.a(y := m.norm(x)), m.b(y)],
        norm=drawn(nn.LayerNorm(c)),
        a=nn.Linear(c, 5, bias=bias),
        b=nn.Linear(c, 3),
    )
    done, report = check(net, torch.randn(n, 4, c), applies="affine_into_what_follows", growth=16)
    assert report.applied["affine_into_what_follows"] == 4
    assert operators(done).count("add") == 0


def test_a_scale_before_padding_goes_in_and_a_shift_is_refused():
    conv = nn.Conv2d(4, 4, 3, padding=1)
    x, rule = torch.randn(1, 4, 5, 5), "affine_into_what_follows"
    check(Net(lambda m, x: m.c(x * m.w), c=conv, w=torch.rand(4, 1, 1)), x, applies=rule)
    net = Net(lambda m, x: m.c(m.n(x)), n=drawn(nn.BatchNorm2d(4)), c=conv)
    check_spared(net, x, spared_by=rule, because="padding")


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: m.fc(y := x * m.w) + y.sum(),
        lambda m, x: m.fc(x * m.w[:, None]),
        lambda m, x: F.linear(x * 2, m.w),
        lambda m, x: m.fc(torch.add(x, m.w, alpha=2)),
    ],
    ids=["read elsewhere", "per row", "a vector of weights", "alpha"],
)
def test_what_is_no_affine_for_the_product_alone_stays_before_it(function):
    net = Net(function, fc=nn.Linear(4, 4), w=torch.rand(4))
    check_spared(net, torch.randn(2, 4, 4), spared_by="affine_into_what_follows")


@FEW
@given(n=st.integers(1, 3), t=st.integers(1, 5), c=st.integers(2, 9))
def test_a_scale_moves_behind_a_reshape_that_keeps_its_axis(n, t, c):
    net = Net(
        lambda m, x: m.fc((m.w * x + m.b).flatten(0, 1)),
        fc=nn.Linear(c, 3),
        w=torch.rand(c),
        b=torch.rand(c),
    )
    done, _ = check(net, torch.randn(n, t, c).contiguous(), applies="affine_past_reshape")
    assert set(operators(done)) == {"linear", "reshape"}


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: torch.add(x, m.w, alpha=2).flatten(0, 1),
        lambda m, x: (x * m.w).flatten(1),
        lambda m, x: (y := x * m.w).flatten(0, 1) + y[0, 0],
        lambda m, x: (x * m.w[:, None]).flatten(0, 1),
        lambda m, x: (x[0, 0, :1] * m.w[:1]).reshape(()),
    ],
    ids=["alpha", "joins the axis", "read twice", "per row", "to no axes"],
)
def test_a_scale_stays_before_other_reshapes(function):
    check_spared(
        Net(function, w=torch.rand(4)), torch.randn(2, 4, 4), spared_by="affine_past_reshape"
    )


NUMBERS = [
    lambda m, x: (x.exp().permute(0, 2, 1) @ x) * 0.3,
    lambda m, x: torch.bmm(x, x.mT) * m.k,
    lambda m, x: x.exp().flatten(1) * m.k,
    lambda m, x: x.exp().transpose(1, 2) * 3,
]


@FEW
@given(shape=st.tuples(st.integers(1, 3), st.integers(2, 6), st.integers(2, 6)))
def test_a_number_moves_before_views_and_batched_products(shape):
    net = Net(each(*NUMBERS), k=torch.rand(1))
    _, report = check(net, torch.randn(shape), applies="scale_nearer_to_weights")
    assert report.applied["scale_nearer_to_weights"] >= len(NUMBERS)


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (lambda m, x: (y := x.exp().flatten(1)) * 3 + y.relu(), torch.randn(2, 3, 4)),
        (lambda m, x: x.flatten(1) * m.k, torch.arange(6).reshape(2, 3, 1)),
        (lambda m, x: x.flatten(1) * WIDE[0, 0], torch.randn(2, 3, 4)),
        (lambda m, x: x.flatten(1) * x[:, :1, 0], torch.randn(2, 3, 4)),
        (lambda m, x: x.exp() * 3, torch.randn(2, 3, 4)),
    ],
    ids=["read twice", "integers", "another type", "computed", "no view"],
)
def test_a_number_stays_behind_what_it_cannot_pass(function, x):
    check_spared(Net(function, k=torch.tensor([2])), x, spared_by="scale_nearer_to_weights")
