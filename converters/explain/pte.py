"""ExecuTorch's .pte: chains of kernel and delegate calls, and the graphs inside XNNPACK's blobs."""

import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from . import cost
from .explanation import Explanation, Node
from .reasons import executorch_cures, executorch_reason

SAID = "A .pte calls delegates and kernels in turn; each change is a partition boundary."
NO_PATHS = "it names no modules; one that edgevit converts does"
HEADER = b"XH00"  # at byte 4: a header tells where in the blob the graph's flatbuffer lies
NONE = 65535  # XNNPACK's debug handle of what the converter put in between
BYTES = {"fp16": 2, "bf16": 2, "qint8": 1, "quint8": 1, "qcint8": 1, "qdint8": 1, "qpint8": 1}
BYTES |= {"qcint4": 1, "qbint4": 1}  # half of one
WIDTHS = {"BYTE": 1, "CHAR": 1, "BOOL": 1, "SHORT": 2, "HALF": 2, "BFLOAT16": 2, "LONG": 8}
WIDTHS |= {"DOUBLE": 8}
FLOATS = ("FLOAT", "HALF", "BFLOAT16")
PRODUCTS = ("mm", "bmm", "addmm", "linear", "matmul")


@dataclass(frozen=True)
class Placed:
    """A node, the chain and instruction that run it, and its names inside XNNPACK's graph.

    handle: its debug handle there. result: the number of its output there.
    """

    node: Node
    at: tuple[int, int]
    handle: int | None = None
    result: int | None = None


def explain(file: Path) -> Explanation:
    program, plan = _plan(file)
    remarks = []
    if len(program.execution_plan) > 1:
        methods = sorted(p.name for p in program.execution_plan)
        remarks.append(f"method {plan.name!r} of {', '.join(methods)}")
    unknown = sorted({d.id for d in plan.delegates if "Xnnpack" not in d.id})
    if unknown:
        remarks.append(f"what is inside {', '.join(unknown)} cannot be read: no share for it")
    nodes = [placed.node for placed in _placed(program, plan)]
    if not any(n.module for n in nodes):
        remarks.append(NO_PATHS)
    large = sum(n.op.startswith("DepthwiseConv2d (") for n in nodes)
    if large:
        remarks.append(
            f"{large} depthwise convolutions have more than {cost.TAPS} taps, for which XNNPACK "
            "has a slow kernel only; the rewrite depthwise_in_rows would cure it"
        )
    names = {d.id.removesuffix("Backend").upper() for d in plan.delegates} or {"XNNPACK"}
    return Explanation(
        file.name, "executorch", "+".join(sorted(names)), tuple(nodes), SAID, tuple(remarks)
    )


def read(file: Path) -> list[Placed]:
    """Every operator in the file, in order of execution."""
    return list(_placed(*_plan(file)))


def constants(file: Path) -> Iterable[tuple[str, int]]:
    """Of each constant, type and count of numbers: XNNPACK's name for it, or ExecuTorch's."""
    program, plan = _plan(file)
    for graph in _xnn_graphs(program, plan):
        for x in graph.get("xvalues", []):
            value = x["xvalue_union"].get("tensor_value", x["xvalue_union"])
            if value["constant_buffer_idx"]:
                yield _datatype(value), prod(value.get("dims", []))
    for value in (v.val for v in plan.values):
        if type(value).__name__ == "Tensor" and value.data_buffer_idx:
            yield value.scalar_type.name, prod(value.sizes)


def _plan(file: Path) -> tuple[Any, Any]:
    """The program and its method `forward`, or the first."""
    from executorch.exir._serialize._program import deserialize_pte_binary

    program = deserialize_pte_binary(file.read_bytes()).program
    plans = {plan.name: plan for plan in program.execution_plan}
    return program, plans.get("forward") or program.execution_plan[0]


def _placed(program: Any, plan: Any) -> Iterable[Placed]:
    graphs = _xnn_graphs(program, plan)
    partition = -1
    for c, chain in enumerate(plan.chains):
        for i, instruction in enumerate(chain.instructions):
            call = instruction.instr_args
            frames = chain.stacktrace[i].items if chain.stacktrace else []
            match type(call).__name__:
                case "DelegateCall":
                    partition += 1
                    paths = {f.lineno: f.name for f in frames if not f.filename}
                    graph = graphs[call.delegate_index]
                    if not graph.get("xnodes"):
                        opaque = plan.delegates[call.delegate_index].id
                        yield Placed(Node(opaque, (), "", partition, 0.0), (c, i))
                    for node, handle, result in _inside(graph, partition):
                        named = replace(node, module=paths.get(handle, ""))
                        yield Placed(named, (c, i), handle if handle != NONE else None, result)
                case "KernelCall":
                    yield Placed(_outside(plan, call, _where(frames)), (c, i))


def _where(frames: list[Any]) -> str:
    """The module that edgevit wrote there, see pte_paths, or a line of the user's code."""
    if not frames:
        return ""
    last = frames[-1]
    return f"{Path(last.filename).name}:{last.lineno}" if last.filename else str(last.name)


def _outside(plan: Any, call: Any, where: str) -> Node:
    operator = plan.operators[call.op_index]
    name = operator.name.rpartition("::")[2]
    overload = operator.overload.removesuffix("out").removesuffix("_")
    tensors = list(_tensors(plan, call.args))
    result = _result(tensors)
    shape = tuple(result.sizes) if result else ()
    dtypes = [t.scalar_type.name for t in tensors]
    sizes = [(t.sizes, WIDTHS.get(t.scalar_type.name, 4)) for t in _once(tensors)]
    macs = 0.0
    if name in PRODUCTS and len(tensors) > 1:
        operands = [t for t in tensors if len(t.sizes) > 1]
        macs = prod(shape) * operands[0].sizes[-1] if operands else 0.0
    elif name == "convolution" and len(tensors) > 1:
        macs = prod(shape) * prod(tensors[1].sizes[1:])
    factor = cost.PORTABLE_OPS.get(name, cost.PORTABLE)
    moved_bytes = cost.size_bytes(sizes)
    odd = next((d.lower() for d in dtypes if d not in FLOATS), None)
    full = f"{name}.{overload}" if overload else name
    return Node(
        op=full,
        shape=shape,
        module=where,
        partition=None,
        seconds=cost.seconds(macs=macs, size_bytes=moved_bytes, factor=factor),
        reason=executorch_reason(full, odd_dtype=odd, rank=max([0, *(len(s) for s, _ in sizes)])),
        cures=executorch_cures(full),
        macs=macs,
        size_bytes=moved_bytes,
    )


def _tensors(plan: Any, indices: Iterable[int]) -> Iterable[Any]:
    """The tensors among a call's arguments, lists of them included, in order."""
    for index in indices:
        value = plan.values[index].val
        if type(value).__name__ == "Tensor":
            yield value
        elif type(value).__name__ in ("TensorList", "OptionalTensorList"):
            yield from _tensors(plan, (i for i in value.items if i >= 0))


def _result(tensors: list[Any]) -> Any:
    """The first output: an out variant names its outputs last, then again as what it returns."""
    for count in range(1, len(tensors) // 2 + 1):
        named, returned = tensors[-2 * count : -count], tensors[-count:]
        if all(a is b for a, b in zip(named, returned, strict=True)):
            return returned[0]
    return tensors[-1] if tensors else None


def _once(tensors: Iterable[Any]) -> list[Any]:
    return list({id(t): t for t in tensors}.values())


def _inside(graph: dict[str, Any], partition: int) -> Iterable[tuple[Node, int, int]]:
    """The nodes of an XNNPACK graph with debug handles and outputs, from flatc's JSON."""
    values: dict[int, tuple[list[int], int]] = {}
    for x in graph.get("xvalues", []):
        value = x["xvalue_union"]
        value = value.get("tensor_value", value)
        values[value["id_out"]] = (value.get("dims", []), BYTES.get(_datatype(value), 4))
    for x in graph.get("xnodes", []):
        op, node = x["xnode_union_type"].removeprefix("XNN"), x["xnode_union"]
        # 2**32 - 1 is "no tensor", of a missing bias.
        used = [values[node[k]] for k in sorted(node) if k.endswith("_id") and node[k] in values]
        shape = values.get(node.get("output_id", -1), ([], 4))[0]
        window = prod(node.get(f"{k}_height", 1) * node.get(f"{k}_width", 1) for k in _KERNELS)
        factor, macs = 1.0, 0.0
        if op == "FullyConnected":
            macs = prod(shape) * values[node["filter_id"]][0][-1]
        elif op == "BatchMatrixMultiply":
            macs = prod(shape) * values[node["input1_id"]][0][-1]
        elif op == "ConvTranspose2d":
            sources = prod(values[node["input1_id"]][0])
            macs = sources * node["group_output_channels"] * window
        elif op == "DepthwiseConv2d":
            macs, factor = prod(shape) * window, cost.depthwise_factor(window)
            op += f" ({window} taps)" if factor > 1 else ""
        elif op == "Conv2d":
            macs = prod(shape) * node["group_input_channels"] * window
        elif window > 1:  # poolings
            macs = prod(shape) * window
        moved_bytes = cost.size_bytes(used)
        spent = cost.seconds(macs=macs, size_bytes=moved_bytes, factor=factor)
        made = Node(op, tuple(shape), "", partition, spent, macs=macs, size_bytes=moved_bytes)
        yield made, x["debug_handle"], node.get("output_id", -1)


def _datatype(value: dict[str, Any]) -> str:
    return str(value["datatype"]).removeprefix("xnn_datatype_")


_KERNELS = ("kernel", "pooling")


def _xnn_graphs(program: Any, plan: Any) -> list[dict[str, Any]]:
    """Each delegate's graph as plain values, by the schema and flatc that come with ExecuTorch."""
    from executorch.backends.xnnpack.serialization import xnnpack_graph_serialize as xnn
    from executorch.exir._serialize._flatbuffer import _run_flatc

    blobs = [
        program.backend_delegate_data[d.processed.index].data if "Xnnpack" in d.id else b""
        for d in plan.delegates
    ]
    graphs: list[dict[str, Any]] = [{} for _ in blobs]
    with tempfile.TemporaryDirectory(prefix="edgevit-") as scratch:
        folder = Path(scratch)
        (folder / "schema.fbs").write_bytes(xnn._get_schema_bytes())
        written = []
        for i, blob in enumerate(blobs):
            if not blob:
                continue
            if blob[4:8] == HEADER:
                header = xnn.XNNHeader.from_bytes(blob[: xnn.XNNHeader.EXPECTED_LENGTH])
                start = header.flatbuffer_offset
                blob = blob[start : start + header.flatbuffer_size]
            written.append(folder / f"graph{i}.bin")
            written[-1].write_bytes(blob)
        if written:
            options = ["--json", "--defaults-json", "--strict-json", "--raw-binary", "-o", scratch]
            _run_flatc([*options, str(folder / "schema.fbs"), "--", *map(str, written)])
        for file in written:
            index = int(file.stem.removeprefix("graph"))
            text = file.with_suffix(".json").read_text(encoding="utf-8")
            # flatc writes the bounds of a ReLU as C does, which is no JSON.
            graphs[index] = json.loads(re.sub(r": (-?)inf\b", r": \1Infinity", text))
    return graphs
