"""Which operator of which module a runtime refused, read from the file that it refused.

    failed to delegate FULLY_CONNECTED node #3      TFLite: the operator's place in the file
    Node number 3 (GATHER) failed to prepare        the same, of one outside the delegate
    KernelCall failed at instruction 0:1 in ...     .pte: chain and instruction
    Failed to create convolution node 7 with code   .pte: a debug handle in a graph of XNNPACK's
    Failed to define tensor 12 with code            .pte: what gives that tensor, in one graph
    CALL_DELEGATE execute failed at instruction 4   .pte: a graph of XNNPACK's as a whole

Nothing is guessed: where the file holds something else at that place, or several things, the
runtime's own word for the operator stands alone.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .explain.reasons import RANK

if TYPE_CHECKING:
    from .explain.explanation import Node
    from .explain.pte import Placed

_DELEGATED = re.compile(r"failed to delegate (?P<op>\w+) node #(?P<at>\d+)")
_PREPARED = re.compile(r"Node number (?P<at>\d+) \((?P<op>(?!TfLite)\w+)\) failed to \w+")
_KERNEL = re.compile(r"KernelCall failed at instruction (\d+):(\d+) in operator (?:aten::)?(\w+)")
_CREATED = re.compile(r"Failed to create (?P<op>[\w ]+?) node (?P<at>\d+),? with code")
_DEFINED = re.compile(r"Failed to define tensor (\d+) with code")
_CALLED = re.compile(r"CALL_DELEGATE execute failed at instruction (\d+)")
_MISSING = re.compile(r"Missing operator: \[\d+\] (?:aten::)?(\w+)")
_ALL = (_DELEGATED, _PREPARED, _KERNEL, _CREATED, _DEFINED, _CALLED, _MISSING)


def traceable(said: str) -> bool:
    """Whether `trace` would find anything in these words of a runtime."""
    return any(pattern.search(said) for pattern in _ALL)


def trace(*, target: str, file: str, said: str) -> str | None:
    """ "XNNPACK refused CONV_2D [1, 8, 8, 4] in stem.conv", None where `said` names nothing.

    Reads the file, so callers run it in a child.
    """
    if target == "tflite":
        return _in_tflite(Path(file), said)
    return _in_pte(Path(file), said) if target == "executorch" else None


def _in_tflite(file: Path, said: str) -> str | None:
    from .explain.tflite import read

    found = _DELEGATED.search(said) or _PREPARED.search(said)
    if not found:
        return None
    nodes, _, others = read(file)
    at, op = int(found["at"]), found["op"]
    # With several graphs, nobody knows in which of them the place is.
    known = not others and at < len(nodes) and nodes[at].op == op
    who = "LiteRT's delegate" if found.re is _DELEGATED else "LiteRT"
    return f"{who} refused {_named(nodes[at]) if known else op}"


def _in_pte(file: Path, said: str) -> str | None:
    from .explain.pte import read

    if not traceable(said):
        return None
    operators = read(file)
    if found := _CREATED.search(said):
        there = [p.node for p in operators if p.handle == int(found["at"])]
        return f"XNNPACK refused {_one_of(there, found['op'])}"
    if found := _DEFINED.search(said):
        there = [p.node for p in operators if p.result == int(found[1])]
        there = [node for node in there if len(node.shape) > RANK] or there  # the usual reason
        return f"XNNPACK refused the output of {_named(there[0])}" if len(there) == 1 else None
    if found := _KERNEL.search(said):
        at = (int(found[1]), int(found[2]))
        there = [p.node for p in operators if p.at == at and p.node.partition is None]
        return f"ExecuTorch refused {_one_of(there, found[3])}"
    if found := _CALLED.search(said):
        return _whole(operators, int(found[1]))
    if found := _MISSING.search(said):
        there = [p.node for p in operators if p.node.op.partition(".")[0] == found[1]]
        return f"ExecuTorch has no kernel for {_one_of(there, found[1])}"
    return None


def _whole(operators: "Sequence[Placed]", instruction: int) -> str | None:
    """Of a delegate call that failed: its operator, or its first and last module."""
    there = [p.node for p in operators if p.at[1] == instruction and p.node.partition is not None]
    own = [node for node in there if node.module] or there  # the rest are changes of layout
    if len(own) == 1:
        return f"XNNPACK refused {_named(own[0])}"
    if not own:
        return None
    ends = list(dict.fromkeys(node.module for node in (own[0], own[-1]) if node.module))
    where = f", {' to '.join(ends)}" if ends else ""
    return f"XNNPACK refused its graph {own[0].partition} of {len(there)} operators{where}"


def _one_of(nodes: "Sequence[Node]", op: str) -> str:
    """The node if it is the only one; else the runtime's word for it, in the module if that is."""
    if len(nodes) == 1:
        return _named(nodes[0])
    modules = {node.module for node in nodes}
    return f"{op} in {modules.pop()}" if len(modules) == 1 and "" not in modules else op


def _named(node: "Node") -> str:
    where = f" in {node.module}" if node.module else ""
    return f"{node.op} {list(node.shape)}{where}"
