"""Norms that Core ML has as one operator stay one, and leave maps channels first."""

import torch
import torch.nn.functional as F
from check_rule import FEW, Net, check, check_spared, drawn, operators
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edgevit.converters.rewrites import NATIVE


@FEW
@given(groups=st.sampled_from([1, 2, 4]), channels=st.sampled_from([4, 8]), affine=st.booleans())
def test_a_group_norm_is_one_operator(groups, channels, affine):
    norm = drawn(nn.GroupNorm(groups, channels, affine=affine))
    net = Net(lambda m, x: m.norm(x).relu(), norm=norm)
    x = 3 * torch.randn(2, channels, 5, 6) + 1
    after, _ = check(net, x, applies="group_norm_natively", names=("native_norms",))
    assert ("layer_norm" if groups == 1 else "instance_norm") in operators(after)


def test_a_group_norm_of_tokens_is_left():
    net = Net(lambda m, x: m.norm(x), norm=nn.GroupNorm(2, 4))
    check_spared(
        net,
        torch.randn(2, 4, 7),
        spared_by="group_norm_natively",
        because="rank 3",
        names=("native_norms",),
    )


def test_its_affine_goes_into_the_convolution_that_follows():
    net = Net(
        lambda m, x: m.after(m.norm(x)), norm=drawn(nn.GroupNorm(1, 4)), after=nn.Conv2d(4, 6, 1)
    )
    after, _ = check(net, torch.randn(1, 4, 5, 5), applies="group_norm_natively", names=NATIVE)
    assert operators(after) == ["layer_norm", "conv2d"]


@FEW
@given(affine=st.booleans(), mean=st.sampled_from([0.0, 50.0]))
def test_a_channels_last_block_stays_channels_first(affine, mean):
    """Large mean, small variance included: it is the same LayerNorm."""

    def block(m, x):
        y = m.before(x).permute(0, 2, 3, 1)
        y = m.fc(F.layer_norm(y, [8], m.weight if affine else None, m.bias if affine else None))
        return y.permute(0, 3, 1, 2)

    net = Net(
        block,
        before=nn.Conv2d(3, 8, 1),
        fc=nn.Linear(8, 5),
        weight=torch.rand(8) + 0.5,
        bias=torch.rand(8),
    )
    x = torch.randn(1, 3, 4, 4) + mean
    after, _ = check(net, x, applies="layer_norm_of_channels", names=NATIVE)
    assert "permute" not in operators(after)


def test_a_norm_of_tokens_is_left():
    net = Net(lambda m, x: m.norm(x), norm=drawn(nn.LayerNorm(8)))
    check_spared(net, torch.randn(1, 5, 8), spared_by="layer_norm_of_channels", names=NATIVE)


@FEW
@given(axes=st.sampled_from([1, 2]), eps=st.sampled_from([None, 1e-6, 1e-2]), affine=st.booleans())
def test_an_rms_norm_is_written_out(axes, eps, affine):
    """A single large value, whose square would hide an epsilon multiplied by it, included."""
    norm = drawn(nn.RMSNorm([5, 8][-axes:], eps=eps, elementwise_affine=affine))
    x = torch.randn(2, 3, 5, 8)
    x[0, 0, 0, 0] = 100
    after, _ = check(
        Net(lambda m, x: m.norm(x), norm=norm),
        x,
        applies="rms_norm_by_mean",
        names=("native_norms",),
    )
    assert "rms_norm" not in operators(after)
