"""Scales and shifts per channel, folded into the convolution or linear layer beside them.

    before   conv ── batch norm ── mul(gamma)              before   x ── mul(w) ── add(b) ── linear
    after    conv'                                         after    x ── linear'

Why: each is a pass over memory for nothing; LayerScale, batch norm, the affine part of a LayerNorm
and attention's 1/sqrt(d) all are of this kind.
Not when: something else reads what lies between, or (for a shift before it) the convolution pads.
"""

import operator
from typing import Any, cast

import torch
from torch.fx import Node

from .graph import Graph, argument, aten, constant_of, dtype, is_constant, rank, shape_of
from .rule import Refused, rule
from .weights import (
    PRODUCTS,
    channel_axis,
    constant_weights,
    has_constant_weights,
    per_output,
    rounded,
    with_weights,
)

VIEWS = (aten.reshape.default, aten.permute.default)
BATCHED = (aten.bmm.default, aten.matmul.default)


def per_channel(constant: Any, of: Node, axis: int) -> torch.Tensor | None:
    """A number or constant as one value per channel of `of` along `axis`, or None if it is not."""
    size = shape_of(of)[axis]
    if isinstance(constant, int | float):
        return torch.full([size], float(constant), dtype=torch.float64)
    if not is_constant(constant):
        return None
    value = constant_of(constant).double()
    if value.dim() > rank(of):
        return None
    value = value.reshape([1] * (rank(of) - value.dim()) + list(value.shape))
    if value.numel() == 1:
        return value.reshape(1).expand(size).clone()
    if value.numel() != size or value.shape[axis] != size:
        return None
    return value.reshape(size)


def with_constant(node: Node) -> tuple[Node, Any] | None:
    """(x, constant) of a mul, div, add or sub of x by something constant."""
    a, b = cast(tuple[Any, Any], node.args[:2])
    if argument(node, "alpha", 1) not in (1, None):
        return None
    if not isinstance(a, Node) or (is_constant(a) and isinstance(b, Node)):
        if node.target not in (aten.add.Tensor, aten.mul.Tensor):
            return None
        a, b = b, a
    if not isinstance(a, Node) or is_constant(a) or (isinstance(b, Node) and not is_constant(b)):
        return None
    if isinstance(b, Node) and not constant_of(b).is_floating_point():
        return None
    if (shape_of(a), dtype(a)) != (shape_of(node), dtype(node)):
        return None
    return a, b


Values = torch.Tensor | None


def scale_and_shift(node: Node, x: Node, constant: Any, axis: int) -> tuple[Values, Values]:
    """What `node` multiplies each channel of x by and adds to it; both None where it is neither."""
    values = per_channel(constant, x, axis)
    if values is None:
        return None, None
    match node.target:
        case aten.mul.Tensor:
            return values, None
        case aten.div.Tensor:
            return 1 / values, None
        case aten.add.Tensor:
            return None, values
        case _:
            return None, -values


@rule(operator.getitem)
def batch_norm_by_affine(g: Graph, node: Node) -> Node | None:
    """A batch norm with fixed statistics is a scale and a shift per channel."""
    norm, i = cast(tuple[Node, int], node.args)
    if norm.target is not aten._native_batch_norm_legit_no_training.default or i != 0:
        return None
    x, weight, bias, mean, variance, _, eps = cast(Any, norm.args)
    return _batch_norm(g, x, weight, bias, mean, variance, eps)


@rule(aten.batch_norm.default)
def batch_norm_in_one_by_affine(g: Graph, node: Node) -> Node | None:
    """The same, of the operator that torch.export leaves in other versions."""
    x, weight, bias, mean, variance, training, _, eps, _ = cast(Any, node.args)
    if training or mean is None:
        raise Refused("it takes its statistics from the batch (train mode)")
    return _batch_norm(g, x, weight, bias, mean, variance, eps)


def _batch_norm(
    g: Graph, x: Node, weight: Any, bias: Any, mean: Node, variance: Node, eps: float
) -> Node:
    if not all(is_constant(n) for n in (weight, bias, mean, variance) if n is not None):
        raise Refused("its statistics are computed, not constant")
    kind = constant_of(mean).dtype
    gain = (constant_of(variance).double() + eps).rsqrt()
    gain = gain if weight is None else gain * constant_of(weight).double()
    shift = -constant_of(mean).double() * gain
    shift = shift if bias is None else shift + constant_of(bias).double()
    shape = [1, -1, *[1] * (rank(x) - 2)]
    scaled = g(aten.mul.Tensor, x, g.constant(rounded(gain.reshape(shape), kind)))
    return g(aten.add.Tensor, scaled, g.constant(rounded(shift.reshape(shape), kind)))


@rule(aten.mul.Tensor, aten.div.Tensor, aten.add.Tensor, aten.sub.Tensor)
def affine_into_what_precedes(g: Graph, node: Node) -> Node | None:
    """conv(x) · s + b is a convolution with other weights."""
    found = with_constant(node)
    if found is None:
        return None
    product, constant = found
    if product.target not in PRODUCTS or len(product.users) != 1:
        return None
    s, b = scale_and_shift(node, product, constant, channel_axis(product))
    weights = constant_weights(product)
    if weights is None or (s is None and b is None):
        return None
    weight, bias = weights
    if s is not None:
        weight = weight * s.reshape([-1, *[1] * (weight.dim() - 1)])
        bias = None if bias is None else bias * s
    if b is not None:
        bias = b if bias is None else bias + b
    return with_weights(g, product, cast(Node, product.args[0]), weight, bias)


@rule(*PRODUCTS)
def affine_into_what_follows(g: Graph, node: Node) -> Node | None:
    """A convolution or linear layer of x · s + b has other weights, where it alone reads that."""
    affine = cast(Node, node.args[0])
    if affine.target not in (aten.mul.Tensor, aten.div.Tensor, aten.add.Tensor, aten.sub.Tensor):
        return None
    found = with_constant(affine)
    if found is None or not has_constant_weights(node):
        return None
    if any(u.target not in PRODUCTS or u.args[0] is not affine for u in affine.users):
        return None
    x, constant = found
    s, b = scale_and_shift(affine, x, constant, channel_axis(node))
    weights = constant_weights(node)
    if weights is None or (s is None and b is None):
        return None
    weight, bias = weights
    groups = cast(int, argument(node, "groups", 1))
    if b is not None:
        if any(cast(Any, argument(node, "padding", [0]))):
            raise Refused("it shifts the zeros of the padding too")
        summed = weight.flatten(2).sum(-1) if weight.dim() > 2 else weight
        added = (summed * per_output(b, groups, len(weight))).sum(-1)
        bias = added if bias is None else bias + added
    if s is not None:
        rows = per_output(s, groups, len(weight))
        weight = weight * rows.reshape(*rows.shape, *[1] * (weight.dim() - 2))
    return with_weights(g, node, x, weight, bias)


@rule(aten.reshape.default)
def affine_past_reshape(g: Graph, node: Node) -> Node | None:
    """A scale per last axis moves behind a reshape that keeps that axis, nearer to a product."""
    affine = cast(Node, node.args[0])
    arithmetic = (aten.mul.Tensor, aten.add.Tensor)
    if affine.target not in arithmetic or len(affine.users) != 1 or affine.kwargs:
        return None
    if shape_of(affine)[-1:] != shape_of(node)[-1:]:
        return None
    a, b = cast(tuple[Any, Any], affine.args[:2])
    x, c = (b, a) if is_constant(a) else (a, b)
    if not is_constant(c) or not isinstance(x, Node) or is_constant(x):
        return None
    if shape_of(x) != shape_of(affine):
        return None
    values = per_channel(c, affine, rank(affine) - 1)
    if values is None or constant_of(c).numel() == 1:
        return None
    return g(affine.target, g.reshape(x, shape_of(node)), g.reshape(c, (len(values),)))


@rule(aten.mul.Tensor)
def scale_nearer_to_weights(g: Graph, node: Node) -> Node | None:
    """A number times a view, or times a batched product, goes before it."""
    x, number = cast(tuple[Any, Any], node.args[:2])
    if not isinstance(x, Node) or len(x.users) > 1 or x.op != "call_function":
        return None
    if isinstance(number, Node):
        if not is_constant(number) or constant_of(number).numel() != 1:
            return None
        number = float(constant_of(number))
    if x.target not in (*VIEWS, *BATCHED) or shape_of(x) != shape_of(node):
        return None
    if dtype(x) != dtype(node) or not dtype(x).is_floating_point:
        return None
    scaled = g(aten.mul.Tensor, x.args[0], number)
    return g(x.target, scaled, *x.args[1:], **x.kwargs)


RULES = (
    batch_norm_by_affine,
    batch_norm_in_one_by_affine,
    affine_into_what_precedes,
    affine_into_what_follows,
    affine_past_reshape,
    scale_nearer_to_weights,
)
