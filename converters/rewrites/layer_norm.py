"""LayerNorm and RMSNorm as products with a constant, which every delegate takes.

    before   x ── layer_norm(w, b)
    after    d = x − M x;   y = d · rsqrt(M d² + eps) · w + b        M: the product with 1/C

Why: XNNPACK has no LayerNorm; in ExecuTorch each one is a partition boundary and a portable kernel,
3.5 times slower than this form. The mean is taken first and then the squares of what is left, as
LayerNorm does itself, so that a mean much larger than the deviation costs no digits. `w` and `b`
are folded into the layer that follows (affine.py).
Where the norm reads a map that was turned channels last, it stays a map: M is a 1×1 convolution.
Not when: it normalises over more than the last axis.
"""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch.fx import Node

from .graph import Graph, arguments, aten, dtype, rank, shape_of
from .layout import TO_LAST, is_turned
from .rule import Refused, rule


@rule(aten.layer_norm.default)
def layer_norm_by_products(g: Graph, node: Node) -> Node | None:
    """LayerNorm becomes two products with 1/C, a difference, a square and a reciprocal root."""
    x, shape, weight, bias, eps, _ = arguments(node)
    if len(shape) != 1:
        raise Refused(f"it normalises over {len(shape)} axes")
    if is_turned(x):
        return None
    return scaled_and_shifted(g, over_channels(g, x, eps), weight, bias)


@rule(aten.layer_norm.default)
def layer_norm_by_convolutions(g: Graph, node: Node) -> Node | None:
    """The same of a map that was turned channels last, on the map as it was."""
    x, shape, weight, bias, eps, _ = arguments(node)
    if len(shape) != 1 or not is_turned(x):
        return None
    return scaled_and_shifted(g, over_channels(g, x, eps), weight, bias)


@rule(aten.rms_norm.default)
def rms_norm_by_products(g: Graph, node: Node) -> Node | None:
    """RMSNorm becomes a square, a product with 1/C and a reciprocal root."""
    x, shape, weight, eps = arguments(node)
    if len(shape) != 1:
        raise Refused(f"it normalises over {len(shape)} axes")
    eps = torch.finfo(dtype(x)).eps if eps is None else eps
    return scaled_and_shifted(g, over_channels(g, x, eps, centre=False), weight, None)


def over_channels(g: Graph, x: Node, eps: float, *, centre: bool = True) -> Node:
    """x normalised along its last axis, on the map before it was turned channels last if it was."""

    def along(of: Node, axis: int) -> Node:
        return normalised(g, of, eps, lambda t, plus=0.0: averaged(g, t, axis, plus), centre=centre)

    if is_turned(x):
        return g.permute(along(cast(Node, x.args[0]), 1), TO_LAST)
    if rank(x) > 3:  # litert-torch 0.10 refuses a linear layer over [.., 1, C] of rank 4
        rows = g.reshape(x, (math.prod(shape_of(x)[:-1]), shape_of(x)[-1]))
        return g.reshape(along(rows, 1), shape_of(x))
    return along(x, rank(x) - 1)


def normalised(
    g: Graph, x: Node, eps: float, mean: Callable[..., Node], *, centre: bool = True
) -> Node:
    """x without its mean (where there is one), over its standard deviation.

    mean: of a node, and of a node plus a number, in whatever form the norm takes its means.
    """
    deviation = g(aten.sub.Tensor, x, mean(x)) if centre else x
    square = g(aten.mul.Tensor, deviation, deviation)
    return g(aten.mul.Tensor, deviation, g(aten.rsqrt.default, mean(square, eps)))


def scaled_and_shifted(g: Graph, x: Node, weight: Node | None, bias: Node | None) -> Node:
    """The affine part of a norm, where it has one."""
    for op, p in ((aten.mul.Tensor, weight), (aten.add.Tensor, bias)):
        x = x if p is None else g(op, x, p)
    return x


def averaged(g: Graph, x: Node, axis: int, plus: float = 0.0) -> Node:
    """The mean along the last axis, or along the channels of a map, kept as an axis of length 1."""
    size = shape_of(x)[axis]
    weight = g.constant(torch.full([1, size], 1 / size, dtype=dtype(x)))
    bias: Any = g.constant(torch.full([1], plus, dtype=dtype(x))) if plus else None
    if axis == rank(x) - 1:
        return g(aten.linear.default, x, weight, bias)
    return g.conv1x1(x, weight, bias)


RULES = (layer_norm_by_products, layer_norm_by_convolutions, rms_norm_by_products)
