"""A program cut where the path of the user's module changes: the parts that `locate` looks at.

A step is a run of operators of one module, in the order in which the model computes:

    norm │ attn.qkv │ attn │ attn.proj │ (the block's own +) │ mlp.fc1 │ ...

The piece up to a step returns all that later steps read, so that a fault before the cut shows in
it, whichever branch it is in, and what lies before the cut is what it was in the whole.
"""

from itertools import groupby
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.utils._pytree import tree_map

from edgevit import exact
from edgevit.preprocess import Preprocess
from edgevit.program import Program, export
from edgevit.reference import Reference
from edgevit.transforms import merge_forms  # noqa: F401  a program may hold its operator

from .locate import Step


def steps(exported: ExportedProgram) -> list[Step]:
    """What the program computes from its inputs, module by module."""
    nodes = _nodes(_graph_of(exported))
    known = _computed(nodes)
    numbered = [(i, node) for i, node in enumerate(nodes) if node in known]
    found = []
    for stack, group in groupby(numbered, key=lambda pair: _stack(pair[1])):
        run = list(group)
        ops = dict.fromkeys(str(cast(Any, n.target).__name__).split(".")[0] for _, n in run)
        found.append(Step(stack, tuple(ops), run[-1][0]))
    return found


def piece(program: Program, step: Step) -> Program | None:
    """The program up to and with `step`; None where what goes on is no tensor to compare.

    Up to the last step it is the program itself.
    """
    module = _graph_of(program.exported)
    nodes = _nodes(module)
    known = _computed(nodes)
    if step.end == max(nodes.index(n) for n in known):
        return program
    place = {node: i for i, node in enumerate([*nodes, *module.graph.find_nodes(op="output")])}
    alive = [
        node
        for node in nodes[: step.end + 1]
        if node in known and any(place.get(user, -1) > step.end for user in node.users)
    ]
    if not all(isinstance(node.meta.get("val"), Tensor) for node in alive):
        return None
    held = [node for node in alive if node.meta["val"].is_floating_point()]
    if not held:
        return None
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in nodes[: step.end + 1]:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in held))
    graph.eliminate_dead_code()
    return export(fx.GraphModule(module, graph), program.inputs, name=program.facts.name)


def reference(program: Program, *, preprocess: Preprocess | None, precision: str) -> Reference:
    """What a program computes in float64, on the inputs that its model is judged by."""
    module = _InAnyPrecision(_graph_of(program.exported))
    return exact.compute(module, program.inputs, preprocess=preprocess, precisions=[precision])


class _InAnyPrecision(nn.Module):
    """An exported graph that `.to(torch.float64)` brings to float64 altogether."""

    like: Tensor

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__()
        self.graph = graph
        self.register_buffer("like", torch.empty(0))

    def forward(self, *inputs: Tensor) -> Any:
        return _Interpreter(self.graph, self.like.dtype).run(*inputs)


class _Interpreter(fx.Interpreter):
    """Runs a float32 graph in `dtype`: its constants, and the types that are written in it."""

    def __init__(self, module: fx.GraphModule, dtype: torch.dtype) -> None:
        super().__init__(module)
        self.dtype = dtype

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self._cast(super().get_attr(target, args, kwargs))

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        args, kwargs = tree_map(self._cast, (args, kwargs))
        return super().call_function(target, args, kwargs)

    def _cast(self, value: Any) -> Any:
        if isinstance(value, Tensor) and value.dtype == torch.float32:
            return value.to(self.dtype)
        return self.dtype if value is torch.float32 else value


def _graph_of(exported: ExportedProgram) -> fx.GraphModule:
    """The program as a module, without the guards on its inputs' shapes, which are fixed."""
    module: fx.GraphModule = exported.module()
    for guard in module.graph.find_nodes(op="call_module"):
        module.graph.erase_node(guard)
    module.recompile()
    return module


def _nodes(module: fx.GraphModule) -> list[fx.Node]:
    return [node for node in module.graph.nodes if node.op != "output"]


def _computed(nodes: list[fx.Node]) -> set[fx.Node]:
    """What depends on the inputs; the rest is constant."""
    found: set[fx.Node] = set()
    for node in nodes:
        if node.op == "call_function" and any(
            n.op == "placeholder" or n in found for n in node.all_input_nodes
        ):
            found.add(node)
    return found


def _stack(node: fx.Node) -> tuple[tuple[str, str], ...]:
    entries = node.meta.get("nn_module_stack", {}).values()
    found = tuple((str(path), _class(kind)) for path, kind in entries)
    return found or (("", "the model"),)


def _class(kind: Any) -> str:
    name = kind if isinstance(kind, str) else kind.__qualname__
    return name.rpartition(".")[2]


def steps_of(*, program: str) -> list[dict[str, Any]]:
    """`steps` of a saved program, as plain values; runs in a child process, as does `write`."""
    return [vars(step) for step in steps(Program.load(Path(program)).exported)]


def write(
    *,
    program: str,
    step: dict[str, Any],
    piece_file: str,
    reference_file: str,
    preprocess: dict[str, Any] | None,
    precision: str,
) -> list[str] | None:
    """Save the piece up to `step` and its reference; its outputs' names, or None for no piece."""
    cut = piece(Program.load(Path(program)), Step.from_dict(step))
    if cut is None:
        return None
    cut.save(Path(piece_file))
    chosen = Preprocess.from_dict(preprocess) if preprocess else None
    reference(cut, preprocess=chosen, precision=precision).save(Path(reference_file))
    return [port.name for port in cut.facts.outputs]
