"""A large depthwise kernel as a sum of dilated ones with at most 25 taps each.

    before   x ── depthwise 7×7
    after    x ──┬─ depthwise rows {0,3,6}, dilation 3 ──┐
                 ├─ depthwise rows {1,5},   dilation 4 ──┼─ + ── y
                 └─ depthwise rows {2,4},   dilation 2 ──┘

Why: XNNPACK has depthwise kernels up to 25 taps; above, it falls back to a generic one that is 4 to
13 times slower. Dilation is free (the kernel reads through a table of pointers), so that rows
symmetric about the centre share one convolution without pads or slices around it.
Not when: the kernel has 25 taps or fewer, or an even side.
"""

from typing import Any, cast

from torch.fx import Node

from .graph import Graph, arguments, aten, shape_of
from .rule import Refused, rule
from .weights import constant_weights

TAPS = 25


def _rows(k: int, each: int) -> list[list[int]]:
    """Rows 0..k-1 in groups of at most `each`, evenly spaced and symmetric about the centre."""
    centre = k // 2
    outer = list(range(centre, 0, -1))  # distances from the centre, largest first
    if each >= 3:
        first, rest = [0, centre, k - 1], outer[1:]
    else:
        first, rest = [centre], outer
    return [first, *([centre - d, centre + d] for d in rest)]


@rule(aten.conv2d.default)
def depthwise_in_rows(g: Graph, node: Node) -> Node | None:
    """A depthwise kernel above 25 taps becomes a sum of dilated ones below."""
    x, weight, bias, stride, padding, dilation, groups = arguments(node)
    _, per_group, kh, kw = shape_of(weight)
    if groups != shape_of(x)[1] or per_group != 1 or groups == 1 or kh * kw <= TAPS:
        return None
    if kh % 2 == 0:
        raise Refused(f"a kernel of {kh} rows has no centre")
    weights = constant_weights(node)
    if weights is None:
        raise Refused("its weights are computed")
    if 2 * kw > TAPS:
        raise Refused(f"two rows of {kw} taps are more than {TAPS}")
    pad, step = (list(v) * (2 if len(v) == 1 else 1) for v in (padding, dilation))
    total: Any = None
    for rows in _rows(kh, TAPS // kw):
        apart = rows[1] - rows[0] if len(rows) > 1 else 1
        edge = pad[0] - rows[0] * step[0]
        if edge < 0:
            raise Refused(f"it pads {pad[0]} rows, less than its kernel reaches")
        kernel = g.constant(weights[0][:, :, rows].to(weight.meta["val"].dtype))
        part = g(
            aten.conv2d.default,
            x,
            kernel,
            bias if total is None else None,
            stride,
            [edge, pad[1]],
            [apart * step[0], step[1]],
            groups,
        )
        total = part if total is None else g(aten.add.Tensor, total, part)
    return cast(Node, total)


RULES = (depthwise_in_rows,)
