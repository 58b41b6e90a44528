"""Sums in the form in which branches can be seen: additions only, and of each map one copy.

    before   conv(x) ── sub(x · a + b)             before   x ──┬─ (· s) ── (+ b) ─┐
                                                                └─ (· α) ──────────┴─ + ── y
    after    conv(x) ── add(x · −a) ── add(−b)     after    x ── (· (s + α)) ── (+ b) ── y

Why: FastViT's token mixer subtracts a branch (arXiv 2303.14189), and SLAB's batch norm adds the map
itself, scaled (arXiv 2405.11582): kernels, scales and shifts, which fold.
Not when: the sign, or the sum of two scales, would cost an operator or memory of its own.
"""

from typing import Any, cast

from torch.fx import Node

from .affine import with_constant
from .branches import addends, is_whole
from .graph import Graph, argument, aten, is_constant, shape_of
from .rule import rule
from .weights import constant_weights, is_product, with_weights


@rule(aten.sub.Tensor)
def difference_by_sum(g: Graph, node: Node) -> Node | None:
    """a − b is a + (−b), where constants in b can take the sign."""
    a, b = cast(tuple[Any, Any], node.args[:2])
    if not isinstance(b, Node) or is_constant(b) or argument(node, "alpha", 1) != 1:
        return None
    if shape_of(b) != shape_of(node):  # a mean over channels, such as a norm takes away
        return None
    read = [part.args[0] for part in addends(a) if is_product(part)]
    parts = addends(b) if len(b.users) == 1 else [b]
    negated = [_negated(g, part, read) for part in parts]
    if None in negated:
        return None
    total = a
    for part in negated:
        total = g(aten.add.Tensor, total, part)
    return cast(Node, total)


def _negated(g: Graph, part: Any, read: list[Any]) -> Any:
    """−part without one operator more; None where that cannot be. read: maps that products read."""
    if not isinstance(part, Node):
        return -part
    if is_constant(part):
        return g(aten.neg.default, part)
    if part in read:
        return g(aten.mul.Tensor, part, -1.0)  # which the product of it takes up
    if len(part.users) > 1:
        return None
    if is_product(part):
        weight, bias = cast(Any, constant_weights(part))
        bias = None if bias is None else -bias
        return with_weights(g, part, cast(Node, part.args[0]), -weight, bias)
    if found := _scaled(part):
        x, s = found
        return g(aten.mul.Tensor, x, -s if isinstance(s, float) else g(aten.neg.default, s))
    return None


def _scaled(part: Any) -> tuple[Node, Any] | None:
    """(x, s) of x · s, where s is constant and x is not."""
    if not isinstance(part, Node) or part.target is not aten.mul.Tensor:
        return None
    found = with_constant(part)
    return found and (found[0], found[1] if isinstance(found[1], Node) else float(found[1]))


@rule(aten.add.Tensor)
def copies_summed(g: Graph, node: Node) -> Node | None:
    """x · a + x · b is x · (a + b)."""
    if not is_whole(node):
        return None
    others: list[Any] = []
    scales: dict[Node, list[Any]] = {}
    for part in addends(node):
        found = _scaled(part) if isinstance(part, Node) and len(part.users) == 1 else None
        x, s = found or (part, 1.0)
        if isinstance(x, Node) and not is_constant(x):
            scales.setdefault(x, []).append(s)
        else:
            others.append(part)
    if all(len(s) == 1 or not any(isinstance(c, Node) for c in s) for s in scales.values()):
        return None
    copies = [_copy(g, x, s) for x, s in scales.items()]
    parts = [part for part in copies if part is not None]
    if len(parts) < len(copies):
        return None
    total = parts[0]
    for part in (*parts[1:], *others):
        total = g(aten.add.Tensor, total, part)
    return total


def _copy(g: Graph, x: Node, scales: list[Any]) -> Node | None:
    """x · Σ scales; None where the sum is larger than any of them."""
    if scales == [1.0]:
        return x
    total: Any = sum(s for s in scales if isinstance(s, float))
    constants = [s for s in scales if isinstance(s, Node)]
    for s in constants:
        total = g(aten.add.Tensor, s, total)
        if shape_of(total) not in [shape_of(c) for c in constants]:
            return None
    return g(aten.mul.Tensor, x, total)


RULES = (difference_by_sum, copies_summed)
