"""Training-time branches beside each other, summed into one convolution.

    before   x ──┬─ conv 3×3 ─┐              before   x ──┬─ conv 7×7 ──────────────┐
                 ├─ conv 1×1 ─┼─ + ── y                   ├─ conv 3×3, dilation 2 ──┼─ + ── y
                 └─ (· s) ────┘                           └─ average pool 3×3 ──────┘
    after    x ── conv 3×3 ── y              after    x ── conv 7×7 ── y

Why: a sum of convolutions of one map is the convolution with the sum of their kernels, laid on each
other tap by tap; RepVGG, MobileOne, ACNet, DBB and RepLKNet train that way (arXiv 2101.03697). A
residual around a single convolution is such a branch too.
Not when: something else reads a branch, strides or groups differ, or no kernel holds the others.
"""

from dataclasses import dataclass
from math import prod
from typing import Any, cast

import torch
from torch.fx import Node

from .affine import constant_weights, has_constant_weights, per_channel, with_weights
from .graph import Graph, argument, arguments, aten, is_constant, rank, shape_of
from .rule import Refused, rule


@dataclass(frozen=True)
class Taps:
    """A kernel with where it reads: rows and columns relative to output index · stride."""

    weight: torch.Tensor  # [out, in / groups, rows, columns]
    rows: list[int]
    columns: list[int]

    def laid_on(self, grid: "Taps") -> torch.Tensor | None:
        """The kernel on another's taps, zero elsewhere; None where one of its own is not there."""
        if not set(self.rows) <= set(grid.rows) or not set(self.columns) <= set(grid.columns):
            return None
        laid = torch.zeros_like(grid.weight)
        rows = torch.tensor([grid.rows.index(r) for r in self.rows], dtype=torch.long)
        columns = torch.tensor([grid.columns.index(c) for c in self.columns], dtype=torch.long)
        laid[:, :, rows[:, None], columns] = self.weight
        return laid


@rule(aten.add.Tensor)
def branches_into_one(g: Graph, node: Node) -> Node | None:
    """A sum of convolutions, pools and scaled copies of one map is one convolution of it."""
    if any(_is_sum(user) and len(node.users) == 1 for user in node.users):
        return None  # the whole sum is taken at its last addition
    parts = _parts(node)
    maps = {cast(Node, p.args[0]): None for p in parts if _is_convolution(p)}
    before = len(parts)
    refused: list[str] = []
    for x in maps:
        parts = _merged(g, parts, x, refused)
    if len(parts) == before:
        if refused:
            raise Refused(refused[0])
        return None
    total, *others = parts
    for part in others:
        total = g(aten.add.Tensor, total, part)
    return cast(Node, total)


def _merged(g: Graph, parts: list[Any], x: Node, refused: list[str]) -> list[Any]:
    """The addends, those that its largest convolution of `x` can take up taken up."""
    convs = [p for p in parts if _is_convolution(p) and p.args[0] is x]
    largest = max(convs, key=lambda c: prod(shape_of(argument(c, "weight"))[2:]))
    grid = _taps(largest)
    weight, bias = cast(tuple[torch.Tensor, Any], constant_weights(largest))
    left: list[Any] = []
    for part in parts:
        if part is largest:
            continue
        try:
            found = _as_taps(part, x, largest, grid)
        except Refused as e:
            found = None
            refused.append(str(e))
        laid = found and found[0].laid_on(grid)
        if found is None or laid is None:
            left.append(part)
            continue
        weight = weight + laid
        if found[1] is not None:
            bias = found[1] if bias is None else bias + found[1]
    if len(left) + 1 == len(parts):
        return parts
    return [with_weights(g, largest, x, weight, bias), *left]


def _is_sum(node: Node) -> bool:
    return node.target is aten.add.Tensor and argument(node, "alpha", 1) == 1


def _parts(node: Any) -> list[Any]:
    """What a tree of additions adds, each addition read by the next alone."""
    if not isinstance(node, Node) or not _is_sum(node):
        return [node]
    found: list[Any] = []
    for part in node.args[:2]:
        alone = isinstance(part, Node) and len(part.users) == 1
        found += _parts(part) if alone else [part]
    return found


def _is_convolution(node: Any) -> bool:
    return (
        isinstance(node, Node)
        and node.target is aten.conv2d.default
        and len(node.users) == 1
        and has_constant_weights(node)
        and not isinstance(argument(node, "padding"), str)
    )


def _taps(conv: Node) -> Taps:
    """The kernel of a convolution with constant weights."""
    weights = constant_weights(conv)
    assert weights
    rows, columns = (
        [j * d - p for j in range(k)]
        for k, d, p in zip(
            weights[0].shape[2:],
            _both(argument(conv, "dilation")),
            _both(argument(conv, "padding")),
            strict=True,
        )
    )
    return Taps(weights[0], rows, columns)


def _as_taps(part: Any, x: Node, conv: Node, grid: Taps) -> tuple[Taps, Any] | None:
    """A branch of x as (kernel, bias), in the groups of `conv`; None where it is none."""
    if not isinstance(part, Node):
        return None
    if is_constant(part):
        shift = per_channel(part, conv, rank(conv) - 3)
        nothing = Taps(grid.weight[..., :0, :0], [], [])
        return None if shift is None else (nothing, shift)
    if part is x:
        return _diagonal(x, conv, grid, torch.ones(shape_of(x)[-3])), None
    if len(part.users) > 1 or not part.args or part.args[0] is not x:
        return None
    if part.target is aten.mul.Tensor:
        scale = per_channel(part.args[1], x, rank(x) - 3)
        return None if scale is None else (_diagonal(x, conv, grid, scale), None)
    if part.target is aten.avg_pool2d.default:
        return _pool(part, x, conv, grid), None
    if not _is_convolution(part):
        return None
    if _both(argument(part, "stride")) != _both(argument(conv, "stride")):
        raise Refused("its branches have other strides")
    if argument(part, "groups") != argument(conv, "groups"):
        raise Refused("its branches have other groups")
    weights = constant_weights(part)
    assert weights
    return _taps(part), weights[1]


def _both(values: Any) -> tuple[int, int]:
    """For rows and columns, of which one may stand for both."""
    return values[0], values[-1]


def _diagonal(
    x: Node, conv: Node, grid: Taps, scale: torch.Tensor, rows: Any = (0,), columns: Any = (0,)
) -> Taps:
    """The kernel that gives each channel its own map, scaled, at every one of these taps."""
    outputs, per_group = grid.weight.shape[:2]
    if outputs != shape_of(x)[-3] or (len(rows) == 1 and {*argument(conv, "stride")} != {1}):
        raise Refused("a branch keeps the map as it is, and the convolution does not")
    kernel = torch.zeros(outputs, per_group, len(rows), len(columns), dtype=grid.weight.dtype)
    channel = torch.arange(outputs)
    kernel[channel, channel % per_group] = scale.to(kernel)[:, None, None]
    return Taps(kernel, [*rows], [*columns])


def _pool(pool: Node, x: Node, conv: Node, grid: Taps) -> Taps:
    """An average pool as a kernel of 1 / cells; one that counts its padding, or has none."""
    _, size, stride, padding, ceil_mode, counts, divisor = arguments(pool)
    size, padding = _both(size), _both(padding)
    if ceil_mode or (any(padding) and not counts):
        raise Refused("an average pool leaves out its padding")
    if _both(stride or size) != _both(argument(conv, "stride")):
        raise Refused("a pool moves by other strides than the convolution")
    cells = divisor or size[0] * size[1]
    rows, columns = (range(-p, k - p) for k, p in zip(size, padding, strict=True))
    scale = torch.full([shape_of(x)[-3]], 1 / cells, dtype=torch.float64)
    return _diagonal(x, conv, grid, scale, rows, columns)


RULES = (branches_into_one,)
