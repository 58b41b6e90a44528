"""Convolutions and linear layers with constant weights: reading them, and the same with others."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import Node

from .graph import Graph, argument, aten, constant_of, is_constant, rank
from .rule import Refused

PRODUCTS = (aten.conv2d.default, aten.linear.default)


def channel_axis(product: Node) -> int:
    """Where a convolution or a linear layer has its channels."""
    return rank(product) - (3 if product.target is aten.conv2d.default else 1)


def is_dense(product: Node) -> bool:
    """Whether every output reads every input channel."""
    return bool(argument(product, "groups", 1) == 1)


def has_constant_weights(product: Node) -> bool:
    """Whether weight (of a row or more for each output) and bias are constant."""
    weight, bias = argument(product, "weight"), argument(product, "bias")
    return is_constant(weight) and rank(weight) > 1 and (bias is None or is_constant(bias))


def is_product(node: Any) -> bool:
    """Whether it is one of PRODUCTS, with constant weights."""
    return isinstance(node, Node) and node.target in PRODUCTS and has_constant_weights(node)


def constant_weights(product: Node) -> tuple[torch.Tensor, torch.Tensor | None] | None:
    """Weight and bias in float64, when both are constant."""
    if not has_constant_weights(product):
        return None
    weight, bias = argument(product, "weight"), argument(product, "bias")
    return constant_of(weight).double(), None if bias is None else constant_of(bias).double()


def with_weights(
    g: Graph,
    product: Node,
    x: Node,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    moves: Sequence[Any] = (),
) -> Node:
    """The same convolution or linear layer with other weights, rounded once.

    moves: another stride, padding, dilation and groups too.
    """
    kind = constant_of(argument(product, "weight")).dtype
    constants = [None if t is None else g.constant(rounded(t, kind)) for t in (weight, bias)]
    return g(product.target, x, *constants, *(moves or product.args[3:]), **product.kwargs)


def per_output(values: torch.Tensor, groups: int, outputs: int) -> torch.Tensor:
    """Of a value per input channel, those that each output reads: [out, in / groups]."""
    return values.reshape(groups, -1).repeat_interleave(outputs // groups, 0)


def rounded(value: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
    """Rounded once, to what a file of float32 can hold: near-zero variances make huge weights."""
    if not value.float().isfinite().all():
        raise Refused("the folded weights would be beyond float32")
    return value.to(kind)
