"""Pixels, channels and windows moved about by one permute of as few axes as it takes.

    before   x ── pixel_shuffle(2)                     before   x ── roll(shift)
    after    x ── reshape ── permute ── reshape        after    cat([x[-shift:], x[:-shift]])

    before   reshape to 8 axes ── permute ── reshape
    after    reshape to 6 axes ── permute ── reshape

Why: the shuffles are outside ExecuTorch's delegate under their own names, and XNNPACK has no tensor
of more than 6 axes: LiteRT refuses the whole file then. Axes that stay neighbours are one axis, and
those of length 1 are none.
Not when: a permute needs more than 6 axes whatever one does.
"""

import math
from collections.abc import Sequence
from typing import Any, cast

from torch.fx import Node

from .graph import Graph, aten, rank, shape_of
from .rule import Refused, rule

MOST = 6  # axes of a tensor in XNNPACK


def _rearranged(g: Graph, node: Node, split: Sequence[int], dims: Sequence[int]) -> Node:
    """The input seen in the shape `split`, its axes in the order `dims`, seen as the output."""
    x = g.reshape(cast(Node, node.args[0]), split)
    return g.reshape(g.permute(x, dims), shape_of(node))


@rule(aten.pixel_shuffle.default)
def pixel_shuffle_by_permute(g: Graph, node: Node) -> Node | None:
    """[N, C·r², H, W] → [N, C, H·r, W·r]."""
    x, r = cast(tuple[Node, int], node.args)
    *batch, c, h, w = shape_of(x)
    n = len(batch)
    dims = [*range(n), n, n + 3, n + 1, n + 4, n + 2]
    return _rearranged(g, node, (*batch, c // r**2, r, r, h, w), dims)


@rule(aten.pixel_unshuffle.default)
def pixel_unshuffle_by_permute(g: Graph, node: Node) -> Node | None:
    """[N, C, H·r, W·r] → [N, C·r², H, W]."""
    x, r = cast(tuple[Node, int], node.args)
    *batch, c, h, w = shape_of(x)
    n = len(batch)
    dims = [*range(n), n, n + 2, n + 4, n + 1, n + 3]
    return _rearranged(g, node, (*batch, c, h // r, r, w // r, r), dims)


@rule(aten.channel_shuffle.default)
def channel_shuffle_by_permute(g: Graph, node: Node) -> Node | None:
    """[N, g·C, ...] → [N, g, C, ...] → [N, C, g, ...] → [N, C·g, ...]."""
    x, groups = cast(tuple[Node, int], node.args)
    n, c, *pixels = shape_of(x)
    split = (n, groups, c // groups, *pixels)
    return _rearranged(g, node, split, [0, 2, 1, *range(3, len(split))])


@rule(aten.roll.default)
def roll_by_cat(g: Graph, node: Node) -> Node | None:
    """A roll is two slices joined the other way round, along each axis."""
    x, shifts, dims = cast(Any, (*node.args, ())[:3])
    if not dims:
        raise Refused("it rolls the flattened tensor")
    for shift, axis in zip(shifts, dims, strict=True):
        axis %= rank(x)
        size = shape_of(x)[axis]
        cut = -shift % size
        if cut:
            parts = [g.slice(x, axis, cut, size), g.slice(x, axis, 0, cut)]
            x = g(aten.cat.default, parts, axis)
    return cast(Node, x)


@rule(aten.permute.default)
def permute_of_fewer_axes(g: Graph, node: Node) -> Node | None:
    """A permute of more than 6 axes moves those together that stay neighbours."""
    x, dims = cast(tuple[Node, list[int]], node.args)
    n, shape = rank(x), shape_of(x)
    if n <= MOST:
        return None
    groups: list[list[int]] = []
    for d in (d % n for d in dims):
        if shape[d] == 1:
            continue
        before = groups[-1][-1] if groups else n
        if before < d and all(shape[between] == 1 for between in range(before + 1, d)):
            groups[-1].append(d)
        else:
            groups.append([d])
    if len(groups) > MOST:
        raise Refused(f"it moves {len(groups)} axes apart from each other")
    order = sorted(groups)
    sizes = [math.prod(shape[d] for d in group) for group in order]
    return _rearranged(g, node, sizes, [order.index(group) for group in groups])


RULES = (
    pixel_shuffle_by_permute,
    pixel_unshuffle_by_permute,
    channel_shuffle_by_permute,
    roll_by_cat,
    permute_of_fewer_axes,
)
