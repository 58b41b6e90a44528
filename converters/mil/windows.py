"""Convolution and pooling: what slides a window over the spatial axes.

Padding: `valid` none, `custom` [before, after] an axis, `same` so that the output has ⌈input /
stride⌉, the odd one after; `same_lower` the odd one before.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .operators import Ints, operator

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
    if all(before == after for before, after in around):
        padding, x_padded = [before for before, _ in around], x
    else:
        padding, x_padded = [0] * len(around), _padded(x, around)
    return CONV[len(ones)](x_padded, weight, bias, strides, padding, dilations, groups)


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
    full = CONV_TRANSPOSE[len(ones)](x, weight, bias, strides, 0, 0, groups, dilations)
    size = output_shape[2:] or tuple(n * s for n, s in zip(x.shape[2:], strides, strict=True))
    if pad_type.startswith("same"):
        kernel = weight.shape[2:]
        around = pads(pad_type, (), size, kernel, strides, dilations)
    else:
        around = pads(pad_type, pad, x.shape[2:], weight.shape[2:], strides, dilations)
        if not output_shape:
            size = tuple(
                n - before - after
                for n, (before, after) in zip(full.shape[2:], around, strict=True)
            )
    extra = [
        max(0, before + n - have)
        for n, have, (before, _) in zip(size, full.shape[2:], around, strict=True)
    ]
    if any(extra):  # past the last window there is the bias alone
        full = _padded(full - _as_map(bias, full), [(0, n) for n in extra]) + _as_map(bias, full)
    for axis, (n, (before, _)) in enumerate(zip(size, around, strict=True), start=2):
        full = full.narrow(axis, before, n)
    return full


def _as_map(bias: Tensor | None, x: Tensor) -> Tensor:
    return torch.zeros(()) if bias is None else bias.reshape(-1, *[1] * (x.dim() - 2))


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
