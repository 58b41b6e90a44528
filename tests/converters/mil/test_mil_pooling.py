"""Pooling of one to three axes, against windows walked one by one, in float64."""

from math import floor, prod

import numpy as np
import pytest
from cases import Case, Maker, check
from test_mil_convolutions import around
from test_mil_elementwise import random

pytestmark = pytest.mark.needs("coremltools")


def out_size(n, before, after, k, s, ceil_mode) -> int:
    """As Apple's documentation has it: in ceil mode no window begins in the padding after."""
    if not ceil_mode:
        return (n + before + after - k) // s + 1
    out = floor((n + before + after - k + s - 1) / s) + 1
    return out - 1 if (out - 1) * s >= n + before and before + after > 0 else out


def pooled(x, kernel, strides, pads, function, ceil_mode):
    """function(the real elements of a window, how many places it has with the padding)."""
    sizes = x.shape[2:]
    out = [
        out_size(n, b, a, k, s, ceil_mode)
        for n, (b, a), k, s in zip(sizes, pads, kernel, strides, strict=True)
    ]
    y = np.empty((*x.shape[:2], *out))
    for at in np.ndindex(*out):
        real, places = [], []
        for i, n, (b, a), k, s in zip(at, sizes, pads, kernel, strides, strict=True):
            first = i * s - b
            real.append(slice(max(first, 0), min(first + k, n)))
            places.append(min(first + k, n + a) - first)
        y[(..., *at)] = function(x.astype("f8")[(..., *real)], prod(places))
    return y


def largest(window, _):
    return window.max(tuple(range(2, window.ndim)))


def mean(window, places):
    return window.sum(tuple(range(2, window.ndim))) / places


def mean_of_real(window, _):
    return window.mean(tuple(range(2, window.ndim)))


def pool(function, size, kernel, *, strides=None, pad_type="valid", pad=(), ceil_mode=None,
         ios=17, dtype="f4", low=-4.0, high=4.0) -> Maker:  # fmt: skip
    def make(rng):
        ones = (1,) * len(size)
        x = random(rng, (2, 3, *size), low, high, dtype)
        pads = around(pad_type, pad, size, kernel, strides or ones, ones)
        found = pooled(x, kernel, strides or ones, pads, function, bool(ceil_mode))
        given = {"kernel_sizes": list(kernel), "pad_type": pad_type, "strides": strides}
        given |= {"pad": list(pad) or None, "ceil_mode": ceil_mode}
        given["exclude_padding_from_average"] = {mean: False, mean_of_real: True}.get(function)
        attributes = {k: v for k, v in given.items() if v is not None}
        return Case({"x": x}, found.astype(dtype), attributes, ios=ios)

    return make


ONE_AROUND = {"pad_type": "custom", "pad": (1, 1, 1, 1)}
# Of each: the image, the window, and the rest.
WINDOWS = {
    "": ((7, 8), (3, 2), {"strides": [2, 2]}),
    " of stride 1": ((5, 5), (3, 3), {}),
    " on iOS 15": ((7, 8), (3, 2), {"strides": [2, 1], "ios": 15}),
    " of fp16": ((6, 6), (2, 3), {"dtype": "f2"}),
    " of one axis": ((9,), (3,), {"strides": [2], "pad_type": "custom", "pad": (1, 1)}),
    " of three axes": ((4, 5, 6), (2, 3, 2), {"strides": [2, 1, 2], "pad_type": "same"}),
    ", same": ((7, 8), (3, 3), {"strides": [2, 2], "pad_type": "same"}),
    ", same, even": ((6, 7), (2, 4), {"pad_type": "same"}),
    ", same_lower": ((6, 7), (2, 4), {"strides": [1, 2], "pad_type": "same_lower", "ios": 16}),
    ", custom": ((5, 6), (3, 3), {"strides": [2, 2]} | ONE_AROUND),
    ", custom, asymmetric": ((5, 6), (3, 4), {"pad_type": "custom", "pad": (0, 2, 2, 1)}),
    ", padded by more than half": ((5, 6), (3, 3), {"pad_type": "custom", "pad": (2, 2, 2, 1)}),
    ", ceil": ((7, 8), (3, 3), {"strides": [2, 2], "ceil_mode": True}),
    ", ceil and padded": ((7, 8), (3, 3), {"strides": [2, 3], "ceil_mode": True} | ONE_AROUND),
    ", ceil, and no window begins after the end": (
        (6, 6), (2, 2), {"strides": [3, 3], "ceil_mode": True} | ONE_AROUND
    ),
}  # fmt: skip
CASES: dict[str, Maker] = {
    f"{name}{way}": pool(function, size, kernel, **options)
    for way, (size, kernel, options) in WINDOWS.items()
    for name, function in {
        "max_pool": largest,
        "avg_pool": mean,
        "avg_pool of real elements": mean_of_real,
    }.items()
}
# Padding is never the largest, not even of negative numbers.
CASES["max_pool of negative numbers"] = pool(
    largest, (5, 5), (3, 3), pad_type="same", low=-9, high=-1
)


@pytest.mark.parametrize("name", CASES)
def test_windows_are_pooled(name):
    check(name, CASES[name], 0)
