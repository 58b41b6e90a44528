"""Convolutions of one to three axes, against sums over the places of the window, in float64."""

from math import ceil

import numpy as np
import pytest
from cases import Case, Maker, check
from test_mil_elementwise import random

pytestmark = pytest.mark.needs("coremltools")


def around(pad_type, pad, size, kernel, strides, dilations) -> list[tuple[int, int]]:
    """(before, after) of each axis, from Apple's words and not from the evaluator's."""
    if pad_type == "custom":
        return [(pad[2 * d], pad[2 * d + 1]) for d in range(len(size))]
    found = []
    for n, k, s, d in zip(size, kernel, strides, dilations, strict=True):
        wanted = 0 if pad_type == "valid" else s * (ceil(n / s) - 1) + d * (k - 1) + 1 - n
        small, large = max(0, wanted) // 2, max(0, wanted + 1) // 2
        found.append((large, small) if pad_type == "same_lower" else (small, large))
    return found


def convolved(x, weight, bias, strides, pads, dilations, groups):
    x = np.pad(x.astype("f8"), [(0, 0), (0, 0), *pads])
    kernel = weight.shape[2:]
    out = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[2:], kernel, strides, dilations, strict=True)
    ]
    y = np.zeros((len(x), len(weight), *out))
    each = len(weight) // groups
    for m in range(len(weight)):
        first = m // each * weight.shape[1]
        part = x[:, first : first + weight.shape[1]]
        for at in np.ndindex(*kernel):
            read = tuple(
                slice(i * d, i * d + (n - 1) * s + 1, s)
                for i, d, n, s in zip(at, dilations, out, strides, strict=True)
            )
            factors = weight[(m, slice(None), *at)].astype("f8")
            y[:, m] += np.einsum("nc...,c->n...", part[(..., *read)], factors)
    return y if bias is None else y + bias.reshape(-1, *[1] * len(kernel))


def conv(size, kernel, *, channels=(4, 6), pad_type="valid", pad=(), strides=None, dilations=None,
         groups=1, bias=False, dtype="f4", ios=17) -> Maker:  # fmt: skip
    def make(rng):
        ones = (1,) * len(size)
        x = random(rng, (2, channels[0], *size), dtype=dtype)
        weight = random(rng, (channels[1], channels[0] // groups, *kernel), -1, 1, dtype)
        shift = random(rng, channels[1], dtype=dtype) if bias else None
        how = (strides or ones, dilations or ones)
        pads = around(pad_type, pad, size, kernel, *how)
        found = convolved(x, weight, shift, how[0], pads, how[1], groups)
        given = {"weight": weight, "bias": shift, "strides": strides, "dilations": dilations}
        given |= {"pad": list(pad) or None, "pad_type": pad_type, "groups": groups}
        attributes = {k: v for k, v in given.items() if v is not None}
        return Case({"x": x}, found.astype(dtype), attributes, ios=ios, tolerance=1e-4)

    return make


def transposed(size, kernel, *, pad_type="valid", pad=(), strides=None, dilations=None, groups=1,
               bias=False, output=None, ios=17) -> Maker:  # fmt: skip
    """Each input pixel writes a window; what is cut off is what the pads of conv would have added.

    output: the spatial sizes asked for, where they are.
    """

    def make(rng):
        ones = (1,) * len(size)
        x, weight = random(rng, (2, 4, *size)), random(rng, (4, 6 // groups, *kernel), -1, 1)
        shift = random(rng, 6) if bias else np.zeros(6, np.float32)
        stride, dilation = strides or ones, dilations or ones
        full = [
            (n - 1) * s + d * (k - 1) + 1
            for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)
        ]
        y = np.zeros((2, 6, *[n + 9 for n in full]))
        for c in range(4):
            for m in range(6 // groups):
                to = c // (4 // groups) * (6 // groups) + m
                for at in np.ndindex(*kernel):
                    write = tuple(
                        slice(i * d, i * d + (n - 1) * s + 1, s)
                        for i, d, n, s in zip(at, dilation, size, stride, strict=True)
                    )
                    y[(slice(None), to, *write)] += x[:, c].astype("f8") * weight[(c, m, *at)]
        y += shift.reshape(-1, *ones)
        if pad_type.startswith("same"):
            sizes = output or [n * s for n, s in zip(size, stride, strict=True)]
            pads = around(pad_type, pad, sizes, kernel, stride, dilation)
        else:
            pads = around(pad_type, pad, size, kernel, stride, dilation)
            sizes = output or [n - b - a for n, (b, a) in zip(full, pads, strict=True)]
        y = y[(..., *(slice(b, b + n) for n, (b, _) in zip(sizes, pads, strict=True)))]
        given = {"weight": weight, "pad_type": pad_type, "groups": groups, "strides": strides}
        given |= {"dilations": dilations, "pad": list(pad) or None, "bias": shift if bias else None}
        given["output_shape"] = [2, 6, *output] if output else None
        attributes = {k: v for k, v in given.items() if v is not None}
        return Case({"x": x}, y.astype("f4"), attributes, ios=ios, tolerance=1e-4)

    return make


CASES: dict[str, Maker] = {
    "conv": conv((7, 8), (3, 2), bias=True),
    "conv on iOS 15": conv((7, 8), (3, 2), ios=15),
    "conv of fp16": conv((7, 8), (3, 3), dtype="f2", bias=True),
    "conv of one axis": conv((9,), (3,), strides=[2], pad_type="custom", pad=(2, 1)),
    "conv of three axes": conv((4, 5, 6), (2, 3, 2), pad_type="same", strides=[1, 2, 2]),
    "conv, depthwise": conv((6, 6), (3, 3), channels=(4, 4), groups=4, pad_type="same"),
    "conv in groups": conv((6, 6), (3, 3), groups=2, bias=True),
    "conv, dilated": conv((9, 8), (3, 2), dilations=[2, 3]),
    "conv, dilated and strided, same": conv(
        (9, 8), (3, 2), dilations=[2, 3], strides=[2, 2], pad_type="same"
    ),
    "conv, same": conv((7, 8), (3, 3), pad_type="same", strides=[2, 2]),
    "conv, same, even kernel": conv((7, 7), (4, 2), pad_type="same"),
    "conv, same_lower": conv((7, 8), (4, 3), pad_type="same_lower", strides=[1, 2], ios=16),
    "conv, same of a stride larger than the kernel": conv(
        (7, 8), (1, 1), pad_type="same", strides=[3, 3]
    ),
    "conv, custom": conv((5, 6), (3, 3), pad_type="custom", pad=(1, 1, 2, 2), bias=True),
    "conv, custom, asymmetric": conv((5, 6), (3, 3), pad_type="custom", pad=(0, 2, 3, 1)),
    "conv_transpose": transposed((4, 5), (3, 2), strides=[2, 3], bias=True),
    "conv_transpose of one axis": transposed((5,), (4,), strides=[2]),
    "conv_transpose of three axes": transposed((2, 3, 2), (2, 2, 3), strides=[2, 1, 2]),
    "conv_transpose in groups": transposed((4, 5), (3, 3), groups=2, bias=True),
    "conv_transpose, dilated": transposed((4, 5), (3, 2), dilations=[2, 3]),
    "conv_transpose, custom": transposed(
        (4, 5), (3, 4), pad_type="custom", pad=(1, 0, 2, 1), strides=[2, 2], bias=True
    ),
    "conv_transpose, same": transposed((4, 5), (3, 4), pad_type="same", strides=[2, 2]),
    "conv_transpose, same, small kernel": transposed(
        (4, 5), (1, 2), pad_type="same", strides=[2, 3], bias=True
    ),
    "conv_transpose, same to a size": transposed(
        (4, 5), (3, 3), pad_type="same", strides=[2, 2], output=(7, 10)
    ),
    "conv_transpose, custom to a size": transposed(
        (4, 5),
        (3, 3),
        pad_type="custom",
        pad=(1, 1, 1, 1),
        strides=[2, 2],
        output=(8, 9),
        bias=True,
    ),
    "conv_transpose, valid to a larger size": transposed(
        (4, 5), (2, 2), strides=[3, 3], output=(12, 15), bias=True
    ),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", CASES)
def test_convolutions_are_sums_over_windows(name, seed):
    check(name, CASES[name], seed)
