"""The range that errs least, against search and by hand, and the histogram it is found in."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgevit.converters.plan import WIDEST
from edgevit.converters.ranges import LEVELS, Values, best, entropy, error, octav, percentile

SHAPES = {
    "normal": lambda rng, n: rng.normal(0, 1, n),
    "Laplace": lambda rng, n: rng.laplace(1, 2, n),
    "ReLU": lambda rng, n: rng.normal(0, 1, n).clip(0),
    "Student": lambda rng, n: rng.standard_t(3, n),
    "uniform": lambda rng, n: rng.uniform(-1, 3, n),
}
NUMBERS = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
PARTS = st.lists(st.lists(NUMBERS, min_size=1, max_size=20), min_size=1)


def drawn(shape, count=100_000):
    return SHAPES[shape](np.random.default_rng(0), count).astype(np.float32)


def values_of(*arrays, weight=None):
    found = Values()
    for a in arrays:
        found.add(torch.as_tensor(a), weight)
    return found


def modelled(x, w, low, high):
    """The error as OCTAV has it: every step inside errs alike."""
    inside = (low <= x) & (x <= high)
    outside = x - x.clip(low, high)
    return w[inside].sum() * ((high - low) / LEVELS) ** 2 / 12 + w @ outside**2


@pytest.mark.parametrize("shape", SHAPES)
def test_octav_finds_what_search_finds(shape):
    x, w = values_of(drawn(shape)).points()
    ends = min(x[0], 0), max(x[-1], 0)
    found = modelled(x, w, *octav(x, w, 0.0, 0.0))
    grid = np.linspace(0.02, 1, 60)
    searched = min(modelled(x, w, a * ends[0], b * ends[1]) for a in grid for b in grid)
    assert found <= searched * 1.002


def test_octav_by_hand():
    """h = Σ above / (count above + k · count within), from 1 to 10, k = 1 / (12 · 255²)."""
    x, w = np.array([1.0, 10.0]), np.array([1e6, 1.0])
    low, high = octav(x, w, 0.0, 0.0)
    assert low == 0
    assert high == pytest.approx(10 / (1 + 1e6 / 12 / 255**2), rel=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_error_is_that_of_rounding(shape):
    x = drawn(shape)
    points, w = values_of(x).points()
    for share in (1.0, 0.3, 0.02):
        low, high = share * min(x.min(), 0), share * max(x.max(), 0)
        step = (high - low) / LEVELS
        true = np.square(np.clip(np.round(x / step) * step, low, high) - x).sum()
        assert error(points, w, low, high) == pytest.approx(true, rel=0.05)


@pytest.mark.parametrize(("outlier", "weight", "clips"), [(1e4, 1e-6, True), (1e4, 1.0, False)])
def test_an_outlier_is_clipped_if_it_hardly_counts(outlier, weight, clips):
    x = np.stack([drawn("normal"), drawn("normal")], 1)
    x[7, 0] = outlier
    values = values_of(x, weight=torch.tensor([weight, 1.0]))
    found, left = best(values)
    assert values.high == outlier
    assert (found.by != WIDEST) == clips
    assert found.high < 10 if clips else found.high == outlier
    assert left < 0.01 if clips else left == 1


def test_a_uniform_tensor_keeps_its_range():
    found, left = best(values_of(drawn("uniform")))
    assert left > 0.95
    assert (found.low, found.high) == pytest.approx((-1, 3), rel=0.02)


def test_percentiles_and_entropy_cut_tails():
    x, w = values_of(np.linspace(-50, 150, 200_001, dtype=np.float32)).points()
    assert percentile(x, w, 90) == pytest.approx((-40, 140), rel=0.01)
    assert percentile(x, w, 100) == (x[0], x[-1])
    assert entropy(x, w, -50, 150) == (-50, 150)
    far = np.append(drawn("normal"), np.float32([300, 310]))
    low, high = entropy(*values_of(far).points(), -4.5, 310)
    assert low == -4.5
    assert 20 < high < 200


def test_a_tensor_of_zeros_has_a_range():
    found, left = best(values_of(np.zeros((2, 3), np.float32)))
    assert (found.low, found.high, found.by, left) == (0, 0, WIDEST, 1)


@given(PARTS)
def test_the_histogram_does_not_depend_on_how_it_was_fed(parts):
    arrays = [np.array(p, np.float32) for p in parts]
    whole = np.concatenate(arrays)
    fed, once = sum(map(values_of, arrays), Values()), values_of(whole)
    assert torch.equal(fed.weight, once.weight)
    assert (
        (fed.low, fed.high) == (once.low, once.high) == (min(whole.min(), 0), max(whole.max(), 0))
    )
    assert float(fed.weight.sum()) == whole.size
    x, w = fed.points()
    assert (np.diff(x) >= 0).all()
    assert x @ w == pytest.approx(
        whole.sum(dtype=float), abs=2**-8 * np.abs(whole).sum(dtype=float)
    )
