"""The graph under rewriting: what a rule reads of a node, and how it emits new ones.

Every node carries its tensor's shape and type, and the path of the user's module that it came from;
a new node takes the path of the node it replaces. What depends on constants only is computed while
it is emitted, in float64, so that weights are folded without a word from the rule.
"""

import operator
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import map_arg
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten


class Graph:
    """A module of ATen operators without in-place ones, whose parameters are `get_attr` nodes."""

    def __init__(self, module: GraphModule) -> None:
        self.module = module
        self._before: Node | None = None
        self._constants = 0
        for node in module.graph.nodes:
            if node.op == "get_attr":
                value = operator.attrgetter(node.target)(module)
                if isinstance(value, Tensor):
                    node.meta["val"] = value

    def at(self, node: Node) -> "Graph":
        """Emit before `node` from now on, under its module's path."""
        self._before = node
        return self

    def __call__(self, op: Any, *args: Any, **kwargs: Any) -> Node:
        """The node of `op` on these arguments; a constant where all of them are constant."""
        nodes = [a for a in tree_leaves((args, kwargs)) if isinstance(a, Node)]
        if nodes and all(is_constant(n) for n in nodes):
            return self.constant(fold(op, args, kwargs))
        assert self._before is not None
        graph = self.module.graph
        with graph.inserting_before(self._before):
            node = graph.call_function(op, args, kwargs)
        for key in ("nn_module_stack", "stack_trace"):
            if key in self._before.meta:
                node.meta[key] = self._before.meta[key]
        node.meta["val"] = op(*tree_map(_abstract, args), **tree_map(_abstract, kwargs))
        return node

    def inlined(self, function: Callable[..., Tensor], given: Sequence[Any]) -> Node:
        """What `function` does with tensors and numbers, operator by operator."""
        nodes = [a for a in given if isinstance(a, Node)]

        def of_tensors(*tensors: Tensor) -> Tensor:
            rest = iter(tensors)
            return function(*(next(rest) if isinstance(a, Node) else a for a in given))

        tensors = [torch.zeros(shape_of(a), dtype=dtype(a)) for a in nodes]
        traced = make_fx(of_tensors, tracing_mode="fake", pre_dispatch=True)(*tensors)
        here: dict[Node, Node] = {}
        for node in traced.graph.nodes:
            match node.op:
                case "placeholder":
                    here[node] = nodes[len(here)]
                case "get_attr":
                    here[node] = self.constant(getattr(traced, node.target))
                case "call_function":
                    args, kwargs = map_arg((node.args, node.kwargs), here.__getitem__)
                    here[node] = self(node.target, *args, **kwargs)
        return here[node.args[0]]

    def constant(self, value: Tensor) -> Node:
        """A new constant of the graph."""
        assert self._before is not None
        name = f"constant_{self._constants}"
        self._constants += 1
        # `contiguous` keeps odd strides of axes of length 1, which ExecuTorch reads as a layout.
        plain = torch.empty(value.shape, dtype=value.dtype).copy_(value.detach())
        self.module.register_buffer(name, plain)
        graph = self.module.graph
        with graph.inserting_before(next(iter(graph.nodes))):
            node = graph.create_node("get_attr", name)
        node.meta["val"] = getattr(self.module, name)
        return node

    def number(self, value: float, like: Node) -> Node:
        """A constant of one element, of the type of `like`, that broadcasts to any shape."""
        return self.constant(torch.full([1] * rank(like), value, dtype=dtype(like)))

    def forget_unused(self) -> None:
        """Drop weights and constants that nothing reads: a file would hold them all the same."""
        used = {n.target for n in self.module.graph.nodes if n.op == "get_attr"}
        tensors = [*self.module.named_parameters(), *self.module.named_buffers()]
        for name in {name for name, _ in tensors} - used:
            owner, _, leaf = name.rpartition(".")
            delattr(self.module.get_submodule(owner), leaf)

    # What the rules emit most.

    def reshape(self, x: Node, shape: Sequence[int]) -> Node:
        return x if shape_of(x) == tuple(shape) else self(aten.reshape.default, x, list(shape))

    def permute(self, x: Node, dims: Sequence[int]) -> Node:
        return x if list(dims) == sorted(dims) else self(aten.permute.default, x, list(dims))

    def slice(self, x: Node, axis: int, start: int, end: int) -> Node:
        if (start, end) == (0, shape_of(x)[axis]):
            return x
        return self(aten.slice.Tensor, x, axis, start, end)

    def conv1x1(self, x: Node, weight: Node, bias: Node | None = None) -> Node:
        """weight: [out, in]; x: [N, in, H, W]."""
        kernel = self.reshape(weight, (*shape_of(weight), 1, 1))
        return self(aten.conv2d.default, x, kernel, bias)


def _abstract(a: Any) -> Any:
    if not isinstance(a, Node):
        return a
    return tree_map(lambda t: torch.empty(t.shape, dtype=t.dtype, device="meta"), a.meta["val"])


def fold(op: Any, args: Any, kwargs: Any) -> Tensor:
    """Compute in float64 and round once."""
    dtypes: list[torch.dtype] = []

    def exact(a: Any) -> Any:
        if not isinstance(a, Node):
            return a
        value = constant_of(a)
        if not value.is_floating_point():
            return value
        dtypes.append(value.dtype)
        return value.double()

    with torch.no_grad():
        value = op(*tree_map(exact, args), **tree_map(exact, kwargs))
    return cast(Tensor, value.to(dtypes[0]) if value.is_floating_point() and dtypes else value)


def is_constant(node: Any) -> bool:
    """Whether a node's value is known: a parameter, a buffer, or folded from such."""
    return isinstance(node, Node) and node.op == "get_attr" and "val" in node.meta


def constant_of(node: Node) -> Tensor:
    """The value of a constant node."""
    return cast(Tensor, node.meta["val"])


def shape_of(node: Node) -> tuple[int, ...]:
    return tuple(node.meta["val"].shape)


def rank(node: Node) -> int:
    return len(shape_of(node))


def dtype(node: Node) -> torch.dtype:
    return cast(torch.dtype, node.meta["val"].dtype)


def axes(dims: Any, of: int) -> list[int]:
    """Axes counted from the front, of a tensor of rank `of`; all of them where none are given."""
    if isinstance(dims, int):
        dims = [dims]
    return sorted(d % of for d in dims) if dims else list(range(of))


def argument(node: Node, name: str, default: Any = None) -> Any:
    """An argument by the name in the operator's schema, however it was passed."""
    place = _schema(node.target).get(name)
    if place is None:
        return default
    if place[0] < len(node.args):
        return node.args[place[0]]
    return node.kwargs.get(name, default if place[1] is None else place[1])


def arguments(node: Node) -> list[Any]:
    """All arguments in the order of the operator's schema, defaults filled in."""
    return [argument(node, name) for name in _schema(node.target)]


@cache
def _schema(op: Any) -> dict[str, tuple[int, Any]]:
    """The place and the default of each argument; reading them of torch's own schema is slow."""
    return {a.name: (i, a.default_value) for i, a in enumerate(op._schema.arguments)}


def module_path(node: Node) -> str:
    """The user's module that a node came from: "layers.0.blocks.1.mlp", "" for the model itself."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return str(stack[-1][0]) if stack else ""
