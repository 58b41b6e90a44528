"""before: pad · conv · after: conv that pads by itself."""

import pytest
import torch
import torch.nn.functional as F
from check_rule import FEW, Net, check, check_spared, operators
from hypothesis import given
from hypothesis import strategies as st
from torch import nn


@FEW
@given(
    h=st.integers(0, 3), w=st.integers(0, 3), padding=st.integers(0, 2), stride=st.integers(1, 2)
)
def test_even_zeros_go_into_the_convolution(h, w, padding, stride):
    conv = nn.Conv2d(4, 6, 3, stride, padding)
    net = Net(lambda m, x: m.c(F.pad(x, (w, w, h + 1, h + 1))), c=conv)
    done, _ = check(net, torch.randn(1, 4, 9, 7), applies="pad_into_convolution")
    assert operators(done) == ["conv2d"]


@pytest.mark.parametrize(
    ("widths", "value", "why"),
    [((0, 1, 0, 1), 0.0, "columns"), ((1, 1, 1, 1), 2.0, None), ((1, 1, 0, 0, 1, 0), 0.0, None)],
)
def test_other_pads_stay(widths, value, why):
    channels = 5 if len(widths) > 4 else 4
    net = Net(lambda m, x: m.c(F.pad(x, widths, value=value)), c=nn.Conv2d(channels, 6, 3))
    done, report = check(net, torch.randn(1, 4, 9, 7), applies="pad_of_zeros")
    assert operators(done) == ["constant_pad_nd", "conv2d"]
    assert why is None or any(why in reason for _, _, reason in report.refused)


def test_a_negative_pad_is_a_slice():
    """ExecuTorch's delegate takes one and fails at the first execute."""
    net = Net(lambda m, x: F.pad(x, (-1, 2, 1, -2)))
    done, _ = check(net, torch.randn(1, 4, 9, 7), applies="pad_of_zeros")
    assert operators(done) == ["slice", "slice", "constant_pad_nd"]


def test_a_pad_that_mirrors_stays():
    net = Net(lambda m, x: F.pad(x, (1, 1, 1, 1), mode="reflect"))
    check_spared(net, torch.randn(1, 4, 9, 7), spared_by="pad_of_zeros", because="reflect")


def bordered(m, x, value):
    """As DBB pads: zeros first, then a value per channel over them."""
    y = F.pad(m.c(x), (1, 1, 1, 1))
    for rows in (slice(0, 1), slice(-1, None)):
        y[:, :, rows, :] = value
        y[:, :, :, rows] = value
    return y.relu()


@pytest.mark.parametrize("bias", [True, False])
def test_a_border_of_the_bias_goes_into_the_pointwise_convolution(bias):
    conv = nn.Conv2d(4, 6, 1, bias=bias)
    value = conv.bias.detach().view(1, 6, 1, 1) if bias else torch.zeros(1, 6, 1, 1)
    net = Net(lambda m, x: bordered(m, x, m.value), c=conv, value=value)
    done, _ = check(net, torch.randn(2, 4, 9, 7), applies="border_by_padding")
    assert operators(done) == ["conv2d", "relu"]


@pytest.mark.parametrize(
    ("conv", "off"),
    [(nn.Conv2d(4, 6, 1), 1e-3), (nn.Conv2d(4, 6, 2), 0), (nn.Conv2d(4, 6, 1, stride=2), 0)],
    ids=["another value", "a window", "strided"],
)
def test_other_borders_stay(conv, off):
    net = Net(lambda m, x: bordered(m, x, m.c.bias.view(1, -1, 1, 1) + off), c=conv)
    check_spared(net, torch.randn(2, 4, 9, 7), spared_by="border_by_padding")


def test_what_is_written_inside_the_border_stays():
    def function(m, x):
        y = F.pad(m.c(x), (1, 1, 1, 1))
        y[:, :, 0:3, :] = m.c.bias.view(1, -1, 1, 1)
        return y.relu()

    net = Net(function, c=nn.Conv2d(4, 6, 1))
    check_spared(net, torch.randn(2, 4, 9, 7), spared_by="border_by_padding")
