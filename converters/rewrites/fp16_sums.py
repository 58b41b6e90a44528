"""Sums that do not overflow fp16, which ends at 65504, on the way to a number that fits.

    before   sum(x) / n             after   mean(x)
             (q · k) / c                    (q / c) · k
             √(mean(d²) + ε)                √(mean(d'²) + ε s²) / s,  d' = s d

Why: over 112 × 112 pixels, over the products of queries and keys, over the squares in a norm that
is written out, the sum is infinite; what scales d goes into the weights that compute it.
Not when: the result itself does not fit. That needs fp32 where it stands.
"""

import math
from typing import Any, cast

from torch.fx import Node

from .graph import Graph, argument, aten, axes, constant_of, is_constant, shape_of
from .rule import rule

SMALLEST = 2.0**-24  # of fp16
SCALED = (aten.mul.Tensor, aten.div.Tensor)


def _number(value: Any) -> float | None:
    """A constant of one element."""
    if isinstance(value, int | float):
        return float(value)
    if is_constant(value) and constant_of(value).numel() == 1:
        return float(constant_of(value))
    return None


def _factor(node: Node) -> tuple[Node, float] | None:
    """(x, c) of x · c or x / c."""
    if node.target not in SCALED or not isinstance(node.args[0], Node):
        return None
    c = _number(node.args[1])
    if c is None or (node.target is SCALED[1] and c == 0):
        return None
    return node.args[0], c if node.target is SCALED[0] else 1 / c


@rule(*SCALED)
def sum_as_mean(g: Graph, node: Node) -> Node | None:
    """A sum that is divided is a mean."""
    found = _factor(node)
    if found is None or found[0].target is not aten.sum.dim_IntList or len(found[0].users) != 1:
        return None
    total, c = found
    x, dims = cast(tuple[Node, Any], total.args[:2])
    over = axes(dims, len(shape_of(x)))
    c *= math.prod(shape_of(x)[d] for d in over)
    mean = g(aten.mean.dim, x, over, bool(argument(total, "keepdim", False)))
    return mean if abs(c - 1) < 1e-6 else g(aten.mul.Tensor, mean, g.number(c, mean))


@rule(*SCALED)
def scores_scaled_first(g: Graph, node: Node) -> Node | None:
    """A product of two computed tensors is made small before it is summed, not after."""
    found = _factor(node)
    if found is None or abs(found[1]) >= 1 or len(found[0].users) != 1:
        return None
    product, c = found
    if product.target not in (aten.bmm.default, aten.matmul.default):
        return None
    a, b = cast(tuple[Node, Node], product.args)
    return g(product.target, g(aten.mul.Tensor, a, g.number(c, a)), b)


@rule(aten.rsqrt.default, aten.sqrt.default)
def norm_of_smaller(g: Graph, node: Node) -> Node | None:
    """What a norm squares is made smaller first, by as much as its epsilon leaves room for."""
    found = _mean_of_squares(cast(Node, node.args[0]))
    if found is None:
        return None
    mean, d, eps = found
    s = 2.0 ** math.ceil(math.log2(math.sqrt(SMALLEST / eps)))
    if s >= 1:
        return None
    smaller = g(aten.mul.Tensor, d, g.number(s, d))
    squares = g(aten.mul.Tensor, smaller, smaller)
    moment = g(aten.mean.dim, squares, mean.args[1], argument(mean, "keepdim", False))
    root = g(cast(Any, node.target), g(aten.add.Tensor, moment, g.number(eps * s * s, moment)))
    return g(
        aten.mul.Tensor, root, g.number(s if node.target is aten.rsqrt.default else 1 / s, root)
    )


def _mean_of_squares(biased: Node) -> tuple[Node, Node, float] | None:
    """(mean, d, ε) of mean(d²) + ε."""
    if biased.target is not aten.add.Tensor or not isinstance(biased.args[0], Node):
        return None
    mean, eps = biased.args[0], _number(biased.args[1])
    if mean.target is not aten.mean.dim or eps is None or eps <= 0:
        return None
    squares = cast(Node, mean.args[0])
    d = cast(Node, squares.args[0]) if squares.args else None
    squared = (squares.target is aten.pow.Tensor_Scalar and squares.args[1] == 2) or (
        squares.target is aten.mul.Tensor and squares.args[0] is squares.args[1]
    )
    return (mean, d, eps) if squared and isinstance(d, Node) else None


RULES = (sum_as_mean, scores_scaled_first, norm_of_smaller)
