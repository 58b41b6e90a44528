"""Upsampling as products: nearest-neighbour, and depthwise with windows that do not overlap.

    before   x ── upsample_nearest2d
    after    x ── linear(rows picked from W) ── turn ── linear(rows picked from H) ── turn back

    before   x ── conv_transpose2d(groups=C, kernel r, stride r)
    after    x as [H, 1, W, 1, C] · kernel as [r, 1, r, C] ── as [H·r, W·r, C]

Why: XNNPACK has no nearest-neighbour resize; in ExecuTorch it is a partition boundary and a kernel
17 times slower than ONNX Runtime's. A one and zeros pick a value exactly. Transposed convolutions
have no depthwise kernel in XNNPACK, and LiteRT's converter writes C of one channel each, joined by
a concatenation that the delegate leaves outside; a product that broadcasts is the same numbers.
Not when: factors are not whole, or windows overlap or leave gaps.
"""

from typing import cast

import torch
from torch.fx import Node

from .graph import Graph, arguments, aten, dtype, shape_of
from .rule import Refused, rule


@rule(aten.upsample_nearest2d.vec)
def nearest_by_products(g: Graph, node: Node) -> Node | None:
    """Each axis of a nearest-neighbour resize is a product with zeros and ones."""
    x, _, factors = cast(tuple[Node, list[int] | None, list[float] | None], node.args)
    if factors and any(factor % 1 for factor in factors):
        raise Refused(f"its factors {factors} are not whole")
    for axis in (3, 2):
        before, after = shape_of(x)[3], shape_of(node)[axis]
        picked = torch.arange(after) * before // after
        rows = torch.zeros(after, before, dtype=dtype(x))
        rows[torch.arange(after), picked] = 1
        x = g.permute(g(aten.linear.default, x, g.constant(rows)), [0, 1, 3, 2])
    return x


@rule(aten.conv_transpose2d.input)
def windows_by_product(g: Graph, node: Node) -> Node | None:
    """A pixel that fills a window of its own is its value times the kernel."""
    x, kernel, bias, stride, padding, more, groups, dilation = arguments(node)
    n, c, h, w = shape_of(x)
    _, outputs, *window = shape_of(kernel)
    if (groups, outputs) != (c, 1):
        return None
    if (list(stride) * 2)[:2] != window or any(padding) or any(more) or set(dilation) != {1}:
        raise Refused("its windows overlap, or are cut or apart")
    pixels = g.reshape(g.permute(x, [0, 2, 3, 1]), [n * h, 1, w, 1, c])
    product = g(aten.mul.Tensor, pixels, g.permute(kernel, [2, 1, 3, 0]))
    if bias is not None:
        product = g(aten.add.Tensor, product, bias)
    filled = g.reshape(product, [n, h * window[0], w * window[1], c])
    return g.permute(filled, [0, 3, 1, 2])


RULES = (nearest_by_products, windows_by_product)
