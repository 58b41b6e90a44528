"""Copies along an axis, left to the operators that broadcast by themselves.

    before   x ── expand ──┐                                before   cat([cls.expand(B), x])
                           mul ── y                         after    cat([constant, x])
    after    x ────────────mul ── y

Why: expand and repeat are copies, and each a partition boundary.
"""

from typing import Any, cast

import torch
from torch.fx import Node

from .graph import Graph, argument, arguments, aten, constant_of, dtype, is_constant, rank, shape_of
from .layout import BINARY, UNARY
from .rule import rule
from .weights import PRODUCTS, channel_axis, constant_weights, is_dense, with_weights

COPIES = (aten.expand.default, aten.expand_as.default)


@rule(*BINARY)
def expands_removed(g: Graph, node: Node) -> Node | None:
    """a + b.expand_as(a) is a + b."""
    a, b = cast(tuple[Any, Any], node.args[:2])
    for i, side in enumerate((a, b)):
        if not isinstance(side, Node) or side.target not in COPIES:
            continue
        sides = [a, b]
        sides[i] = side.args[0]
        shapes = [shape_of(s) for s in sides if isinstance(s, Node)]
        if any(dtype(s) != dtype(node) for s in sides if isinstance(s, Node)):
            continue  # a tensor of no axes would no longer decide the type
        if torch.broadcast_shapes(*shapes) == shape_of(node):  # type: ignore[no-untyped-call]
            return g(node.target, *sides, *node.args[2:], **node.kwargs)
    return None


@rule(*BINARY)
def numbers_as_tensors(g: Graph, node: Node) -> Node | None:
    """A number in arithmetic becomes a constant of the same type.

    ExecuTorch would convert it at run time, outside the delegate, when it is an integer.
    """
    a, b = cast(tuple[Any, Any], node.args[:2])
    tensor, number = (a, b) if isinstance(a, Node) else (b, a)
    if (
        isinstance(number, Node)
        or not dtype(node).is_floating_point
        or dtype(tensor) != dtype(node)
    ):
        return None
    if node.args[2:] or node.kwargs:
        return None
    constant = g.number(float(number), tensor)
    return g(node.target, *((tensor, constant) if isinstance(a, Node) else (constant, tensor)))


@rule(aten.rsub.Scalar)
def reversed_differences(g: Graph, node: Node) -> Node | None:
    """rsub(x, 1) is 1 − x."""
    x, number, alpha = arguments(node)
    if alpha != 1 or dtype(x) != dtype(node):
        return None
    return g(aten.sub.Tensor, g.number(number, x), x)


@rule(*BINARY)
def integers_as_floats(g: Graph, node: Node) -> Node | None:
    """A constant of integers, or of no axes, in float arithmetic takes the other side's form."""
    a, b = cast(tuple[Any, Any], node.args[:2])
    if not (isinstance(a, Node) and isinstance(b, Node)) or not dtype(node).is_floating_point:
        return None
    for i, (side, other) in enumerate(((a, b), (b, a))):
        if not is_constant(side) or is_constant(other) or dtype(other) != dtype(node):
            continue
        if dtype(side) == dtype(node) and (rank(side) or not rank(other)):
            continue
        value = constant_of(side).to(dtype(node))
        sides = [a, b]
        sides[i] = g.constant(value if rank(side) else value.reshape([1] * rank(other)))
        return g(node.target, *sides, *node.args[2:], **node.kwargs)
    return None


@rule(aten.mul.Tensor)
def blocks_repeated_by_cat(g: Graph, node: Node) -> Node | None:
    """A product that repeats its factor over blocks of channels repeats it by cat.

    [.., r, C] · [.., 1, C] of what was [.., rC] and [.., C] is [.., rC] · cat of r times [.., C].
    """
    a, b = cast(tuple[Any, Any], node.args[:2])
    if not all(isinstance(s, Node) and s.target is aten.reshape.default for s in (a, b)):
        return None
    for whole, block in ((a, b), (b, a)):
        wide, narrow = cast(Node, whole.args[0]), cast(Node, block.args[0])
        shape, n = shape_of(node), rank(wide)
        if rank(narrow) != n or len(shape) != n + 1 or shape_of(whole) != shape:
            continue
        for axis in range(n):
            blocks = (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])
            once = (*shape[:axis], 1, *shape[axis + 1 :])
            if shape_of(wide) == blocks and shape_of(block) == once and shape[axis] > 1:
                if shape_of(narrow) != (*shape[:axis], *shape[axis + 1 :]):
                    continue
                repeated = g(aten.cat.default, [narrow] * shape[axis], axis)
                return g.reshape(g(aten.mul.Tensor, wide, repeated), shape)
    return None


@rule(aten.repeat.default)
def repeat_by_cat(g: Graph, node: Node) -> Node | None:
    """A repeat along existing axes is a cat along each of them."""
    x, times = cast(tuple[Node, list[int]], node.args)
    if 0 in times:
        return None
    x = g.reshape(x, [1] * (len(times) - rank(x)) + list(shape_of(x)))
    for axis, count in enumerate(times):
        if count > 1:
            x = g(aten.cat.default, [x] * count, axis)
    return x


@rule(aten.cat.default)
def repeat_by_wider_weights(g: Graph, node: Node) -> Node | None:
    """A convolution whose channels are repeated computes them as often, with repeated weights.

    It costs the repeated products, and saves the copy that the delegate cannot make.
    """
    parts = cast(list[Node], node.args[0])
    product, axis = parts[0], cast(int, argument(node, "dim")) % rank(node)
    if len(set(parts)) != 1 or len(parts) < 2 or product.target not in PRODUCTS:
        return None
    if axis != channel_axis(product) or not is_dense(product):
        return None
    weights = constant_weights(product)
    if weights is None or list(product.users) != [node]:
        return None
    weight, bias = weights
    times = [len(parts), *[1] * (weight.dim() - 1)]
    wider = None if bias is None else bias.repeat(len(parts))
    return with_weights(g, product, cast(Node, product.args[0]), weight.repeat(times), wider)


@rule(*PRODUCTS)
def repeat_by_branches(g: Graph, node: Node) -> Node | None:
    """fc₂(act(fc₁ x) · cat of r times c) is the sum over r parts of fc₂ⱼ(act(fc₁ⱼ x) · c).

    Neither a copy nor a product more than there were, but r times as many operators.
    """
    product = cast(Node, node.args[0])
    if product.target is not aten.mul.Tensor or list(product.users) != [node]:
        return None
    for wide, repeated in cast(Any, (product.args[:2], product.args[1::-1])):
        if not isinstance(repeated, Node) or repeated.target is not aten.cat.default:
            continue
        parts = cast(list[Node], repeated.args[0])
        first = wide.args[0] if wide.target in UNARY else wide
        if len(set(parts)) != 1 or first.target not in PRODUCTS:
            continue
        if len(wide.users) > 1 or len(first.users) > 1:
            continue
        if argument(repeated, "dim") % rank(node) != channel_axis(first):
            continue
        if not (is_dense(first) and is_dense(node)):
            continue
        inner, outer = constant_weights(first), constant_weights(node)
        if inner is None or outer is None:
            continue
        total: Any = None
        size = shape_of(parts[0])[channel_axis(first)]
        for at in range(0, size * len(parts), size):
            rows = slice(at, at + size)
            bias = None if inner[1] is None else inner[1][rows]
            part = with_weights(g, first, first.args[0], inner[0][rows], bias)
            if wide is not first:
                part = g(wide.target, part, *wide.args[1:], **wide.kwargs)
            part = g(aten.mul.Tensor, part, parts[0])
            bias = outer[1] if total is None else None
            part = with_weights(g, node, part, outer[0][:, rows], bias)
            total = part if total is None else g(aten.add.Tensor, total, part)
        return cast(Node, total)
    return None


RULES = (
    expands_removed,
    numbers_as_tensors,
    reversed_differences,
    integers_as_floats,
    blocks_repeated_by_cat,
    repeat_by_cat,
    repeat_by_branches,
    repeat_by_wider_weights,
)
