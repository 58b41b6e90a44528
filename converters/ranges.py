"""The range of 8 bits that errs least over all that a tensor held during the calibration.

    error(l, h) = Σ within  w · (s² / 12  or  x²)  +  Σ outside  w · (distance to l or h)²

with the step s = (h - l) / 255, and x² where x is rounded to 0, which all ranges hold. w is a
value's weight: where a product reads it, the sum of its channel's squared weights, so that the
error is of what that product writes, as far as errors are independent. Candidates are least to
largest, percentiles, and

OCTAV    h ← (Σ above h  w · x  +  l · k · Σ within  w) / (Σ above h  w  +  k · Σ within  w)

         with k = 1 / (12 · 255²), and l likewise: equation 6 of Sakr et al. (ICML 2022, arXiv
         2206.06501), for two ends in place of one scalar. Newton's method ends at an optimum near
         where it starts, so it starts within and without.
entropy  of limits to the magnitude, the one where 255 levels lose least of the distribution
         (Kullback and Leibler), what is clipped being at its ends: Migacz, "8-bit Inference with
         TensorRT", GTC 2017; here with eight bins to a level, however wide the range.
"""

from collections.abc import Iterator
from typing import Self

import numpy as np
import torch
from torch import Tensor

from edgevit.program import Range

from .plan import WIDEST

LEVELS = 255
PERCENTILES = (99.9, 99.99, 99.999)
SHARES = 2.0 ** -np.linspace(0, 6, 25)  # of the largest magnitude, that entropy tries
BINS = 8  # to a level, where entropy compares
STEPS = 50  # of Newton's method, at most

Points = np.ndarray
_NUMBERS = torch.arange(-(2**15), 2**15).short().view(torch.bfloat16).double().numpy()


class Values:
    """The weight of each bfloat16 among a tensor's values, a histogram that none of them outgrows:
    a bin is 1/128 of a value wide. low, high: the least and the largest, and 0.
    """

    def __init__(self) -> None:
        self.low = self.high = 0.0
        self.weight = torch.zeros(2**16, dtype=torch.float64)

    def add(self, x: Tensor, weight: Tensor | None = None) -> None:
        """weight: of each value, as it broadcasts to `x`; 1 by default."""
        self.low = min(self.low, float(x.min()))
        self.high = max(self.high, float(x.max()))
        bins = x.bfloat16().reshape(-1).view(torch.int16).int() + 2**15
        each = None if weight is None else weight.expand_as(x).reshape(-1)
        self.weight += torch.bincount(bins, each, minlength=2**16)

    def __add__(self, other: Self) -> Self:
        """Of all values of both."""
        both = type(self)()
        both.low, both.high = min(self.low, other.low), max(self.high, other.high)
        both.weight = self.weight + other.weight
        return both

    def points(self) -> tuple[Points, Points]:
        """The numbers that were there, but 0, from the least to the largest, and their weights."""
        weight = self.weight.numpy()
        there = np.flatnonzero((weight > 0) & (_NUMBERS != 0) & np.isfinite(_NUMBERS))
        there = there[np.argsort(_NUMBERS[there])]
        return _NUMBERS[there].clip(self.low, self.high), weight[there]


def best(values: Values) -> tuple[Range, float]:
    """The candidate that errs least, and what that leaves of the error of least to largest."""
    x, w = values.points()
    widest = Range(values.low, values.high, WIDEST)
    if not len(x):
        return widest, 1.0
    found = {r: error(x, w, r.low, r.high) for r in (widest, *candidates(x, w))}
    least = min(found, key=found.__getitem__)
    return least, found[least] / found[widest]


def error(x: Points, w: Points, low: float, high: float) -> float:
    """Of `x` on 255 steps of the range, squared, in sum."""
    step = (high - low) / LEVELS
    rounding = np.where(np.abs(x) < step / 2, x**2, step**2 / 12)
    outside = x - x.clip(low, high)
    return float(w @ np.where(outside == 0, rounding, outside**2))


def candidates(x: Points, w: Points) -> Iterator[Range]:
    whole = min(float(x[0]), 0.0), max(float(x[-1]), 0.0)
    for start in ((0.0, 0.0), whole):
        yield Range(*octav(x, w, *start), "OCTAV")
    for percent in PERCENTILES:
        yield Range(*percentile(x, w, percent), f"percentile {percent:g}")
    yield Range(*entropy(x, w, *whole), "entropy")


def octav(x: Points, w: Points, low: float, high: float) -> tuple[float, float]:
    """From the range it starts with to one of an error that no range near it undercuts."""
    k = 1 / (12 * LEVELS**2)

    def end(beyond: Points, other: float) -> float:
        within = k * w[(low <= x) & (x <= high)].sum()
        whole = w[beyond].sum() + within
        return float((x[beyond] @ w[beyond] + other * within) / whole) if whole else 0.0

    for _ in range(STEPS):
        before = low, high
        high = max(end(x > high, low), 0.0)
        low = min(end(x < low, high), 0.0)
        if np.allclose((low, high), before, rtol=1e-5, atol=0):
            break
    return low, high


def percentile(x: Points, w: Points, percent: float) -> tuple[float, float]:
    """What holds so much of the weight, as much of the rest above as below."""
    share, cut = np.cumsum(w) / w.sum(), (1 - percent / 100) / 2
    low, high = x[np.searchsorted(share, [cut, 1 - cut]).clip(max=len(x) - 1)]
    return min(float(low), 0.0), max(float(high), 0.0)


def entropy(x: Points, w: Points, low: float, high: float) -> tuple[float, float]:
    most = max(-low, high) * SHARES
    ranges = [(max(low, -float(m)), min(high, float(m))) for m in most]
    return min(ranges, key=lambda r: _lost(x, w, *r))


def _lost(x: Points, w: Points, low: float, high: float) -> float:
    """Of the distribution, in nats, by 255 levels of this range."""
    edges = np.concatenate([[x[0]], (x[1:] + x[:-1]) / 2, [x[-1]]])
    below = np.interp(
        np.linspace(low, high, LEVELS * BINS + 1), edges, np.concatenate([[0], np.cumsum(w)])
    )
    true = np.diff(below)
    groups = true.reshape(LEVELS, BINS)
    held = (groups > 0).sum(1, keepdims=True).clip(min=1)
    levels = np.where(groups > 0, groups.sum(1, keepdims=True) / held, 0).reshape(-1)
    true[0] += below[0]
    true[-1] += w.sum() - below[-1]
    if not levels.any():
        return float("inf")
    p, q = true / true.sum(), levels / levels.sum()
    there = p > 0
    return float((p[there] * np.log(p[there] / q[there].clip(min=1e-12))).sum())
