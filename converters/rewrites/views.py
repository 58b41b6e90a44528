"""Ways of looking at a tensor, all written as reshape, slice and permute.

    before   x ── unbind ──┬─ [0] ── squeeze ── ...        before   x ── transpose(1, 2) ── clone
    after    x ── slice(0:1) ── reshape ── ...             after    x ── permute(0, 2, 1)

Why: XNNPACK's delegates take these three and refuse select, unbind, split, squeeze and unsqueeze;
and every other rule has three operators to look for in place of fifteen.
"""

import operator
from typing import Any, cast

from torch.fx import Node

from .graph import Graph, argument, aten, rank, shape_of
from .rule import Refused, rule


@rule(
    aten.view.default,
    aten._unsafe_view.default,
    aten.flatten.using_ints,
    aten.unflatten.int,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.unsqueeze.default,
)
def views_as_reshape(g: Graph, node: Node) -> Node | None:
    """Flatten, unflatten, squeeze, unsqueeze and view become reshape."""
    return g.reshape(cast(Node, node.args[0]), shape_of(node))


@rule(aten.transpose.int, aten.t.default, aten.numpy_T.default)
def transposes_as_permute(g: Graph, node: Node) -> Node | None:
    """Transpositions become permute."""
    x, *turned = cast(Any, node.args)
    dims = list(range(rank(x)))
    if node.target is aten.numpy_T.default:
        return g.permute(x, dims[::-1])
    i, j = (d % rank(x) for d in turned or (0, -1))
    dims[i], dims[j] = dims[j], dims[i]
    return g.permute(x, dims)


@rule(aten.select.int)
def select_as_slice(g: Graph, node: Node) -> Node | None:
    """x[i] becomes a slice of length 1, reshaped."""
    x, axis, i = cast(tuple[Node, int, int], node.args)
    axis, i = axis % rank(x), i % shape_of(x)[axis]
    return g.reshape(g.slice(x, axis, i, i + 1), shape_of(node))


@rule(aten.narrow.default)
def narrow_as_slice(g: Graph, node: Node) -> Node | None:
    """narrow becomes a slice."""
    x, axis, start, length = cast(tuple[Node, int, int, int], node.args)
    start += shape_of(x)[axis] if start < 0 else 0
    return g.slice(x, axis % rank(x), start, start + length)


@rule(operator.getitem)
def parts_as_slices(g: Graph, node: Node) -> Node | None:
    """A part of an unbind, a chunk or a split becomes a slice."""
    source, i = cast(tuple[Node, int], node.args)
    parts = (
        aten.unbind.int,
        aten.chunk.default,
        aten.split.Tensor,
        aten.split.sizes,
        aten.split_with_sizes.default,
    )
    if source.target not in parts:
        return None
    x = cast(Node, source.args[0])
    axis = cast(int, argument(source, "dim")) % rank(x)
    sizes = [
        1 if source.target is aten.unbind.int else part.shape[axis] for part in source.meta["val"]
    ]
    start = sum(sizes[:i])
    return g.reshape(g.slice(x, axis, start, start + sizes[i]), shape_of(node))


@rule(aten.slice.Tensor)
def plain_slices(g: Graph, node: Node) -> Node | None:
    """Ends counted from the back or past the end are counted from the front; x[:] is x."""
    x, axis, start, end, step = (argument(node, n) for n in ("self", "dim", "start", "end", "step"))
    size, axis = shape_of(x)[axis], axis % rank(x)
    first, last, stride = slice(start, end, step).indices(size)
    if stride == 1:
        last = max(first, last)
        if [*node.args] == [x, axis, first, last]:
            return None if (first, last) != (0, size) else x
        return g.slice(x, axis, first, last)
    if first >= stride or size % stride or len(range(first, last, stride)) != size // stride:
        raise Refused(f"every {stride}th element of {size} is no whole row of a reshape")
    shape = shape_of(x)
    split = g.reshape(x, (*shape[:axis], size // stride, stride, *shape[axis + 1 :]))
    return g.reshape(g.slice(split, axis + 1, first, first + 1), shape_of(node))


@rule(aten.reshape.default)
def reshapes_joined(g: Graph, node: Node) -> Node | None:
    """A reshape of a reshape is one; a reshape to the same shape is none."""
    x, shape = cast(tuple[Node, list[int]], node.args)
    if shape_of(x) == shape_of(node):
        return x
    if x.target is aten.reshape.default:
        return g.reshape(cast(Node, x.args[0]), shape_of(node))
    return g.reshape(x, shape_of(node)) if -1 in shape else None


@rule(aten.permute.default)
def permutes_joined(g: Graph, node: Node) -> Node | None:
    """A permute of a permute is one; one that moves only axes of length 1 is a reshape."""
    x, dims = cast(tuple[Node, list[int]], node.args)
    n = rank(x)
    dims = [d % n for d in dims]
    if dims == sorted(dims):
        return x
    if x.target is aten.permute.default:
        inner = [d % n for d in cast(Any, x.args[1])]
        return g.permute(cast(Node, x.args[0]), [inner[d] for d in dims])
    long = [d for d in dims if shape_of(x)[d] != 1]
    return g.reshape(x, shape_of(node)) if long == sorted(long) else None


RULES = (
    views_as_reshape,
    transposes_as_permute,
    select_as_slice,
    narrow_as_slice,
    parts_as_slices,
    plain_slices,
    reshapes_joined,
    permutes_joined,
)
