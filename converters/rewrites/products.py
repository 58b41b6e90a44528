"""Two products in a row with nothing between them, multiplied once and for all.

    before   x ── conv k×k (C→D) ── conv 1×1 (D→E)        before   x ── linear ── linear
    after    x ── conv k×k (C→E)                          after    x ── linear

Why: over-parameterised blocks and low-rank heads leave such pairs; the product of their weights
does the same in one pass.
Not when: something else reads what lies between, or one product would cost more than the two.
"""

import math
from typing import cast

import torch
from torch.fx import Node

from .affine import PRODUCTS, constant_weights, is_dense, with_weights
from .graph import Graph, argument, aten, shape_of
from .rule import rule


@rule(*PRODUCTS)
def products_joined(g: Graph, node: Node) -> Node | None:
    """A point-wise product of a product is one, where that is no dearer."""
    first = cast(Node, node.args[0])
    if first.target is not node.target or list(first.users) != [node]:
        return None
    if not (is_dense(first) and is_dense(node) and _is_pointwise(node)):
        return None
    outputs, middle, *_ = shape_of(cast(Node, argument(node, "weight")))
    taps = math.prod(shape_of(cast(Node, argument(first, "weight")))[1:])
    if outputs * taps > middle * taps + outputs * middle:
        return None
    inner, outer = constant_weights(first), constant_weights(node)
    if inner is None or outer is None:
        return None
    mixing = outer[0].flatten(1)
    joined = torch.einsum("ed,dc...->ec...", mixing, inner[0])
    shift = None if inner[1] is None else mixing @ inner[1]
    bias = outer[1] if shift is None else shift if outer[1] is None else shift + outer[1]
    return with_weights(g, first, cast(Node, first.args[0]), joined, bias)


def _is_pointwise(product: Node) -> bool:
    if product.target is aten.linear.default:
        return True
    sides = shape_of(cast(Node, argument(product, "weight")))[2:]
    moves = (argument(product, "stride"), argument(product, "padding"))
    return sides == (1, 1) and [set(m) for m in moves] == [{1}, {0}]


RULES = (products_joined,)
