"""Each operator that stands for a weight, on a few numbers worked out by hand."""

import numpy as np
import pytest
from programs import evaluated, tools

pytestmark = pytest.mark.needs("coremltools")


def narrow(values, kind: str) -> np.ndarray:
    """Numbers in one of MIL's formats that numpy has not."""
    return np.array(values).astype(getattr(tools().types, f"np_{kind}_dtype"))


def packed(values, bits: int) -> np.ndarray:
    """As iOS 16 keeps them: from the lowest bit up, in bytes."""
    places = sum(int(v) << (bits * i) for i, v in enumerate(values))
    return np.frombuffer(places.to_bytes((len(values) * bits + 7) // 8, "little"), np.uint8)


def f(*values) -> np.ndarray:
    return np.array(values, np.float32)


def sparse(mb, operator, **given):
    """An operator that gives a mask and values, and the tensor that they stand for."""
    mask, values = getattr(mb, operator)(**given)
    return mb.constexpr_sparse_to_dense(nonzero_data=values, mask=mask)


MASK = [[1, 0, 1, 0], [0, 1, 1, 0]]
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
    ios, build, expected = CASES[name]
    (found,) = evaluated(lambda mb, x: mb.add(x=x, y=build(mb)), f(0), ios=ios)
    assert found.tolist() == expected
