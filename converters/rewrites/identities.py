"""What changes nothing is removed, and what is known is computed.

    before   x ── clone ── dropout ── mul(1.0) ── y        before   table ── index ── add
    after    x ── y                                        after    constant ── add

Why: a copy costs a pass over memory, and outside the delegate a partition boundary too.
Not when: a folded constant would hold over a million elements more than what it is made of.
"""

from typing import Any, cast

from torch.fx import Node

from .graph import Graph, argument, aten, dtype, fold, is_constant, shape_of
from .rule import rule

GROWTH = 1 << 20  # elements

COPIES = (
    aten.clone.default,
    aten.contiguous.default,
    aten.copy.default,
    aten.alias.default,
    aten.detach.default,
    aten.dropout.default,
    aten.lift_fresh_copy.default,
    aten._to_copy.default,
    aten.to.dtype,
    aten.expand.default,
    aten.expand_as.default,
    aten.repeat.default,
    aten.type_as.default,
    aten._assert_tensor_metadata.default,
)


@rule(*COPIES)
def copies_removed(g: Graph, node: Node) -> Node | None:
    """A copy with the same shape and type is the tensor itself; what asserts its type is gone."""
    x = node.args[node.target is aten.copy.default]  # what is written over another is the second
    if node.target is aten._assert_tensor_metadata.default:
        return cast(Node, x)  # it held when the graph was made, and would count as a reader of x
    if not isinstance(x, Node) or "val" not in node.meta or node.meta["val"] is None:
        return None
    if node.target is aten.dropout.default and argument(node, "train"):
        return None
    return x if (shape_of(x), dtype(x)) == (shape_of(node), dtype(node)) else None


@rule(aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor)
def neutral_numbers_removed(g: Graph, node: Node) -> Node | None:
    """x + 0, x - 0, x · 1 and x / 1 are x."""
    x, number = node.args[:2]
    neutral = 0 if node.target in (aten.add.Tensor, aten.sub.Tensor) else 1
    if not isinstance(x, Node) or isinstance(number, Node) or number != neutral:
        return None
    return x if dtype(x) == dtype(node) else None


FOLDABLE = (
    aten.index.Tensor,
    aten.reshape.default,
    aten.permute.default,
    aten.slice.Tensor,
    aten.add.Tensor,
    aten.sub.Tensor,
    aten.rsub.Scalar,
    aten.mul.Tensor,
    aten.div.Tensor,
    aten.exp.default,
    aten.sigmoid.default,
    aten.expand.default,
    aten.repeat.default,
    aten.cat.default,
    aten.sum.dim_IntList,
    aten.mean.dim,
    aten.pow.Tensor_Scalar,
    aten.sqrt.default,
    aten.rsqrt.default,
    aten.neg.default,
    aten.relu.default,
    aten.softmax.int,
    aten.upsample_bilinear2d.vec,
    aten.upsample_bicubic2d.vec,
    aten.roll.default,
    aten.index_select.default,
    aten.to.dtype,
    aten._to_copy.default,
    aten.linear.default,
    aten.matmul.default,
)


@rule(*FOLDABLE)
def constants_folded(g: Graph, node: Node) -> Node | None:
    """What depends on constants only is a constant."""
    nodes = node.all_input_nodes
    if not nodes or not all(is_constant(n) for n in nodes):
        return None
    had = sum(n.meta["val"].numel() for n in nodes)
    if cast(Any, node.meta["val"]).numel() > had + GROWTH:
        return None
    return g.constant(fold(node.target, node.args, node.kwargs).to(dtype(node)))


RULES = (copies_removed, neutral_numbers_removed, constants_folded)
