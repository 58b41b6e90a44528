"""Zeros around a map, left to the convolution that reads it.

    before   x ── pad(1, 1, 1, 1) ── conv(padding 0)
    after    x ── conv(padding 1)

Why: the pad is a pass over memory; a convolution reads zeros beyond the edge for nothing.
Not when: the two sides differ (a stride's "same" padding): XNNPACK's convolution takes one number.
"""

from typing import cast

from torch.fx import Node

from .graph import Graph, argument, arguments, aten, rank, shape_of
from .rule import Refused, rule


@rule(aten.pad.default)
def pad_of_zeros(g: Graph, node: Node) -> Node | None:
    """A pad with a constant is the operator that delegates know; a negative one is a slice.

    ExecuTorch's partitioner takes negative ones, and its delegate fails at the first execute.
    """
    x, widths, mode, value = arguments(node)
    if mode != "constant":
        raise Refused(f"it pads by {mode!r}")
    for i in range(0, len(widths), 2):
        axis = rank(x) - 1 - i // 2
        before, after = (max(0, -width) for width in widths[i : i + 2])
        x = g.slice(x, axis, before, shape_of(x)[axis] - after)
    widths = [max(0, width) for width in widths]
    if not any(widths):
        return cast(Node, x)
    return g(aten.constant_pad_nd.default, x, widths, float(value or 0))


@rule(aten.conv2d.default)
def pad_into_convolution(g: Graph, node: Node) -> Node | None:
    """A convolution of a map padded with zeros pads by itself."""
    pad, weight, bias, stride, padding, dilation, groups = arguments(node)
    if pad.target is not aten.constant_pad_nd.default or argument(pad, "value"):
        return None
    left, right, top, bottom, *others = [*cast(list[int], pad.args[1]), 0, 0]
    if any(others) or isinstance(padding, str):
        return None
    if left != right or top != bottom or min(left, top) < 0:
        raise Refused(f"it pads {left} + {right} columns and {top} + {bottom} rows")
    rows, columns = (list(padding) * 2)[:2]
    wider = [rows + top, columns + left]
    return g(aten.conv2d.default, pad.args[0], weight, bias, stride, wider, dilation, groups)


RULES = (pad_of_zeros, pad_into_convolution)
