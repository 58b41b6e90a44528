"""Permutes move down through the graph until they meet and cancel.

    before   conv ── permute ── norm ── linear ── gelu ── linear ── permute ── conv
    after    conv ── norm over channels ── conv 1×1 ── gelu ── conv 1×1 ── conv

Why: a channels-last model (EfficientMod, ConvNeXt, Swin, PoolFormer) turns its maps around before
and after every block. XNNPACK holds a map channels last whatever the graph says, so that each such
permute is work for nothing, and a partition boundary for what has no kernel in that order.
Not when: a permute reaches a reshape (tokens): there it is needed, once.
"""

import math
from typing import Any, cast

from torch.fx import Node

from .graph import Graph, argument, arguments, aten, axes, dtype, is_constant, rank, shape_of
from .rule import rule

TO_LAST, TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]

UNARY = (
    aten.relu.default,
    aten.gelu.default,
    aten.silu.default,
    aten.sigmoid.default,
    aten.hardswish.default,
    aten.hardsigmoid.default,
    aten.hardtanh.default,
    aten.relu6.default,
    aten.leaky_relu.default,
    aten.elu.default,
    aten.tanh.default,
    aten.exp.default,
    aten.sqrt.default,
    aten.rsqrt.default,
    aten.neg.default,
    aten.abs.default,
    aten.clamp.default,
    aten.clamp_min.default,
    aten.pow.Tensor_Scalar,
    aten.mish.default,
    aten.softplus.default,
)
BINARY = (
    aten.add.Tensor,
    aten.sub.Tensor,
    aten.mul.Tensor,
    aten.div.Tensor,
    aten.maximum.default,
    aten.minimum.default,
)
ALONG_AN_AXIS = (aten.softmax.int, aten.slice.Tensor)
REDUCTIONS = (aten.mean.dim, aten.sum.dim_IntList, aten.amax.default)


def permuted(x: Any) -> tuple[Node, list[int]] | None:
    """What a permute turns, and how."""
    if not isinstance(x, Node) or x.target is not aten.permute.default:
        return None
    return cast(Node, x.args[0]), [d % rank(x) for d in cast(Any, x.args[1])]


def is_turned(x: Any) -> bool:
    """Whether it is a map turned channels last."""
    found = permuted(x)
    return found is not None and found[1] == TO_LAST


def flattened_map(x: Any) -> Node | None:
    """The map [N, C, H, W] that x shows as [N, C, HW]."""
    if not isinstance(x, Node) or x.target is not aten.reshape.default:
        return None
    source = cast(Node, x.args[0])
    n, c, *pixels = shape_of(source)
    return source if len(pixels) == 2 and shape_of(x) == (n, c, math.prod(pixels)) else None


def inverse(dims: list[int]) -> list[int]:
    return sorted(range(len(dims)), key=dims.__getitem__)


@rule(*UNARY)
def permute_past_unary(g: Graph, node: Node) -> Node | None:
    """f(permute(x)) is permute(f(x)), element by element."""
    found = permuted(node.args[0])
    if found is None:
        return None
    x, dims = found
    return g.permute(g(node.target, x, *node.args[1:], **node.kwargs), dims)


@rule(*BINARY)
def permute_past_binary(g: Graph, node: Node) -> Node | None:
    """Both sides turned alike, or one of them constant."""
    a, b = cast(tuple[Any, Any], node.args[:2])
    found = permuted(a) or permuted(b)
    if found is None:
        return None
    dims = found[1]
    turned = [_turned_back(g, side, dims) for side in (a, b)]
    if any(side is None for side in turned):
        return None
    return g.permute(g(node.target, *turned, *node.args[2:], **node.kwargs), dims)


def _turned_back(g: Graph, side: Any, dims: list[int]) -> Any:
    """`side` before the permute by `dims`; None where that needs a permute of its own."""
    if not isinstance(side, Node) or not rank(side):
        return side
    if (found := permuted(side)) is not None:
        return found[0] if found[1] == dims else None
    missing = len(dims) - rank(side)
    if missing < 0:
        return None
    shape, back = (*[1] * missing, *shape_of(side)), inverse(dims)
    if is_constant(side):
        return g.permute(g.reshape(side, shape), back)
    one_long = sum(n != 1 for n in shape) <= 1
    return g.reshape(side, [shape[d] for d in back]) if one_long else None


@rule(*ALONG_AN_AXIS)
def permute_past_axis(g: Graph, node: Node) -> Node | None:
    """Softmax and slice, along the axis that the permute took from elsewhere."""
    found = permuted(node.args[0])
    if found is None:
        return None
    x, dims = found
    here = cast(int, node.args[1]) % len(dims)
    axis = dims[here]
    if node.target is aten.softmax.int and here == len(dims) - 1 != axis:
        return None  # delegates take a softmax along the last axis only
    return g.permute(g(node.target, x, axis, *node.args[2:], **node.kwargs), dims)


@rule(*REDUCTIONS)
def permute_past_reduction(g: Graph, node: Node) -> Node | None:
    """Mean, sum and maximum over the axes that the permute took from elsewhere."""
    found = permuted(node.args[0])
    if found is None or dtype(found[0]) != dtype(node):
        return None
    x, dims = found
    axes_here = axes(argument(node, "dim"), len(dims))
    if len(dims) == 4 and axes_here == [2, 3]:
        return None  # the form that delegates take
    over = [dims[a] for a in axes_here]
    kept = g(node.target, x, sorted(over), True)
    if argument(node, "keepdim"):
        return g.permute(kept, dims)
    left = [d for d in dims if d not in over]
    flat = g.reshape(kept, [shape_of(x)[d] for d in sorted(left)])
    return g.permute(flat, [sorted(left).index(d) for d in left])


@rule(aten.cat.default)
def permute_past_cat(g: Graph, node: Node) -> Node | None:
    """Parts that are all turned alike are joined before the turn."""
    parts = [permuted(part) for part in cast(Any, node.args[0])]
    if any(part is None for part in parts):
        return None
    found = cast(list[tuple[Node, list[int]]], parts)
    dims = found[0][1]
    if any(part[1] != dims for part in found):
        return None
    axis = dims[cast(int, argument(node, "dim")) % len(dims)]
    return g.permute(g(aten.cat.default, [part[0] for part in found], axis), dims)


@rule(aten.linear.default)
def permute_past_linear(g: Graph, node: Node) -> Node | None:
    """A linear layer over the channels of a map is a 1×1 convolution."""
    x, weight, bias = arguments(node)
    if not is_turned(x) or not is_constant(weight) or rank(weight) != 2:
        return None
    return g.permute(g.conv1x1(x.args[0], weight, bias), TO_LAST)


@rule(aten.permute.default)
def permute_before_reshape(g: Graph, node: Node) -> Node | None:
    """[N,C,H,W] → [N,C,HW] → [N,HW,C] turns the map first, so that other turns can meet it."""
    x, dims = cast(Node, node.args[0]), [d % rank(node) for d in cast(Any, node.args[1])]
    source = flattened_map(x)
    if source is None or dims != [0, 2, 1] or len(x.users) > 1:
        return None
    return g.reshape(g.permute(source, TO_LAST), shape_of(node))


@rule(aten.reshape.default)
def permute_after_reshape(g: Graph, node: Node) -> Node | None:
    """[N,HW,C] → [N,C,HW] → [N,C,H,W] turns the map last, so that it can meet other turns."""
    found = permuted(node.args[0])
    if found is None or found[1] != [0, 2, 1] or rank(node) != 4:
        return None
    x, shape = found[0], shape_of(node)
    if shape_of(x) != (shape[0], shape[2] * shape[3], shape[1]):
        return None
    return g.permute(g.reshape(x, (shape[0], shape[2], shape[3], shape[1])), TO_FIRST)


@rule(aten.linear.default)
def convolution_after_norm(g: Graph, node: Node) -> Node | None:
    """A linear layer after the norm of a map that was turned for it is a 1×1 convolution too.

    For runtimes with a fast LayerNorm along the last axis: the map is turned for the norm alone.
    """
    norm, weight, bias = arguments(node)
    if norm.target is not aten.layer_norm.default or not is_constant(weight):
        return None
    if not is_turned(norm.args[0]):
        return None
    return g.permute(g.conv1x1(g.permute(norm, TO_FIRST), weight, bias), TO_LAST)


RULES = (
    permute_past_unary,
    permute_past_binary,
    permute_past_axis,
    permute_past_reduction,
    permute_past_cat,
    permute_past_linear,
    convolution_after_norm,
    permute_before_reshape,
    permute_after_reshape,
)
