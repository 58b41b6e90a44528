"""Branches of one map, summed: one convolution with the sum of their kernels."""

import pytest
import torch
import torch.nn.functional as F
from check_rule import FEW, Net, check, check_spared, drawn, operators
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

RULE = "branches_into_one"


def norm(channels):
    return drawn(nn.BatchNorm2d(channels))


@FEW
@given(groups=st.sampled_from([1, 2, 4]), stride=st.integers(1, 2), side=st.integers(5, 9))
def test_a_block_of_repvgg_is_one_convolution(groups, stride, side):
    """3×3, 1×1 and, where the map keeps its size, the identity, each with its batch norm."""
    settings = {"stride": stride, "groups": groups, "bias": False}
    net = Net(
        lambda m, x: sum([m.c(x)] if stride == 1 else [], m.a(m.conv3(x)) + m.b(m.conv1(x))),
        conv3=nn.Conv2d(4, 4, 3, padding=1, **settings),
        conv1=nn.Conv2d(4, 4, 1, **settings),
        a=norm(4),
        b=norm(4),
        c=norm(4),
    )
    done, _ = check(net, torch.randn(2, 4, side, side), applies=RULE)
    assert operators(done) == ["conv2d"]


@FEW
@given(dilation=st.integers(1, 3), groups=st.sampled_from([1, 4]))
def test_a_large_kernel_takes_small_and_dilated_ones(dilation, groups):
    net = Net(
        lambda m, x: m.large(x) + m.row(x) + m.column(x) + m.dilated(x) + x,
        large=nn.Conv2d(4, 4, 7, padding=3, groups=groups),
        row=nn.Conv2d(4, 4, (1, 7), padding=(0, 3), groups=groups),
        column=nn.Conv2d(4, 4, (5, 1), padding=(2, 0), groups=groups),
        dilated=nn.Conv2d(4, 4, 3, padding=dilation, dilation=dilation, groups=groups),
    )
    x, names = torch.randn(1, 4, 9, 11), ("affine", "branches")  # `depthwise` would part it again
    done, report = check(net, x, applies=RULE, names=names)
    assert operators(done) == ["conv2d"]
    assert report.applied[RULE] == 1


def test_an_average_pool_that_counts_its_padding_is_a_branch():
    net = Net(
        lambda m, x: m.conv(x) + F.avg_pool2d(x, 3, 2, 1) * 2 + F.avg_pool2d(x, 3, 2, 1),
        conv=nn.Conv2d(4, 4, 3, stride=2, padding=1),
    )
    done, _ = check(net, torch.randn(1, 4, 8, 8), applies=RULE)
    assert operators(done).count("conv2d") == 1


def test_other_addends_stay():
    net = Net(
        lambda m, x, y: m.a(x) + y + m.b(x) + m.c(y),
        a=nn.Conv2d(4, 4, 3, padding=1),
        b=nn.Conv2d(4, 4, 1),
        c=nn.Conv2d(4, 4, 1),
    )
    x, y = torch.randn(2, 1, 4, 6, 6)
    done, _ = check(net, x, y, applies=RULE)
    assert sorted(operators(done)) == ["add", "conv2d", "conv2d"]  # y goes into its own


@FEW
@given(groups=st.sampled_from([1, 4]), width=st.integers(0, 1))
def test_a_sequence_is_a_branch_if_dearer_alone(groups, width):
    """Down to a channel a group and up again, and the pool of a pointwise convolution.

    What is padded between the two has no bias, or the border would not be zero.
    """
    biased = {"groups": groups, "bias": width == 0}
    net = Net(
        lambda m, x: m.conv(x) + m.up(m.down(x)) * 3 + m.a(F.avg_pool2d(m.one(x), 3, 1, width)),
        conv=nn.Conv2d(4, 4, 3, padding=width, groups=groups),
        down=nn.Conv2d(4, groups, 1, **biased),
        up=nn.Conv2d(groups, 4, 3, padding=width, groups=groups),
        one=nn.Conv2d(4, 4, 1, **biased),
        a=norm(4),
    )
    done, _ = check(net, torch.randn(1, 4, 7, 9), applies=RULE, names=("affine", "branches"))
    assert operators(done) == ["conv2d"]


def test_the_heads_of_a_distilled_classifier_are_one():
    net = Net(lambda m, x: (m.a(x) + m.b(x)) / 2 + x, a=nn.Linear(6, 6), b=nn.Linear(6, 6))
    done, report = check(net, torch.randn(3, 6), applies=RULE)
    assert operators(done) == ["linear"]
    assert report.applied[RULE] == 2


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda m, x: m.conv(x) + m.grouped(x), "groups"),
        (lambda m, x: m.conv(x) + F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), "padding"),
        (lambda m, x: m.strided(x) + x[:, :, :3, :3], None),
        (lambda m, x: m.row(x) + m.column(x), "holds those of the others"),
        (lambda m, x: m.conv(x) + m.whole(x), None),  # one value, added to all pixels
        (lambda m, x: m.conv(x) + m.conv(x).relu(), None),
    ],
)
def test_what_is_no_branch_is_left(function, why):
    net = Net(
        function,
        conv=nn.Conv2d(4, 4, 3, padding=1),
        grouped=nn.Conv2d(4, 4, 3, padding=1, groups=2),
        strided=nn.Conv2d(4, 4, 3, stride=2, padding=1),
        row=nn.Conv2d(4, 4, (1, 3), padding=(0, 1)),
        column=nn.Conv2d(4, 4, (3, 1), padding=(1, 0)),
        whole=nn.Conv2d(4, 4, 6),
    )
    check_spared(net, torch.randn(1, 4, 6, 6), spared_by=RULE, because=why)
