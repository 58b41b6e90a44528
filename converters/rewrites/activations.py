"""Activations and norms without a kernel in the delegate, written with those that have one.

    before   elu(x)                                     before   x / max(‖x‖, eps)
    after    max(x, 0) + (exp(min(x, 0)) − 1)           after    x · rsqrt(max(1ᵀx², eps²))

Why: outside the delegate ELU runs 23 times, softplus and mish 9 times slower; a hard sigmoid leaves
conversions of integers outside.
"""

from typing import Any, cast

import torch
from torch.fx import Node

from .graph import Graph, arguments, aten, axes, dtype, rank, shape_of
from .layout import inverse
from .rule import Refused, rule


@rule(aten.elu.default)
def elu_by_clamps(g: Graph, node: Node) -> Node | None:
    """ELU becomes two clamps and an exponential."""
    x, alpha, scale, input_scale = arguments(node)
    if scale != 1 or input_scale != 1:
        raise Refused("it scales its output or input")
    above = g(aten.clamp.default, x, 0.0, None)
    below = g(aten.exp.default, g(aten.clamp.default, x, None, 0.0))
    below = g(aten.sub.Tensor, below, g.number(1.0, x))
    below = below if alpha == 1 else g(aten.mul.Tensor, below, g.number(alpha, x))
    return g(aten.add.Tensor, above, below)


@rule(aten.softplus.default)
def softplus_by_log(g: Graph, node: Node) -> Node | None:
    """Softplus becomes max(x, 0) + log(1 + exp(−|x|)), which never overflows."""
    x, beta, threshold = arguments(node)
    if beta != 1 or threshold < 20:  # from 20 on, exp(-x) is below float32's round-off
        raise Refused(f"its beta is {beta}, its threshold {threshold}")
    return _softplus(g, x)


@rule(aten.mish.default)
def mish_by_log(g: Graph, node: Node) -> Node | None:
    """Mish becomes x · tanh(softplus(x))."""
    x = cast(Node, node.args[0])
    return g(aten.mul.Tensor, x, g(aten.tanh.default, _softplus(g, x)))


def _softplus(g: Graph, x: Node) -> Node:
    small = g(aten.exp.default, g(aten.neg.default, g(aten.abs.default, x)))
    log = g(aten.log.default, g(aten.add.Tensor, small, g.number(1.0, x)))
    return g(aten.add.Tensor, g(aten.relu.default, x), log)


@rule(aten.hardsigmoid.default)
def hardsigmoid_by_clamp(g: Graph, node: Node) -> Node | None:
    """Hard sigmoid becomes clamp(x/6 + 1/2, 0, 1), whose affine goes into what computes x."""
    x = cast(Node, node.args[0])
    if any(user.target is aten.mul.Tensor and x in user.args for user in node.users):
        return None  # hard-swish, in a moment
    line = g(aten.add.Tensor, g(aten.mul.Tensor, x, g.number(1 / 6, x)), g.number(0.5, x))
    return g(aten.clamp.default, line, 0.0, 1.0)


@rule(aten.mul.Tensor)
def hardswish_by_name(g: Graph, node: Node) -> Node | None:
    """x · hardsigmoid(x) is hard-swish, which has a kernel."""
    for x, gate in cast(Any, (node.args[:2], node.args[1::-1])):
        if getattr(gate, "target", None) is aten.hardsigmoid.default and gate.args[0] is x:
            return g(aten.hardswish.default, x)
    return None


@rule(aten.clamp_min.default)
def clamp_min_by_clamp(g: Graph, node: Node) -> Node | None:
    """One-sided clamps become clamp."""
    x, least = cast(tuple[Node, float], node.args)
    return g(aten.clamp.default, x, float(least) if dtype(x).is_floating_point else least, None)


@rule(aten.linalg_vector_norm.default)
def length_by_product(g: Graph, node: Node) -> Node | None:
    """The length of a vector becomes the root of a product of its squares with ones."""
    x, order, dim, keep, kind = arguments(node)
    over = axes(dim, rank(x))
    if order != 2 or len(over) != 1 or kind not in (None, dtype(x)):
        raise Refused(f"a norm of order {order} over axes {over}")
    square = g(aten.mul.Tensor, x, x)
    turned = [*(d for d in range(rank(x)) if d != over[0]), over[0]]
    ones = g.constant(torch.ones([1, shape_of(x)[over[0]]], dtype=dtype(x)))
    total = g(aten.linear.default, g.permute(square, turned), ones)
    root = g(aten.sqrt.default, g.permute(total, inverse(turned)))
    return root if keep else g.reshape(root, shape_of(node))


RULES = (
    elu_by_clamps,
    softplus_by_log,
    mish_by_log,
    hardswish_by_name,
    hardsigmoid_by_clamp,
    clamp_min_by_clamp,
    length_by_product,
)
