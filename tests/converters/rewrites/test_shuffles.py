"""before: shuffles, rolls, permutes of many axes · after: reshape, permute, cat."""

import pytest
import torch
import torch.nn.functional as F
from check_rule import FEW, Net, check, check_spared, operators
from hypothesis import given
from hypothesis import strategies as st

SHUFFLES = {
    "pixel_shuffle_by_permute": lambda x, r: F.pixel_shuffle(x.repeat(1, r * r, 1, 1), r),
    "pixel_unshuffle_by_permute": lambda x, r: F.pixel_unshuffle(
        x.repeat_interleave(r, 2).repeat_interleave(r, 3), r
    ),
    "channel_shuffle_by_permute": lambda x, r: F.channel_shuffle(x.repeat(1, r, 1, 1), r),
}


@FEW
@given(r=st.integers(2, 3), n=st.integers(1, 2), c=st.integers(1, 3), h=st.integers(1, 4))
@pytest.mark.parametrize("name", SHUFFLES)
def test_shuffles(name, r, n, c, h):
    net = Net(lambda m, x: SHUFFLES[name](x, r))
    done, _ = check(net, torch.randn(n, c, h, 3), applies=name)
    assert not {"pixel_shuffle", "pixel_unshuffle", "channel_shuffle"} & set(operators(done))


@FEW
@given(shifts=st.tuples(st.integers(-7, 7), st.integers(1, 4)))
def test_rolls(shifts):
    net = Net(lambda m, x: x.roll(shifts, (2, -1)))
    done, _ = check(net, torch.randn(1, 2, 5, 6), applies="roll_by_cat")
    assert "roll" not in operators(done)


def test_a_roll_of_the_flattened_tensor_stays():
    net = Net(lambda m, x: x.roll(3))
    check_spared(net, torch.randn(1, 2, 5, 6), spared_by="roll_by_cat", because="flattened")


def windows_in_time(m, x):
    """Of a clip [N, T, H, W, C], as a video transformer takes them: 8 axes."""
    n, t, h, w, c = x.shape
    x = x.reshape(n, t // 2, 2, h // 2, 2, w // 3, 3, c).permute(0, 1, 3, 5, 2, 4, 6, 7)
    return x.reshape(-1, 12, c)


def test_axes_of_length_1_do_not_count():
    x = torch.randn(1, 2, 4, 6, 3)
    done, _ = check(Net(windows_in_time), x, applies="permute_of_fewer_axes")
    assert all(n.meta["val"].dim() <= 6 for n in done.graph.nodes if n.op == "call_function")


def test_axes_that_stay_apart_are_too_many():
    net = Net(lambda m, x: x.reshape([2] * 7).permute(6, 5, 4, 3, 2, 1, 0).reshape(2, 64))
    x = torch.randn(2, 64)
    check_spared(net, x, spared_by="permute_of_fewer_axes", because="7 axes")
