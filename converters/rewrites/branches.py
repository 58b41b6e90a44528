"""Training-time branches beside each other, summed into one convolution.

    before   x ──┬─ conv 3×3 ─┐              before   x ──┬─ conv 7×7 ──────────────┐
                 ├─ conv 1×1 ─┼─ + ── y                   ├─ conv 3×3, dilation 2 ──┼─ + ── y
                 └─ (· s) ────┘                           └─ average pool 3×3 ──────┘
    after    x ── conv 3×3 ── y              after    x ── conv 7×7 ── y

Why: a sum of convolutions of one map is the convolution with the sum of their kernels, laid on each
other tap by tap; RepVGG, MobileOne, ACNet, DBB and RepLKNet train that way (arXiv 2101.03697). A
residual around a single convolution is such a branch too, and so is a sequence: DBB's 1×1 and pool.
Not when: something else reads a branch, strides or groups differ, or no kernel holds the others.
"""

from dataclasses import replace
from math import prod
from typing import Any, cast

import torch
from torch.fx import Node

from .affine import per_channel
from .graph import Graph, argument, arguments, aten, is_constant, shape_of
from .products import Kernel, both, convolved
from .rule import Refused, rule
from .weights import channel_axis, is_product


@rule(aten.add.Tensor)
def branches_into_one(g: Graph, node: Node) -> Node | None:
    """A sum of convolutions, pools and scaled copies of one map is one convolution of it.

    So is one of linear layers: the two heads of a distilled classifier.
    """
    if not is_whole(node):
        return None
    parts = addends(node)
    maps = {cast(Node, p.args[0]): None for p in parts if _is_branch(p)}
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


def is_sum(node: Node) -> bool:
    return node.target is aten.add.Tensor and argument(node, "alpha", 1) == 1


def is_whole(addition: Node) -> bool:
    """Whether it is the last of its sum, at which all of the sum is taken."""
    return not any(is_sum(user) and len(addition.users) == 1 for user in addition.users)


def addends(node: Any) -> list[Any]:
    """What a tree of additions adds, each addition read by the next alone."""
    if not isinstance(node, Node) or not is_sum(node):
        return [node]
    found: list[Any] = []
    for part in node.args[:2]:
        alone = isinstance(part, Node) and len(part.users) == 1
        found += addends(part) if alone else [part]
    return found


def _merged(g: Graph, parts: list[Any], x: Node, refused: list[str]) -> list[Any]:
    """The addends, those that its largest convolution of `x` can take up taken up."""
    convs = [p for p in parts if _is_branch(p) and p.args[0] is x]
    if not convs:  # it was a part of a sequence that has been taken up
        return parts
    largest = max(convs, key=lambda c: prod(shape_of(cast(Node, c.args[1]))[2:]))
    kernel = cast(Kernel, Kernel.of(largest))
    left: list[Any] = []
    for part in parts:
        if part is largest:
            continue
        try:
            branch = _branch(part, x, largest, kernel)
            kernel = _added(kernel, branch) if branch else kernel
        except Refused as e:
            branch = None
            refused.append(str(e))
        if branch is None:
            left.append(part)
    return parts if len(left) + 1 == len(parts) else [convolved(g, largest, kernel), *left]


def _is_branch(node: Any) -> bool:
    return is_product(node) and len(node.users) == 1


def _branch(part: Any, x: Node, conv: Node, kernel: Kernel) -> Kernel | None:
    """An addend beside `conv`, whose kernel is `kernel`, as a kernel of x; None if it is none."""
    if not isinstance(part, Node):
        return None
    if is_constant(part):
        shift = per_channel(part, conv, channel_axis(conv))
        nothing = torch.zeros_like(kernel.weight)
        return None if shift is None else replace(kernel, weight=nothing, bias=shift)
    if shape_of(part) != shape_of(conv):
        return None
    return _as_kernel(part, x, conv, kernel.groups)


def _as_kernel(node: Node, x: Node, conv: Node, groups: int) -> Kernel | None:
    """What makes `node` of x as one kernel beside `conv`; None where it is no such thing.

    groups: of the kernel that leaves each channel its own map.
    """
    axis = channel_axis(conv)
    if node is x:
        return _diagonal(shape_of(x)[axis], groups)
    if len(node.users) > 1 or not node.args or not isinstance(node.args[0], Node):
        return None
    if node.target not in (aten.mul.Tensor, aten.avg_pool2d.default, conv.target):
        return None
    first = node.args[0]
    if node.target is conv.target and first is x:
        return Kernel.of(node)
    before = _as_kernel(first, x, conv, groups)
    if before is None:
        return None
    if node.target is conv.target:
        return (after := Kernel.of(node)) and before.then(after)
    if node.target is aten.avg_pool2d.default:
        return before.then(_pool(node, before.groups))
    scale = per_channel(node.args[1], node, axis)
    return None if scale is None else before.scaled(scale)


def _diagonal(
    channels: int, groups: int, sides: tuple[int, int] = (1, 1), tap: float = 1
) -> Kernel:
    """The kernel that gives each channel its own map, times `tap` at every tap."""
    weight = torch.zeros(channels, channels // groups, *sides, dtype=torch.float64)
    channel = torch.arange(channels)
    weight[channel, channel % (channels // groups)] = tap
    return Kernel(weight, None, groups=groups)


def _pool(pool: Node, groups: int) -> Kernel:
    """An average pool as a kernel of 1 / cells; one that counts its padding, or has none."""
    x, size, stride, padding, ceil_mode, counts, divisor = arguments(pool)
    if ceil_mode or (any(padding) and not counts):
        raise Refused("an average pool leaves out its padding")
    cells = divisor or prod(both(size))
    kernel = _diagonal(shape_of(x)[-3], groups, both(size), 1 / cells)
    return replace(kernel, stride=both(stride or size), padding=both(padding))


def _added(kernel: Kernel, branch: Kernel) -> Kernel:
    """The sum of two kernels, on the taps of the first; Refused where a tap is not there."""
    if branch.stride != kernel.stride:
        raise Refused("its branches have other strides")
    if branch.groups != kernel.groups:
        raise Refused("its branches have other groups")
    laid = torch.zeros_like(kernel.weight)
    rows, columns = (_places(branch, kernel, axis) for axis in (0, 1))
    laid[:, :, rows[:, None], columns] = branch.weight
    bias, more = kernel.bias, branch.bias
    bias = more if bias is None else bias if more is None else bias + more
    return replace(kernel, weight=kernel.weight + laid, bias=bias)


def _places(branch: Kernel, kernel: Kernel, axis: int) -> torch.Tensor:
    """Which of the kernel's taps each of the branch's is: both read output index · stride + tap."""
    mine, its = (
        [j * k.dilation[axis] - k.padding[axis] for j in range(k.sides[axis])]
        for k in (branch, kernel)
    )
    if not {*mine} <= {*its}:
        raise Refused("no branch has a kernel that holds those of the others")
    return torch.tensor([its.index(tap) for tap in mine])


RULES = (branches_into_one,)
