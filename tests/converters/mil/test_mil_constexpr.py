"""Weights that are scaled, shifted, cast or sparse: a few numbers worked out by hand."""

import numpy as np
import pytest
from weights_by_hand import MASK, f, narrow, packed, sparse, weight_of

pytestmark = pytest.mark.needs("coremltools")

# operator: iOS, the program, what it gives
CASES = {
    "constexpr_affine_dequantize": (
        16,
        lambda mb: mb.constexpr_affine_dequantize(
            quantized_data=np.array([[10, 11, 12], [0, 255, 7]], np.uint8),
            zero_point=np.uint8(10),
            scale=np.float32(0.5),
            axis=0,
        ),
        [[0, 0.5, 1], [-5, 122.5, -1.5]],
    ),
    "constexpr_affine_dequantize along an axis": (
        16,
        lambda mb: mb.constexpr_affine_dequantize(
            quantized_data=np.array([[-128, 1, 2], [3, 127, 5]], np.int8),
            zero_point=np.array([0, 1, 2], np.int8),
            scale=f(1, 10, 100),
            axis=1,
        ),
        [[-128, 0, 0], [3, 1260, 300]],
    ),
    "constexpr_affine_dequantize from the end": (
        16,
        lambda mb: mb.constexpr_affine_dequantize(
            quantized_data=np.array([[1, 2], [3, 4]], np.int8),
            zero_point=np.int8(0),
            scale=f(1, 10),
            axis=-2,
        ),
        [[1, 2], [30, 40]],
    ),
    "constexpr_blockwise_shift_scale": (
        18,
        lambda mb: mb.constexpr_blockwise_shift_scale(
            data=narrow([[1, 2, -8, 7], [0, -1, 3, 4]], "int4"),
            scale=f([1, 10], [2, 100]),
            offset=narrow([[1, 0], [-1, 4]], "int4"),
        ),
        [[0, 1, -80, 70], [2, 0, -100, 0]],
    ),
    "constexpr_blockwise_shift_scale from uint4 by a real offset": (
        18,
        lambda mb: mb.constexpr_blockwise_shift_scale(
            data=narrow([[15, 2], [8, 0]], "uint4"), scale=f([2], [4]), offset=f([0.5], [0])
        ),
        [[29, 3], [32, 0]],
    ),
    "constexpr_cast": (
        16,
        lambda mb: mb.constexpr_cast(
            source_val=np.array([1.5, -2, 65504], np.float16), output_dtype="fp32"
        ),
        [1.5, -2, 65504],
    ),
    "constexpr_cast on iOS 18": (
        18,
        lambda mb: mb.constexpr_cast(source_val=np.array([0.5], np.float16), output_dtype="fp32"),
        [0.5],
    ),
    "constexpr_sparse_to_dense": (
        18,
        lambda mb: mb.constexpr_sparse_to_dense(
            nonzero_data=f(5, 6, 7, 8), mask=narrow(MASK, "uint1")
        ),
        [[5, 0, 6, 0], [0, 7, 8, 0]],
    ),
    "constexpr_sparse_to_dense on iOS 16": (
        16,
        lambda mb: mb.constexpr_sparse_to_dense(
            nonzero_data=f(5, 6, 7),
            mask=packed([0, 0, 1, 0, 0, 0, 1, 0, 0, 1], 1),
            shape=np.array([2, 5], np.uint32),
        ),
        [[0, 0, 5, 0, 0], [0, 6, 0, 0, 7]],
    ),
    "constexpr_sparse_blockwise_shift_scale": (
        18,
        lambda mb: sparse(
            mb,
            "constexpr_sparse_blockwise_shift_scale",
            data_mask=narrow(MASK, "uint1"),
            nonzero_data=np.array([10, 3, -5, 7], np.int8),
            scale=f([1, 2, 10, 20]),
            offset=np.array([[1, 1, 0, 2]], np.int8),
        ),
        [[9, 0, 30, 0], [0, -12, 70, 0]],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_weights_that_are_computed(name):
    *case, expected = CASES[name]
    assert weight_of(case) == expected
