"""GroupNorm and InstanceNorm of a map as means over its pixels and products over its channels.

    before   x ── group_norm(G, w, b)
    after    m = P(mean(x));  d = x − m;  y = d · rsqrt(P(mean(d²)) + eps) · w + b
             mean: over height and width;  P: a 1×1 convolution with 1/(C/G) inside each group

Why: no mobile delegate has GroupNorm, and a mean of short means loses fewer digits than the long
sum of the runtimes' own kernels. P costs C² on a single pixel.
Not when: it is no map of rank 4.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Node

from .graph import Graph, arguments, aten, dtype, rank, shape_of
from .layer_norm import normalised, scaled_and_shifted
from .rule import Refused, rule


@rule(aten.group_norm.default)
def group_norm_by_means(g: Graph, node: Node) -> Node | None:
    """GroupNorm becomes a mean over pixels and a product over the channels of each group."""
    x, groups, weight, bias, eps, _ = arguments(node)
    if rank(x) != 4:
        raise Refused(f"its input has rank {rank(x)}")

    def in_groups(pixels: Node, plus: float) -> Node:
        return g.conv1x1(pixels, *_within_groups(g, x, groups, plus))

    return _by_means(g, x, weight, bias, eps, in_groups)


@rule(aten.instance_norm.default)
def instance_norm_by_means(g: Graph, node: Node) -> Node | None:
    """InstanceNorm becomes a mean over pixels.

    On a map with a large mean, ExecuTorch's kernel gives no number and ONNX Runtime's is 25 times
    further off than torch.
    """
    x, weight, bias, _, _, of_the_input, _, eps, _ = arguments(node)
    if rank(x) != 4 or not of_the_input:
        raise Refused("it is no map normalised by its own statistics")

    def each_alone(pixels: Node, plus: float) -> Node:
        return g(aten.add.Tensor, pixels, g.number(plus, x)) if plus else pixels

    return _by_means(g, x, weight, bias, eps, each_alone)


def _by_means(
    g: Graph, x: Node, weight: Any, bias: Any, eps: float, within: Callable[[Node, float], Node]
) -> Node:
    """within: the mean of each channel's pixels, and a number → the mean that normalises it."""

    def mean(of: Node, plus: float = 0.0) -> Node:
        return within(g(aten.mean.dim, of, [2, 3], True), plus)

    per_channel = [None if p is None else g.reshape(p, (1, -1, 1, 1)) for p in (weight, bias)]
    return scaled_and_shifted(g, normalised(g, x, eps, mean), *per_channel)


def _within_groups(g: Graph, x: Node, groups: int, plus: float) -> tuple[Node, Any]:
    """Weight and bias of the mean over the channels of each group; one row where all are one."""
    channels = shape_of(x)[1]
    size = channels // groups
    rows = 1 if groups == 1 else channels
    group = torch.arange(channels) // size
    weight = (group[:rows, None] == group[None, :]).to(dtype(x)) / size
    bias = g.constant(torch.full([rows], plus, dtype=dtype(x))) if plus else None
    return g.constant(weight), bias


RULES = (group_norm_by_means, instance_norm_by_means)
