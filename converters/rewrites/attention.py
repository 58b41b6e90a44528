"""Attention as two batched products of rank 3 around a softmax.

    before   q, k, v ── scaled_dot_product_attention     before   matmul of [B,h,N,d], [B,h,d,M]
    after    bmm(softmax(bmm(q·s, kᵀ) + mask), v)        after    bmm of [Bh,N,d], [Bh,d,M]

Why: a matmul of rank 4 is exported with expands, and the fused attention with comparisons against
rows that are all masked: 29 operators a block, most of them outside the delegate.
Not when: it is causal, drops out, shares heads in groups, or its mask is boolean, computed, or
hides a whole row: fused attention gives 0 there, a softmax gives no number.
"""

import math
from typing import cast

import torch
from torch.fx import Node

from .graph import Graph, argument, aten, constant_of, dtype, is_constant, rank, shape_of
from .layout import flattened_map, inverse, permuted
from .rule import Refused, rule


@rule(aten.scaled_dot_product_attention.default)
def attention_by_products(g: Graph, node: Node) -> Node | None:
    """Fused attention becomes product, softmax, product."""
    q, k, v = cast(tuple[Node, Node, Node], node.args[:3])
    mask = argument(node, "attn_mask")
    if argument(node, "is_causal") or argument(node, "dropout_p") or argument(node, "enable_gqa"):
        raise Refused("it is causal, drops out, or shares heads in groups")
    if mask is not None and dtype(mask) == torch.bool:
        raise Refused("its mask is boolean")
    if mask is not None and not is_constant(mask):
        raise Refused("its mask is computed")
    if mask is not None and bool(constant_of(mask).isneginf().all(-1).any()):
        raise Refused("its mask hides a whole row")
    scale = argument(node, "scale")
    scale = 1 / math.sqrt(shape_of(q)[-1]) if scale is None else scale
    turned = [*range(rank(k) - 2), rank(k) - 1, rank(k) - 2]
    scaled = g(aten.mul.Tensor, q, scale)
    logits = g(aten.matmul.default, scaled, g.permute(k, turned))
    if mask is not None:
        logits = g(aten.add.Tensor, logits, mask)
    return g(aten.matmul.default, g(aten.softmax.int, logits, -1), v)


@rule(aten.matmul.default)
def matmul_by_bmm(g: Graph, node: Node) -> Node | None:
    """A product of more than two axes becomes one of three."""
    a, b = cast(tuple[Node, Node], node.args)
    if is_constant(b) and rank(b) == 2:
        return g(aten.linear.default, a, g.permute(b, [1, 0]))
    batches = [shape_of(t)[:-2] for t in (a, b)]
    if min(rank(a), rank(b)) < 3 or batches[0] != batches[1]:
        raise Refused(f"it multiplies {list(shape_of(a))} with {list(shape_of(b))}")
    count = math.prod(batches[0])
    flat = [g.reshape(t, (count, *shape_of(t)[-2:])) for t in (a, b)]
    return g.reshape(g(aten.bmm.default, *flat), shape_of(node))


@rule(aten.bmm.default)
def values_as_tokens(g: Graph, node: Node) -> Node | None:
    """v · attnᵀ of a map's channels becomes (attn · vᵀ)ᵀ, of its pixels.

    litert-torch makes the first a FULLY_CONNECTED with computed weights, outside the delegate; and
    XNNPACK holds a map's pixels apart anyway.
    """
    values, turned = cast(tuple[Node, Node], node.args)
    found = permuted(turned)
    if found is None or found[1] != [0, 2, 1] or flattened_map(values) is None:
        return None
    product = g(aten.bmm.default, found[0], g.permute(values, [0, 2, 1]))
    return g.permute(product, [0, 2, 1])


@rule(aten.softmax.int)
def softmax_along_the_last_axis(g: Graph, node: Node) -> Node | None:
    """A softmax over another axis turns it to the end and back."""
    x, n = cast(Node, node.args[0]), rank(node)
    axis = cast(int, node.args[1]) % n
    if axis == n - 1:
        return None
    dims = [*(d for d in range(n) if d != axis), axis]
    turned = g(aten.softmax.int, g.permute(x, dims), -1, *node.args[2:])
    return g.permute(turned, inverse(dims))


RULES = (attention_by_products, matmul_by_bmm, values_as_tokens, softmax_along_the_last_axis)
