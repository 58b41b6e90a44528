"""Means and poolings in the one form that XNNPACK's delegates take.

    before   adaptive_avg_pool2d(1) · mean over [1, 2] of tokens · avg_pool2d(count_include_pad)
    after    mean([2, 3], keepdim)  · linear with 1/N            · avg_pool2d on a padded map

Why: ExecuTorch's delegate takes a mean of maps over height and width only, and no average pool that
counts its padding, though without padding that is the same function: 28 to 114 times slower else.
"""

import math
from typing import cast

import torch
from torch.fx import Node

from .graph import Graph, argument, arguments, aten, axes, dtype, rank, shape_of
from .layer_norm import averaged
from .rule import Refused, rule


@rule(aten.adaptive_avg_pool2d.default)
def global_pool_by_mean(g: Graph, node: Node) -> Node | None:
    """Pooling to one pixel is the mean of the map; to whole cells, an average pool."""
    x, size = cast(tuple[Node, list[int]], node.args)
    if list(size) == [1, 1]:
        return g(aten.mean.dim, x, [rank(x) - 2, rank(x) - 1], True)
    h, w = shape_of(x)[-2:]
    if h % size[0] or w % size[1]:
        raise Refused(f"cells of {h}×{w} pixels into {size[0]}×{size[1]} differ in size")
    cell = [h // size[0], w // size[1]]
    return g(aten.avg_pool2d.default, x, cell, cell, [0, 0], False, False)


@rule(aten.mean.dim)
def mean_over_pixels(g: Graph, node: Node) -> Node | None:
    """A mean over other axes than height and width becomes one over them, or a product."""
    x, keep = cast(Node, node.args[0]), bool(argument(node, "keepdim"))
    over, n = axes(argument(node, "dim"), rank(x)), rank(x)
    if dtype(x) != dtype(node):
        raise Refused(f"it takes the mean of {dtype(x)} in {dtype(node)}")
    if n == 4 and over == [2, 3]:
        return None if keep else g.reshape(g(aten.mean.dim, x, [2, 3], True), shape_of(node))
    if n == 4 and over == [1, 2]:
        mean = g(aten.mean.dim, g.permute(x, [0, 3, 1, 2]), [2, 3], True)
    elif over == [n - 1] or (n == 4 and over == [1]):
        mean = averaged(g, x, over[0])
    elif n == 3 and over == [1]:
        mean = averaged(g, g.permute(x, [0, 2, 1]), 2)
    elif n == 4 and len(over) == 1:
        turned = [d for d in range(4) if d != over[0]] + over
        mean = averaged(g, g.permute(x, turned), 3)
    else:
        raise Refused(f"a mean over axes {over} of {list(shape_of(x))}")
    return g.reshape(mean, shape_of(node))


@rule(aten.sum.dim_IntList)
def sum_by_mean(g: Graph, node: Node) -> Node | None:
    """A sum is a mean times the count."""
    x = cast(Node, node.args[0])
    if dtype(x) != dtype(node) or not dtype(x).is_floating_point:
        raise Refused(f"it sums {dtype(x)} into {dtype(node)}")
    over = axes(argument(node, "dim"), rank(x))
    count = math.prod(shape_of(x)[a] for a in over)
    mean = g(aten.mean.dim, x, over, bool(argument(node, "keepdim")))
    return g(aten.mul.Tensor, mean, float(count))


@rule(aten.avg_pool2d.default)
def average_without_padding(g: Graph, node: Node) -> Node | None:
    """An average that counts its padding is one without, of a map padded before."""
    x, kernel, stride, padding, ceil, counted, divisor = arguments(node)
    if not counted or ceil or divisor is not None:
        return None
    if any(padding):
        ph, pw = (list(padding) * 2)[:2]
        x = g(aten.constant_pad_nd.default, x, [pw, pw, ph, ph], 0.0)
    return g(aten.avg_pool2d.default, x, kernel, stride or kernel, [0, 0], ceil, False)


@rule(aten.avg_pool2d.default)
def strided_pick_by_convolution(g: Graph, node: Node) -> Node | None:
    """An average over single pixels, which only picks some, is a depthwise convolution by 1."""
    x, kernel, stride, padding, ceil, _, divisor = arguments(node)
    if set(kernel) != {1} or any(padding) or ceil or divisor not in (None, 1):
        return None
    channels = shape_of(x)[-3]
    ones = g.constant(torch.ones([channels, 1, 1, 1], dtype=dtype(x)))
    return g(aten.conv2d.default, x, ones, None, stride or kernel, [0, 0], [1, 1], channels)


RULES = (
    global_pool_by_mean,
    mean_over_pixels,
    sum_by_mean,
    strided_pick_by_convolution,
    average_without_padding,
)
