"""Joins of many parts, a few at a time.

    before   cat of 9 parts
    after    cat([cat of 5, cat of 4])

Why: XNNPACK joins at most five; LiteRT's delegate leaves a longer CONCATENATION outside.
"""

from typing import cast

from torch.fx import Node

from .graph import Graph, argument, aten
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


RULES = (cat_of_five,)
