"""The papers' quantizers: by hand, as functions of any numbers, and each where it is meant for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevit.converters.quantizers import (
    GELU_LEAST,
    METHODS,
    Seen,
    adaptive,
    evenly,
    grid,
    least,
    on_grid,
    powers,
    reparameterized,
    shifted_log2,
)
from edgevit.recipe import PAPERS

BITS = st.sampled_from([4, 6, 8])
SEEDS = st.integers(0, 2**31)


def seen(x):
    rows = x.reshape(-1, x.shape[-1])
    return Seen(rows.amin(0), rows.amax(0), x.reshape(-1))


def attention(seed):
    """[heads, tokens, tokens]: most rows look everywhere, a few at one token; and the values
    [heads, tokens, 16] that are weighed.
    """
    g = torch.Generator().manual_seed(seed)
    sharpness = 8 * torch.rand(4, 65, 1, generator=g) ** 4
    logits = sharpness * torch.randn(4, 65, 65, generator=g)
    return logits.softmax(-1), torch.randn(4, 65, 16, generator=g)


def test_even_steps_by_hand():
    step, zero = grid(torch.tensor(-1.0), torch.tensor(2.0), 2)
    assert (step, zero) == (1, 1)
    found = on_grid(torch.tensor([-3, -0.6, 0.4, 1.6, 5]), step, zero, 2)
    assert found.tolist() == [-1, -1, 0, 2, 2]


def test_powers_by_hand():
    x = torch.tensor([1, 0.7, 0.36, 0.3, 0.01, 0])
    assert powers(x, 1.0, 1, 2).tolist() == [1, 0.5, 0.5, 0.25, 0.125, 0.125]
    roots = powers(x[:3], 1.0, 0.5, 4)
    assert roots.tolist() == pytest.approx([1, 2**-0.5, 2**-1.5])


def test_shifted_log2_by_hand():
    """Between 0.25 − η and 1 − η, by exponents 0, 2/3, 4/3 and 2, rounded."""
    x = torch.tensor([0.75, 0.25, 0.0])
    low, high = torch.tensor(0.0), torch.tensor(2.0)
    assert shifted_log2(x, 0.25, low, high, 2).tolist() == [0.75, 0.25, 0]
    assert shifted_log2(x, 0.25, low, high, 1).tolist() == [0.75, 0.75, 0]


@given(st.integers(0, 15), st.sampled_from([1, 0.5, 20 / 37]), st.floats(0.1, 10))
def test_powers_are_exact_at_powers(q, octaves, top):
    x = torch.tensor([top * 2 ** (-q * octaves)])
    assert float(powers(x, top, octaves, 4)) == pytest.approx(float(x), rel=1e-6)


@given(st.floats(0, 1), st.sampled_from([1, 0.5, 20 / 37]), BITS)
def test_powers_err_by_half_a_power(part, octaves, bits):
    within = 2 ** (-part * octaves * (2**bits - 1)) if bits == 4 else 2 ** (-part * 15)
    found = powers(torch.tensor([within]), 1.0, octaves, bits)
    assert abs(float((found / within).log2())) <= octaves / 2 * 1.001


@settings(max_examples=20)
@given(SEEDS, BITS, st.sampled_from([evenly, *(m.softmax for m in METHODS.values())]))
def test_levels_are_few_and_in_order(seed, bits, fit):
    shares, _ = attention(seed)
    x = shares.reshape(-1).sort().values
    found = fit(seen(shares), bits)(x)
    assert len(found.unique()) <= 2**bits
    assert (found.diff() >= 0).all()
    assert (found - x).abs().max() < (0.07 if fit is evenly and bits == 4 else 0.3)


@settings(max_examples=20)
@given(SEEDS, BITS)
def test_a_gelu_keeps_its_range(seed, bits):
    x = torch.nn.functional.gelu(2 * torch.randn(4, 512, generator=torch.manual_seed(seed)))
    found = adaptive(GELU_LEAST)(seen(x), bits)(x)
    assert len(found.unique()) <= 2**bits
    assert found.min() >= -GELU_LEAST
    assert float((found - x).square().sum() / x.square().sum()) < {4: 0.03, 6: 0.003}.get(
        bits, 1e-3
    )


@settings(max_examples=20)
@given(st.integers(4, 70), st.floats(0.2, 4))
def test_the_base_is_found(q, top):
    x = top * 2 ** (-torch.arange(16) * q / 37)
    error = (adaptive(0)(seen(x[None]), 4)(x) - x).abs().max()
    assert error < 0.02 * top


def test_the_search_ends_at_the_least():
    assert least(lambda a, b: (a - 19) ** 2 + b**2, [(8, 0.5), (40, 0.5)], (16, 1.0)) == (19, 0)


def test_4_bits_of_a_softmax():
    """Signal to noise of what attention gives, the mean over its rows."""
    shares, values = attention(0)
    wanted = shares @ values

    def left_db(fit):
        error = fit(seen(shares), 4)(shares) @ values - wanted
        return float(-10 * (error.square().sum(-1) / wanted.square().sum(-1)).mean().log10())

    found = {name: left_db(method.softmax) for name, method in METHODS.items()}
    assert found["uniform"] < 5
    assert min(found["log2"], found["isvit"]) > 14
    assert min(found["repq"], found["adalog"]) > found["log2"] + 3


@given(SEEDS, BITS)
def test_channels_keep_their_steps_under_one(seed, bits):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(64, 8, generator=g) * torch.randn(8, generator=g).exp() + torch.randn(
        8, generator=g
    )
    weight, bias = torch.randn(5, 8, generator=g), torch.randn(5, generator=g)
    x, weight, bias = x.double(), weight.double(), bias.double()  # in fp32 a tie may fall elsewhere
    s = seen(x)
    quantizer, turned, moved = reparameterized(s, weight, bias, bits)
    steps, zeros = grid(s.low, s.high, bits)
    theirs = torch.nn.functional.linear(on_grid(x, steps, zeros, bits), weight, bias)
    assert len(quantizer(x).unique()) <= 2**bits
    ours = torch.nn.functional.linear(quantizer(x), turned, moved)
    assert (ours - theirs).abs().max() < 1e-3 * theirs.abs().max()


def test_every_method_names_its_paper():
    assert list(PAPERS) == list(METHODS)
