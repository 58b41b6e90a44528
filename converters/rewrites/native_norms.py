"""Norms as Core ML has them: over the channels of a map, or over all of it, in one operator.

    before   layer_norm(x turned channels last)   after   channel_norm(x) turned channels last
             group_norm(x, 1, γ, β)                       layer_norm(x over C, H, W) · γ + β
             group_norm(x, G, γ, β)                       instance_norm(x as G channels) · γ + β
             rms_norm(x, γ)                               x · rsqrt(mean(x²) + ε) · γ

Why: torch's LayerNorm knows the last axes only, ML Programs any, and a map that stays channels
first needs no transposes; a group norm is written out in six operators by coremltools. γ and β go
into the convolution that follows, where one does. coremltools 9.0 refuses an RMSNorm without an ε
of its own, and multiplies any other by the largest square (its issue 2821).
Not when: it is no map of rank 4.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx import Node

from .graph import Graph, arguments, aten, dtype, rank, shape_of
from .layer_norm import normalised, scaled_and_shifted
from .layout import TO_LAST, is_turned
from .rule import Refused, rule


@torch.library.custom_op("edgevit::channel_norm", mutates_args=())
def channel_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """LayerNorm over axis 1 of x [N, C, H, W]; weight, bias: [C]."""
    normal = F.layer_norm(x.movedim(1, -1), [x.shape[1]], weight, bias, eps)
    return normal.movedim(-1, 1).clone(memory_format=torch.contiguous_format)


@channel_norm.register_fake
def _(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    return torch.empty_like(x)


@rule(aten.layer_norm.default)
def layer_norm_of_channels(g: Graph, node: Node) -> Node | None:
    """LayerNorm of a map turned channels last is turned after it instead."""
    x, normalised, weight, bias, eps, _ = arguments(node)
    if len(normalised) != 1 or not is_turned(x):
        return None
    op = torch.ops.edgevit.channel_norm.default
    return g.permute(g(op, cast(Node, x.args[0]), weight, bias, eps), TO_LAST)


@rule(aten.group_norm.default)
def group_norm_natively(g: Graph, node: Node) -> Node | None:
    """GroupNorm is a LayerNorm of the whole map, or an InstanceNorm of the groups."""
    x, groups, weight, bias, eps, _ = arguments(node)
    if rank(x) != 4:
        raise Refused(f"its input has rank {rank(x)}")
    n, c, h, w = shape_of(x)
    if groups == 1:
        normal = g(aten.layer_norm.default, x, [c, h, w], None, None, eps)
    else:
        split = g.reshape(x, (n, groups, c // groups * h, w))
        stats = (None, None, None, None, True, 0.0, eps, False)
        normal = g.reshape(g(aten.instance_norm.default, split, *stats), (n, c, h, w))
    per_channel = [None if p is None else g.reshape(p, (1, -1, 1, 1)) for p in (weight, bias)]
    return scaled_and_shifted(g, normal, *per_channel)


@rule(aten.rms_norm.default)
def rms_norm_by_mean(g: Graph, node: Node) -> Node | None:
    """RMSNorm is written out, with its epsilon as it is."""
    x, shape, weight, eps = arguments(node)
    eps = torch.finfo(dtype(x)).eps if eps is None else eps

    def mean(of: Node, plus: float) -> Node:
        found = g(aten.mean.dim, of, [*range(-len(shape), 0)], True)
        return g(aten.add.Tensor, found, g.number(plus, found))

    return scaled_and_shifted(g, normalised(g, x, eps, mean, centre=False), weight, None)


RULES = (layer_norm_of_channels, group_norm_natively, rms_norm_by_mean)
