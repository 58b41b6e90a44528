"""A depthwise 7×7 is the sum of three dilated depthwise kernels of at most 25 taps."""

import pytest
import torch
import torch.nn.functional as F
from check_rule import FEW, Net, check, check_spared
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

RULE = "depthwise_in_rows"


def taps(program):
    """How many taps each convolution has."""
    nodes = [n for n in program.graph.nodes if "conv2d" in str(n.target)]
    return [n.args[1].meta["val"][0, 0].numel() for n in nodes]


KERNELS = [(7, 7), (11, 11), (5, 6), (31, 1), (3, 12)]


@FEW
@given(
    stride=st.tuples(*[st.integers(1, 2)] * 2),
    dilation=st.tuples(*[st.integers(1, 2)] * 2),
    multiplier=st.integers(1, 2),
    bias=st.booleans(),
    n=st.integers(1, 2),
)
def test_a_large_kernel_is_a_sum_of_small_ones(stride, dilation, multiplier, bias, n):
    def large(k):
        pad = [d * (side // 2) for d, side in zip(dilation, k, strict=True)]
        return nn.Conv2d(3, 3 * multiplier, k, stride, pad, dilation, groups=3, bias=bias)

    net = Net(lambda m, x: [c(x) for c in m.all], all=nn.ModuleList(map(large, KERNELS)))
    done, report = check(net, torch.randn(n, 3, 19, 17), applies=RULE)
    assert report.applied == {RULE: len(KERNELS)}
    assert max(taps(done)) <= 25
    assert sum(taps(done)) == sum(h * w for h, w in KERNELS)


def conv(*k, **options):
    return Net(lambda m, x: m.c(x), c=nn.Conv2d(4, 4, k, **{"groups": 4, **options}))


@pytest.mark.parametrize(
    ("why", "net"),
    [
        ("8 rows has no centre", conv(8, 7, padding=3)),
        ("less than its kernel reaches", conv(7, 7)),
        ("less than its kernel reaches", conv(7, 7, padding=1, dilation=2)),
        ("13 taps", conv(3, 13, padding=6)),
    ],
)
def test_a_kernel_that_does_not_come_apart_is_refused(why, net):
    check_spared(net, torch.randn(1, 4, 19, 17), spared_by=RULE, because=why)


def test_computed_weights_are_refused():
    net = Net(lambda m, x, w: F.conv2d(x, w, padding=3, groups=4))
    x, w = torch.randn(2, 4, 9, 9), torch.randn(4, 1, 7, 7)
    check_spared(net, x, w, spared_by=RULE, because="computed")


@pytest.mark.parametrize(
    "net", [conv(5, 5), conv(7, 7, padding=3, groups=2), conv(7, 7, padding="same")]
)
def test_small_kernels_and_those_across_channels_are_left_alone(net):
    check_spared(net, torch.randn(1, 4, 19, 17), spared_by=RULE)
