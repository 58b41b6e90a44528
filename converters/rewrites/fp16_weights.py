"""Weights that fp16 has digits for: below 6·10⁻⁵ it loses them, one by one.

    before   f(x)         weights of 10⁻⁶       after   f'(x) · 2⁻ᵏ    2ᵏ times as large
             x · γ        a LayerScale                  (x · γ 2ᵏ) · 2⁻ᵏ

Why: of a LayerScale of 10⁻⁶ four bits are left, and none where it was folded into weights.
Not when: some elements are large already. For graphs that no other rule changes any more, since
folding scales is the opposite.
"""

import math
from typing import Any, cast

import torch
from torch.fx import Node

from .graph import Graph, aten, constant_of, dtype, is_constant
from .rule import rule
from .weights import PRODUCTS, constant_weights, with_weights

UNIT = 2.0**-11  # unit roundoff of fp16


def rounding(value: torch.Tensor) -> float:
    """How far rounding to fp16 moves a tensor, relative to its size; ½ ulp is UNIT or less."""
    exact = value.detach().double()
    size = float(exact.norm())
    return float((exact.half().double() - exact).norm()) / size if size else 0.0


def _lift(value: torch.Tensor) -> int:
    """The power of two that brings the largest element to 1/16; its inverse must be fp16 too."""
    most = float(value.abs().max()) if value.numel() else 0.0
    return min(14, max(0, math.floor(-4 - math.log2(most)))) if most else 0


@rule(*PRODUCTS)
def weights_lifted(g: Graph, node: Node) -> Node | None:
    """Weights that fp16 has no digits for are made larger, and what they give smaller."""
    weights = constant_weights(node)
    if weights is None or rounding(weights[0]) <= 4 * UNIT:
        return None
    weight, bias = weights
    k = _lift(weight)
    if not k:
        return None
    lifted = with_weights(
        g, node, cast(Node, node.args[0]), weight * 2.0**k, None if bias is None else bias * 2.0**k
    )
    return g(aten.mul.Tensor, lifted, g.number(2.0**-k, lifted))


@rule(aten.mul.Tensor)
def factor_lifted(g: Graph, node: Node) -> Node | None:
    """A LayerScale that fp16 has no digits for is made larger, and what it gives smaller."""
    x, factor = cast(tuple[Any, Any], node.args)
    x, factor = (factor, x) if is_constant(x) else (x, factor)
    if not is_constant(factor) or is_constant(x) or constant_of(factor).numel() == 1:
        return None
    value = constant_of(factor)
    k = _lift(value)
    if rounding(value) <= 4 * UNIT or not k:
        return None
    lifted = g(aten.mul.Tensor, x, g.constant((value.double() * 2.0**k).to(dtype(factor))))
    return g(aten.mul.Tensor, lifted, g.number(2.0**-k, lifted))


RULES = (weights_lifted, factor_lifted)
