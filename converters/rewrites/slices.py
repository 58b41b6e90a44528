"""Slices moved up to the weights that compute what they keep.

    before   x ── linear(3C) ──┬─ reshape ── slice q        before   x ── conv(2C) ──┬─ slice a
                               ├─ reshape ── slice k                                 └─ slice b
                               └─ reshape ── slice v
    after    x ──┬─ linear(C) ── q                          after    x ──┬─ conv(C) ── a
                 ├─ linear(C) ── k                                       └─ conv(C) ── b
                 └─ linear(C) ── v
Why: a slice is a copy, and in ExecuTorch a split or an unbind is outside the delegate; the products
cost the same. The 1/sqrt(d) of attention then goes into the weights of q alone.
Not when: something else reads the whole, or slices overlap or have a step.
"""

import math
from itertools import pairwise
from typing import Any, cast

from torch.fx import Node

from .graph import Graph, argument, aten, rank, shape_of
from .layout import BINARY, UNARY
from .rule import rule
from .weights import PRODUCTS, channel_axis, constant_weights, is_dense, with_weights


@rule(aten.slice.Tensor)
def slice_before_reshape(g: Graph, node: Node) -> Node | None:
    """A slice of the leading part of an axis that a reshape has split is a slice of that axis."""
    if len(node.args) > 4:  # it has a step
        return None
    view, axis, start, end = cast(Any, node.args)
    if view.target is not aten.reshape.default:
        return None
    source, shape = cast(Node, view.args[0]), shape_of(view)
    before = math.prod(shape[:axis])
    for a in range(rank(source)):
        if math.prod(shape_of(source)[:a]) == before:
            # `source` splits at the same place: the sliced axis must fit into its axis `a`
            size, inner, last = shape_of(source)[a], 1, axis
            while inner * shape[axis] < size and last + 1 < len(shape):
                last += 1
                inner *= shape[last]
            if inner * shape[axis] == size:
                cut = g.slice(source, a, start * inner, end * inner)
                return g.reshape(cut, shape_of(node))
    return None


@rule(aten.slice.Tensor)
def slice_of_product(g: Graph, node: Node) -> Node | None:
    """A slice of a product's channels is the product with a part of the weights."""
    if len(node.args) > 4:  # it has a step
        return None
    product, axis, start, end = cast(Any, node.args)
    if product.target not in PRODUCTS:
        return None
    if axis != channel_axis(product) or not is_dense(product):
        return None
    ranges = []
    for user in product.users:
        if user.target is not aten.slice.Tensor or user.args[1] != axis or len(user.args) > 4:
            return None
        ranges.append((user.args[2], user.args[3]))
    ranges.sort()
    if any(b[0] < a[1] for a, b in pairwise(ranges)):
        return None
    weights = constant_weights(product)
    if weights is None:
        return None
    weight, bias = weights
    part = None if bias is None else bias[start:end]
    return with_weights(g, product, product.args[0], weight[start:end], part)


@rule(aten.slice.Tensor)
def equal_slices_joined(g: Graph, node: Node) -> Node | None:
    """What is sliced twice in the same way is sliced once."""
    for other in node.args[0].users:  # type: ignore[union-attr]
        if other < node and other.target is node.target and other.args == node.args:
            return other
    return None


@rule(aten.slice.Tensor)
def slice_before_what_it_keeps(g: Graph, node: Node) -> Node | None:
    """A slice of rows goes before what computes each row by itself.

    So a head that reads the class token leaves one row of the last block to be computed: its
    queries, its projection and its MLP.
    """
    x, axis, start, end = cast(Any, node.args[:4])
    if x.op != "call_function" or list(x.users) != [node]:
        return None

    def cut(side: Any) -> Any:
        """The part of an operand, which may broadcast, that the slice needs."""
        if not isinstance(side, Node):
            return side
        along = axis - (rank(x) - rank(side))
        if along < 0 or shape_of(side)[along] != shape_of(x)[axis]:
            return side
        return g.slice(side, along, start, end)

    a, *rest = x.args
    match x.target:
        case op if op in UNARY:
            sides = [cut(a)]
        case op if op in BINARY:
            sides, rest = [cut(a), cut(rest[0])], rest[1:]
        case aten.linear.default | aten.softmax.int if axis < rank(x) - 1:
            sides = [cut(a)]
        case aten.layer_norm.default if axis < rank(x) - len(rest[0]):
            sides = [cut(a)]
        case aten.scaled_dot_product_attention.default if (
            axis == rank(x) - 2
            and argument(x, "attn_mask") is None
            and not argument(x, "is_causal")
        ):
            sides = [cut(a)]
        case aten.bmm.default if axis == 0:
            sides, rest = [cut(a), cut(rest[0])], []
        case aten.bmm.default if axis == 1:
            sides = [cut(a)]
        case aten.bmm.default:
            sides, rest = [a, cut(rest[0])], []
        case _:
            return None
    return g(x.target, *sides, *rest, **x.kwargs)


RULES = (
    equal_slices_joined,
    slice_before_reshape,
    slice_of_product,
    slice_before_what_it_keeps,
)
