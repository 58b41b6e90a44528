"""A residual stream that only norms read, kept at zero mean by the weights that write to it.

    before   x₀ ── + f₁ ── + f₂ ...      LayerNorm: d = x − mean(x);  d · rsqrt(mean(d²) + eps)
    after    the same, centred writers   LayerNorm: x · rsqrt(mean(x²) + eps)

Why: a LayerNorm does not see the mean of its input. Where nothing else reads the stream, the mean
over channels is taken out of the weights of each layer that adds to it (patch embedding, position,
proj, fc2), once and offline, and each norm saves one of its two reductions.
Not when: anything but norms and sums reads the stream (a pooling, a convolution between stages), or
something other than a product with constant weights writes to it.
"""

import math
from typing import Any, cast

from torch.fx import Node

from .graph import (
    Graph,
    argument,
    arguments,
    aten,
    constant_of,
    dtype,
    is_constant,
    module_path,
    rank,
    shape_of,
)
from .layer_norm import over_channels, scaled_and_shifted
from .rule import Refused, erase, rule
from .weights import (
    PRODUCTS,
    channel_axis,
    constant_weights,
    has_constant_weights,
    is_dense,
    with_weights,
)

MOVES = (
    aten.add.Tensor,
    aten.reshape.default,
    aten.permute.default,
    aten.slice.Tensor,
    aten.cat.default,
)


@rule(aten.layer_norm.default)
def stream_centred(g: Graph, node: Node) -> Node | None:
    """The LayerNorms of a stream that is written centred need no mean."""
    x = cast(Node, node.args[0])
    stream = _stream(x, rank(x) - 1)
    readers = [user for n in stream for user in n.users if user.target is node.target]
    for writer, axis in [(n, axis) for n, axis in stream.items() if _writes(n, axis)]:
        writer.replace_all_uses_with(_centred(g.at(writer), writer, axis))
    for reader in readers:
        of, _, weight, bias, eps, _ = arguments(reader)
        g.at(reader)
        new = scaled_and_shifted(g, over_channels(g, of, eps, centre=False), weight, bias)
        if reader is node:
            found = new
        else:
            reader.replace_all_uses_with(new)
            erase(g, reader)
    return found


def _stream(start: Node, axis: int) -> dict[Node, int]:
    """All that is summed, joined or turned into `start` or from it → its axis of channels."""
    size = shape_of(start)[axis]
    stream: dict[Node, int] = {}
    todo = [(start, axis)]
    while todo:
        node, axis = todo.pop()
        if stream.get(node) == axis:
            continue
        if node in stream or not 0 <= axis < rank(node) or shape_of(node)[axis] != size:
            raise Refused(f"{_name(node)} does not keep the channels of the stream together")
        stream[node] = axis
        if not _writes(node, axis):
            of_two = node.target is not aten.add.Tensor or len(node.all_input_nodes) == 2
            if node.target not in MOVES or not of_two:
                raise Refused(f"{_name(node)} writes to the stream")
            todo += [(n, _axis_in(n, node, axis)) for n in node.all_input_nodes]
        for user in node.users:
            if user.target in MOVES:
                todo.append((user, _axis_in(user, node, axis)))
            elif not _normalises(user, axis):
                raise Refused(f"{_name(user)} reads the stream")
    return stream


def _normalises(node: Node, axis: int) -> bool:
    if node.target is not aten.layer_norm.default:
        return False
    return len(cast(Any, node.args[1])) == 1 and axis == rank(node) - 1


def _writes(node: Node, axis: int) -> bool:
    if node.target not in PRODUCTS:
        return is_constant(node)
    return is_dense(node) and channel_axis(node) == axis and has_constant_weights(node)


def _axis_in(other: Node, node: Node, axis: int) -> int:
    """Where the channels of `node` lie in `other`, its input or its user; -1 where nobody knows."""
    user, back = (other, False) if node in other.all_input_nodes else (node, True)
    if user.target is aten.add.Tensor:  # broadcasts from the last axis on
        return axis + rank(other) - rank(node)
    if user.target is aten.permute.default:
        dims = [d % rank(user) for d in cast(Any, user.args[1])]
        return dims[axis] if back else dims.index(axis)
    if user.target is aten.reshape.default:
        here, there = shape_of(node), shape_of(other)
        before = math.prod(here[:axis])
        found = [a for a in range(len(there)) if math.prod(there[:a]) == before]
        return found[-1] if found else -1
    along = cast(int, argument(user, "dim")) % rank(user)
    return -1 if along == axis else axis


def _centred(g: Graph, writer: Node, axis: int) -> Node:
    if is_constant(writer):
        value = constant_of(writer).double()
        return g.constant((value - value.mean(axis, keepdim=True)).to(dtype(writer)))
    weight, bias = cast(Any, constant_weights(writer))
    bias = None if bias is None else bias - bias.mean()
    return with_weights(g, writer, cast(Node, writer.args[0]), weight - weight.mean(0), bias)


def _name(node: Node) -> str:
    name = getattr(node.target, "_opname", node.target)
    return f"{name} of {path}" if (path := module_path(node)) else str(name)


RULES = (stream_centred,)
