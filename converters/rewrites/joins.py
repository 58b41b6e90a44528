"""Joins of many parts, a few at a time, and parts taken out of a join again.

    before   cat of 9 parts                    before   cat([a, b]) ── slice b
    after    cat([cat of 5, cat of 4])         after    b

Why: XNNPACK joins at most five; LiteRT's delegate leaves a longer CONCATENATION outside.
"""

from typing import Any, cast

from torch.fx import Node

from .graph import Graph, argument, aten, rank, shape_of
from .rule import rule

MOST = 5


@rule(aten.cat.default)
def cat_of_five(g: Graph, node: Node) -> Node | None:
    """More than five parts are joined five at a time."""
    parts, axis = cast(list[Node], node.args[0]), argument(node, "dim")
    if len(parts) <= MOST:
        return None
    groups = [parts[i : i + MOST] for i in range(0, len(parts), MOST)]
    joined = [g(aten.cat.default, p, axis) if len(p) > 1 else p[0] for p in groups]
    return g(aten.cat.default, joined, axis)


@rule(aten.slice.Tensor)
def slice_of_cat(g: Graph, node: Node) -> Node | None:
    """A slice that is one of the joined parts is that part."""
    joined, axis, start, end, *step = cast(Any, node.args)
    if joined.target is not aten.cat.default or step:
        return None
    if (argument(joined, "dim") - axis) % rank(node):
        return None
    at = 0
    for part in joined.args[0]:
        if (at, at + shape_of(part)[axis]) == (start, end):
            return cast(Node, part)
        at += shape_of(part)[axis]
    return None


RULES = (slice_of_cat, cat_of_five)
