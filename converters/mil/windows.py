"""Convolution and pooling: what slides a window over the spatial axes.

Padding: `valid` none, `custom` [before, after] an axis, `same` so that the output has ⌈input /
stride⌉, the odd one after; `same_lower` the odd one before.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .operators import Ints, along, operator

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MAX_POOL: dict[int, Any] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG_POOL: dict[int, Any] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def pads(
    pad_type: str, pad: Ints, size: Ints, kernel: Ints, strides: Ints, dilations: Ints
) -> list[tuple[int, int]]:
    """(before, after) of each spatial axis."""
    if pad_type == "custom" and pad:
        return list(zip(pad[::2], pad[1::2], strict=True))
    if not pad_type.startswith("same"):
        return [(0, 0)] * len(size)
    found = []
    for n, k, s, d in zip(size, kernel, strides, dilations, strict=True):
        total = max(0, (math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n)
        less, more = total // 2, total - total // 2
        found.append((less, more) if pad_type == "same" else (more, less))
    return found


def _padded(x: Tensor, around: list[tuple[int, int]], value: float = 0.0) -> Tensor:
    flat = [n for pair in reversed(around) for n in pair]
    return F.pad(x, flat, value=value) if any(flat) else x


@operator
def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Ints = (),
    pad_type: str = "valid",
    pad: Ints = (),
    dilations: Ints = (),
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of [N, C, *D] with [M, C / groups, *K], as torch's."""
    ones = (1,) * (x.dim() - 2)
    strides, dilations = strides or ones, dilations or ones
    around = pads(pad_type, pad, x.shape[2:], weight.shape[2:], strides, dilations)
    return CONV[len(ones)](_padded(x, around), weight, bias, strides, 0, dilations, groups)


@operator
def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    pad: Ints = (),
    output_shape: Ints = (),
    pad_type: str = "valid",
    strides: Ints = (),
    dilations: Ints = (),
    groups: int = 1,
) -> Tensor:
    """The gradient of conv, weight [C, M / groups, *K]: the full one, cropped by the padding."""
    ones = (1,) * (x.dim() - 2)
    strides, dilations = strides or ones, dilations or ones
    full = CONV_TRANSPOSE[len(ones)](x, weight, None, strides, 0, 0, groups, dilations)
    have, kernel, size = full.shape[2:], weight.shape[2:], output_shape[2:]
    if pad_type.startswith("same"):
        size = size or tuple(n * s for n, s in zip(x.shape[2:], strides, strict=True))
        around = pads(pad_type, (), size, kernel, strides, dilations)
    else:
        around = pads(pad_type, pad, x.shape[2:], kernel, strides, dilations)
        size = size or tuple(n - sum(both) for n, both in zip(have, around, strict=True))
    ends = zip(size, have, around, strict=True)
    full = _padded(full, [(-before, before + n - had) for n, had, (before, _) in ends])
    return full if bias is None else full + along(bias, full, 1)


def _pooled(
    pool: Any,
    x: Tensor,
    kernel: Ints,
    strides: Ints,
    pad_type: str,
    pad: Ints,
    value: float,
    **kw: Any,
) -> Tensor:
    """torch's pooling over x, padded by `value` where torch cannot pad so itself."""
    ones = (1,) * len(kernel)
    strides = strides or ones
    around = pads(pad_type, pad, x.shape[2:], kernel, strides, ones)
    simple = all(b == a and 2 * b <= k for (b, a), k in zip(around, kernel, strict=True))
    if simple:
        return pool(x, kernel, strides, [b for b, _ in around], **kw)
    return pool(_padded(x, around, value), kernel, strides, 0, **kw)


@operator
def max_pool(
    x: Tensor,
    kernel_sizes: Ints,
    pad_type: str,
    strides: Ints = (),
    pad: Ints = (),
    ceil_mode: bool = False,
) -> Tensor:
    """The largest of each window; padding never is."""
    pool = MAX_POOL[len(kernel_sizes)]
    kw = {"ceil_mode": ceil_mode}
    return _pooled(pool, x, kernel_sizes, strides, pad_type, pad, -math.inf, **kw)


@operator
def avg_pool(
    x: Tensor,
    kernel_sizes: Ints,
    pad_type: str,
    strides: Ints = (),
    pad: Ints = (),
    exclude_padding_from_average: bool = False,
    ceil_mode: bool = False,
) -> Tensor:
    """The mean of each window, over its real elements alone where padding is excluded."""
    pool = AVG_POOL[len(kernel_sizes)]
    given = (kernel_sizes, strides, pad_type, pad, 0.0)
    whole: Tensor = _pooled(pool, x, *given, ceil_mode=ceil_mode)
    if not exclude_padding_from_average:
        return whole
    return whole / _pooled(pool, torch.ones_like(x[:1, :1]), *given, ceil_mode=ceil_mode)
