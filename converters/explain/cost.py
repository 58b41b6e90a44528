"""Estimated time of an operator: the longer of its arithmetic and its memory traffic.

    seconds = max(MACs / MACS_PER_S, bytes / BYTES_PER_S) · factor

It ranks operators, and says roughly where time goes; it is no measurement: caches, fused
activations and layout changes are left out, `edgevit profile` measures. Peak and bandwidth are
those of one big core of a recent phone. The factors were measured on one thread of x86, each
operator against the form of it that the delegate takes.
"""

from collections.abc import Iterable, Sequence
from math import prod

MACS_PER_S = 20e9  # fp32: two 128-bit FMA at 2.5 GHz
BYTES_PER_S = 10e9

PORTABLE = 5.0  # times slower: ExecuTorch's kernels outside the delegate, one element at a time
PORTABLE_OPS = {
    "native_layer_norm": 3.5,
    "avg_pool2d": 30.0,
    "elu": 23.0,
    "upsample_nearest2d": 16.0,
    "softplus": 9.0,
    "mish": 9.0,
    "view_copy": 1.0,  # a memcpy
    "clone": 1.0,
}
BUILT_IN = 2.0  # TFLite's own kernels, most of which are written with care
TAPS, GENERIC_DEPTHWISE = 25, 10.0  # above so many taps XNNPACK has a generic depthwise kernel

ESTIMATE = (
    "≈ share is an estimate from multiplications and bytes on one core, not a measurement; "
    "`edgevit profile` measures"
)


def seconds(*, macs: float, size_bytes: float, factor: float = 1.0) -> float:
    return max(macs / MACS_PER_S, size_bytes / BYTES_PER_S) * factor


def depthwise_factor(taps: int) -> float:
    return GENERIC_DEPTHWISE if taps > TAPS else 1.0


def size_bytes(tensors: Iterable[tuple[Sequence[int], int]]) -> int:
    """Bytes of tensors given as (shape, bytes per element)."""
    return sum(prod(shape) * each for shape, each in tensors)
