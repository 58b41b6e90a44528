"""Weights that are looked up, one by one or in vectors: a few numbers worked out by hand."""

import numpy as np
import pytest
from weights_by_hand import MASK, f, narrow, packed, sparse, weight_of

pytestmark = pytest.mark.needs("coremltools")

# operator: iOS, the program, what it gives
CASES = {
    **{
        f"constexpr_lut_to_dense of {bits} bits on iOS 16": (
            16,
            lambda mb, bits=bits, last=last: mb.constexpr_lut_to_dense(
                indices=packed([last, 0, 1, last, last - 1, 0], bits),
                lut=np.arange(2**bits, dtype=np.float32) * 3,
                shape=np.array([2, 3], np.uint32),
            ),
            [[3 * last, 0, 3], [3 * last, 3 * last - 3, 0]],
        )
        for bits, last in ((1, 1), (2, 3), (4, 15), (6, 63), (8, 255))
    },
    **{
        f"constexpr_lut_to_dense of {kind}": (
            18,
            lambda mb, kind=kind, bits=bits: mb.constexpr_lut_to_dense(
                indices=narrow([[2**bits - 1, 0, 1], [1, 2**bits - 2, 0]], kind),
                lut=(np.arange(2**bits, dtype=np.float32) * 3).reshape(1, 1, -1, 1),
            ),
            [[3 * (2**bits - 1), 0, 3], [3, 3 * (2**bits - 2), 0]],
        )
        for kind, bits in ((f"uint{n}", n) for n in (1, 2, 3, 4, 6))
    },
    "constexpr_lut_to_dense of blocks": (
        18,
        lambda mb: mb.constexpr_lut_to_dense(
            indices=narrow([[0, 1], [1, 1], [0, 1], [1, 0]], "uint1"),
            lut=f(1, 2, 10, 20).reshape(2, 1, 2, 1),
        ),
        [[1, 2], [2, 2], [10, 20], [20, 10]],
    ),
    "constexpr_lut_to_dense of vectors down": (
        18,
        lambda mb: mb.constexpr_lut_to_dense(
            indices=narrow([[0, 1], [1, 1]], "uint1"),
            lut=f(1, 2, 3, 7, 8, 9).reshape(1, 1, 2, 3),
            vector_axis=0,
        ),
        [[1, 7], [2, 8], [3, 9], [7, 7], [8, 8], [9, 9]],
    ),
    "constexpr_lut_to_dense of vectors along": (
        18,
        lambda mb: mb.constexpr_lut_to_dense(
            indices=narrow([[0, 1], [1, 1]], "uint1"),
            lut=f(1, 2, 3, 7, 8, 9).reshape(1, 1, 2, 3),
            vector_axis=-1,
        ),
        [[1, 2, 3, 7, 8, 9], [7, 8, 9, 7, 8, 9]],
    ),
    "constexpr_lut_to_sparse": (
        18,
        lambda mb: sparse(
            mb,
            "constexpr_lut_to_sparse",
            indices_mask=narrow(MASK, "uint1"),
            indices_nonzero_data=narrow([1, 0, 2, 3], "uint2"),
            lut=f(2, 3, 4, 5).reshape(1, 1, 4, 1),
        ),
        [[3, 0, 2, 0], [0, 4, 5, 0]],
    ),
    "constexpr_lut_to_sparse of vectors": (
        18,
        lambda mb: sparse(
            mb,
            "constexpr_lut_to_sparse",
            indices_mask=narrow(MASK, "uint1"),
            indices_nonzero_data=narrow([1, 0, 0, 1], "uint1"),
            lut=f(2, 3, 4, 5).reshape(1, 1, 2, 2),
            vector_axis=0,
        ),
        [[4, 0, 2, 0], [5, 0, 3, 0], [0, 2, 4, 0], [0, 3, 5, 0]],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_weights_that_are_looked_up(name):
    *case, expected = CASES[name]
    assert weight_of(case) == expected
