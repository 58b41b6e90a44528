"""TFLite's flatbuffer: operators in order, and the partitions that XNNPACK will make of them.

The file does not say what the delegate takes, so the rules of reasons.py decide per operator, and
the partitions are found the way LiteRT does: run everything of one kind that is ready, then the
other kind. Where the runtime is there and loads the file, its own count is held against ours.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

from edgevit import sandbox
from edgevit.errors import EdgevitError

from . import cost
from .explanation import Explanation, Node
from .flatbuffer import Tensor, parse
from .reasons import TFLITE_PARTS, tflite_cures, tflite_reason

SAID = (
    "LiteRT decides when it loads a .tflite which operators XNNPACK takes; this is what its rules "
    "say for this file."
)
WIDTHS = {"FLOAT16": 2, "BFLOAT16": 2, "INT16": 2, "UINT16": 2, "INT8": 1, "UINT8": 1, "BOOL": 1}
WIDTHS |= {"INT64": 8, "FLOAT64": 8, "UINT64": 8}
Wires = tuple[list[int], list[int]]  # the numbers of the tensors that go in, and come out
FACTORS = {"RESHAPE": 0.0, "EXPAND_DIMS": 0.0, "SQUEEZE": 0.0}  # they change no data


def explain(file: Path) -> Explanation:
    nodes, wires, others = read(file)
    placed = _partitions(nodes, wires)
    remarks = [f"{others} further graphs in it are not explained"] if others else []
    remarks += _as_the_runtime(file, len({n.partition for n in placed} - {None}))
    return Explanation(file.name, "tflite", "XNNPACK", placed, SAID, tuple(remarks))


def read(file: Path) -> tuple[list[Node], list[Wires], int]:
    """The operators in the file's order with their tensors, and how many further graphs it has."""
    graph = parse(file)
    maker = {r: o.name for o in graph.operators for r in o.results}
    readers: dict[int, set[str]] = {}
    for o in graph.operators:
        for s in o.sources:
            readers.setdefault(s, set()).add(o.name)

    def origin(number: int) -> str:
        tensor = graph.tensors[number]
        return f"constant {tensor.dtype}" if tensor.constant else maker.get(number, "input")

    nodes = [
        replace(
            _node(o.name, *([graph.tensors[n] for n in ns] for ns in (o.sources, o.results))),
            reads=tuple(sorted({origin(s) for s in o.sources})),
            then=tuple(sorted({op for r in o.results for op in readers.get(r, ())})),
        )
        for o in graph.operators
    ]
    return nodes, [(list(o.sources), list(o.results)) for o in graph.operators], graph.others


def _node(op: str, sources: Sequence[Tensor], results: Sequence[Tensor]) -> Node:
    out = results[0] if results else Tensor("", (), "FLOAT32", False)
    parts = len(results) if op == "SPLIT" else len(sources)
    reason = tflite_reason(
        op,
        dtype=out.dtype,
        rank=max([0, *(len(t.shape) for t in (*sources, *results))]),
        parts=parts if op in TFLITE_PARTS else 0,
    )
    if op == "DEQUANTIZE" and sources and sources[0].constant:
        reason = ""  # of stored fp16 weights: unpacked once
    sizes = [(t.shape, WIDTHS.get(t.dtype, 4)) for t in (*sources, *results)]
    macs, factor = _macs(op, sources, out), FACTORS.get(op, 1.0)
    moved_bytes = cost.size_bytes(sizes)
    if op == "DEPTHWISE_CONV_2D":
        factor = cost.depthwise_factor(prod(sources[1].shape[1:3]))
    return Node(
        op=op,
        shape=out.shape,
        module=module_path(out.name),
        partition=None,
        seconds=cost.seconds(
            macs=macs,
            size_bytes=moved_bytes,
            factor=factor * (cost.BUILT_IN if reason else 1.0),
        ),
        reason=reason,
        cures=tflite_cures(op) if reason else (),
        dtype=out.dtype,
        inputs=tuple(t.shape for t in sources if not t.constant),
        macs=macs,
        size_bytes=moved_bytes,
    )


def _macs(op: str, sources: Sequence[Tensor], out: Tensor) -> float:
    """Multiplications; filters are [out, height, width, in], depthwise ones [1, h, w, out]."""
    match op:
        case "CONV_2D":
            return prod(out.shape) * prod(sources[1].shape[1:])
        case "DEPTHWISE_CONV_2D":
            return prod(out.shape) * prod(sources[1].shape[1:3])
        case "TRANSPOSE_CONV":
            return prod(sources[2].shape) * prod(sources[1].shape[:3])
        case "FULLY_CONNECTED" | "BATCH_MATMUL":
            return prod(out.shape) * sources[0].shape[-1]
    return 0.0


def module_path(name: str) -> str:
    """litert-torch's "pkg.Net/pkg.Sequential_blocks/pkg.Block_0;…" as "blocks.0"."""
    for one in name.split(";"):
        steps = [step.rpartition(".")[2].partition("_") for step in one.split("/")]
        path = [attribute for _, found, attribute in steps if found]
        if "." in one and path:
            return ".".join(path)
    return ""


def _partitions(nodes: Sequence[Node], wires: Sequence[Wires]) -> tuple[Node, ...]:
    """The nodes with their partitions, in the order in which LiteRT then runs them."""
    produced = {r for _, results in wires for r in results}
    ready: set[int] = set()
    waiting = list(range(len(nodes)))
    ordered: list[Node] = []
    partition, inside, idle = 0, False, 0
    while waiting:
        left = []
        for i in waiting:
            sources, results = wires[i]
            if (nodes[i].reason == "") == inside and produced.intersection(sources) <= ready:
                ready.update(results)
                ordered.append(replace(nodes[i], partition=partition if inside else None))
            else:
                left.append(i)
        ran = len(left) < len(waiting)
        idle = 0 if ran else idle + 1
        if idle == 2:
            raise ValueError("its operators wait for each other")
        partition += inside and ran
        waiting, inside = left, not inside
    return tuple(ordered)


def _as_the_runtime(file: Path, ours: int) -> list[str]:
    """What the runtime itself does with the file, in a child of its own, where that differs."""
    from ..culprit import trace
    from ..refusals import told

    try:
        found = sandbox.run("edgevit.converters.lowering:placement", target="tflite", file=file)
    except EdgevitError as e:
        said = told(str(e), where=trace(target="tflite", file=str(file), said=str(e)))
        return [f"the runtime on this machine does not load the file: {said}"]
    theirs = found["partitions"] if found else ours
    return [] if theirs == ours else [f"the runtime on this machine makes {theirs} partitions"]
