"""The engine: rules turn a graph into an equal one, until none applies any more.

A rule is a function of the graph and a node whose operator it is registered for. It returns the
node that takes the old one's place, None where it has nothing to say, or raises Refused with the
reason why what it looks for is there but cannot be rewritten.

    @rule(aten.elu.default)
    def elu_by_clamps(g: Graph, node: Node) -> Node | None: ...
"""

import importlib
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from edgevit.lookup import lookup

from . import FILES
from .graph import Graph, module_path

PASSES = 60  # a graph that is not at rest by then has two rules that undo each other


class Refused(Exception):
    """Why a rule leaves a node alone that it could have been meant for."""


@dataclass(frozen=True)
class Rule:
    """name: the function's. ops: the operators of the nodes it is called on."""

    name: str
    ops: frozenset[Any]
    apply: Callable[[Graph, Node], Node | None]

    @property
    def summary(self) -> str:
        """The first line of its documentation."""
        return (self.apply.__doc__ or "").strip().partition("\n")[0]


Offers = dict[Any, list[Rule]]  # operator → the rules that nodes of it are offered to
Refusals = dict[tuple[Node, Rule], str]  # why


def rules(names: Sequence[str]) -> list[Rule]:
    """The rules of this folder that `names` names, one by one or by their files, in order."""
    files = {n: importlib.import_module(f"{__package__}.{n}").RULES for n in FILES}
    known = {rule.name: n for n, found in files.items() for rule in found} | {n: n for n in FILES}
    for name in names:
        lookup("rewrite", name, known)
    return [r for n, found in files.items() for r in found if n in names or r.name in names]


def rule(*ops: Any) -> Callable[[Callable[[Graph, Node], Node | None]], Rule]:
    """Register a function for nodes of these operators."""
    return lambda function: Rule(function.__name__, frozenset(ops), function)


@dataclass(frozen=True)
class Report:
    """applied: rule → how often. refused: (rule, module path, reason), each once.

    left_alone: why the program was not rewritten at all, or None.
    """

    applied: dict[str, int] = field(default_factory=dict)
    refused: tuple[tuple[str, str, str], ...] = ()
    left_alone: str | None = None


def rewrite(exported: ExportedProgram, rules: Sequence[Rule]) -> tuple[ExportedProgram, Report]:
    """An equal program in which no rule applies any more, and what was done.

    A program that writes its buffers or inputs, or that a rule stumbles over, comes back as it was.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain = exported.run_decompositions({})  # in-place operators become plain ones
            signature = plain.graph_signature
            if signature.buffers_to_mutate or signature.user_inputs_to_mutate:
                return exported, Report(left_alone="the model writes to its buffers or inputs")
            graph = Graph(plain.module())  # type: ignore[arg-type]
            report = _until_at_rest(graph, rules)
            if not report.applied:
                return exported, report
            graph.module.graph.lint()
            graph.module.recompile()
            inputs, _ = exported.example_inputs
            return torch.export.export(graph.module, inputs), report
    except Exception as e:
        reason = " ".join(str(e).split())[:300]
        return exported, Report(left_alone=f"{type(e).__name__}: {reason}")


def _until_at_rest(graph: Graph, rules: Sequence[Rule]) -> Report:
    """Apply the rules, those of a further file whenever those before it have nothing to say."""
    known: Offers = {}
    applied: Counter[str] = Counter()
    refused: Refusals = {}
    _sweep(graph)
    for _, joining in groupby(rules, key=lambda r: r.apply.__module__):
        new: Offers = {}
        for r in joining:
            for op in r.ops:
                new.setdefault(op, []).append(r)
                known.setdefault(op, []).append(r)
        _rounds(graph, new, known, applied, refused)
    _sweep(graph)
    standing = {
        (r.name, module_path(node), why): None
        for (node, r), why in refused.items()
        if not node._erased
    }
    return Report(dict(applied), tuple(standing))


def _rounds(
    graph: Graph, new: Offers, known: Offers, applied: Counter[str], refused: Refusals
) -> None:
    """Offer every node to its operator's rules in turn, until all were since the last change.

    Before the first change only `new` ones are asked: the others have had nothing to say of it.
    """
    nodes, offers, unchanged = graph.module.graph.nodes, new, 0
    for _ in range(PASSES):
        for node in list(nodes):
            if unchanged == len(nodes):
                return
            if node._erased:
                continue
            unchanged += 1
            if _rewritten(graph, node, offers.get(node.target, ()), applied, refused):
                offers, unchanged = known, 0
    if unchanged < len(nodes):
        raise RecursionError(f"the rules do not come to rest: {applied.most_common(4)}")


def _rewritten(
    graph: Graph, node: Node, rules: Sequence[Rule], applied: Counter[str], refused: Refusals
) -> bool:
    """Whether one of the rules, first come first served, put something in the node's place."""
    for r in rules if node.op == "call_function" else ():
        refused.pop((node, r), None)  # only what still stands at the end
        try:
            new = r.apply(graph.at(node), node)
        except Refused as e:
            refused[node, r] = str(e)
            continue
        if new is not None and new is not node:
            applied[r.name] += 1
            node.replace_all_uses_with(new)
            erase(graph, node)
            return True
    return False


def erase(graph: Graph, node: Node) -> None:
    """Remove a node that nothing uses, and what only it used."""
    stack = [node]
    while stack:
        dead = stack.pop()
        if dead._erased or dead.users or dead.op in ("placeholder", "output"):
            continue
        stack += dead.all_input_nodes
        graph.module.graph.erase_node(dead)


def _sweep(graph: Graph) -> None:
    """Remove what nothing uses, weights too; guards on the inputs' shapes too, which are fixed."""
    for node in reversed(list(graph.module.graph.nodes)):
        if node.op == "call_module" and not node.users:
            graph.module.graph.erase_node(node)
    graph.module.graph.eliminate_dead_code()
    graph.forget_unused()
