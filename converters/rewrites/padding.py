"""What is written around a map, left to the convolution that reads the map or made it.

    before   x ── pad(1, 1, 1, 1) ── conv(padding 0)     before   x ── conv 1×1 ── its bias around
    after    x ── conv(padding 1)                        after    x ── conv 1×1 (padding 1)

Why: the pad is a pass over memory; a convolution reads zeros beyond the edge for nothing. Diverse
Branch Blocks (arXiv 2103.13425) write what a batch norm makes of zeros around its map, which is
what a pointwise convolution makes of zeros around its own.
Not when: the two sides differ (a stride's "same" padding): XNNPACK's convolution takes one number.
"""

from dataclasses import replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch.fx import Node

from .graph import Graph, argument, arguments, aten, constant_of, dtype, is_constant, rank, shape_of
from .products import Kernel, both, convolved
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


@rule(aten.slice_scatter.default)
def border_by_padding(g: Graph, node: Node) -> Node | None:
    """A border of its bias around a pointwise convolution is the convolution of a padded map."""
    if any(user.target is node.target for user in node.users):
        return None  # all of the border is taken at once
    written = [node]
    while written[-1].target is aten.slice_scatter.default:
        if not is_constant(written[-1].args[1]):
            return None
        written.append(cast(Node, written[-1].args[0]))
    pad = written.pop()
    if pad.target is not aten.constant_pad_nd.default or len(cast(Any, pad.args[1])) != 4:
        return None
    conv, widths, value = cast(Any, pad.args)
    kernel = Kernel.of(conv) if conv.target is aten.conv2d.default else None
    if kernel is None or len(conv.users) > 1 or len({*widths}) > 1:
        return None
    if (kernel.sides, kernel.stride, kernel.padding) != ((1, 1), (1, 1), (0, 0)):
        return None
    inside = torch.full(shape_of(conv), torch.nan, dtype=torch.float64)
    found = F.pad(inside, widths, value=value)
    for step in reversed(written):
        _, border, *where = arguments(step)
        found = torch.slice_scatter(found, constant_of(border).double(), *where)
    bias = torch.zeros(len(kernel.weight)) if kernel.bias is None else kernel.bias
    made = F.pad(inside, widths) + bias[:, None, None]
    close = 64 * torch.finfo(dtype(node)).eps * float(bias.abs().max())
    if not torch.allclose(found, made, rtol=0, atol=close, equal_nan=True):
        return None
    return convolved(g, conv, replace(kernel, padding=both(widths)))


RULES = (pad_of_zeros, pad_into_convolution, border_by_padding)
