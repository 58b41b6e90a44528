"""ONNX: the file's own nodes; ONNX Runtime's CPU provider computes them all, after fusing some."""

import ast
from math import prod
from pathlib import Path
from typing import Any

from . import cost
from .explanation import Explanation, Node

SAID = (
    "ONNX Runtime's CPU provider has no delegate: it computes every operator itself, so nothing "
    "can fall out. Shares are of the file's operators; the runtime fuses some when it loads them."
)
SCOPES, NAMESPACE = "pkg.torch.onnx.name_scopes", "namespace"
FREE = ("Constant", "Reshape", "Identity", "Flatten", "Squeeze", "Unsqueeze", "Shape")
Shapes = dict[str, tuple[tuple[int, ...], int]]  # tensor → shape, bytes per element


def explain(file: Path) -> Explanation:
    import onnx

    model = onnx.load(file, load_external_data=False)
    if not model.graph.node:
        raise ValueError("its graph has no operators")
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except ValueError:  # above 2 GB: what the exporter wrote has to do
        graph = model.graph
    shapes = _shapes(graph, onnx.helper.tensor_dtype_to_np_dtype)
    nodes = tuple(_node(node, shapes) for node in graph.node if node.op_type != "Constant")
    remarks = []
    if any(n.output[0] not in shapes for n in graph.node if n.output):
        remarks.append("some shapes are not in the file: their operators count as nothing")
    if any(a.HasField("g") for n in graph.node for a in n.attribute):
        remarks.append("graphs inside If, Loop and Scan are not explained")
    return Explanation(file.name, "onnx", None, nodes, SAID, tuple(remarks))


def _shapes(graph: Any, numpy_dtype: Any) -> Shapes:
    found: Shapes = {}
    for info in (*graph.input, *graph.value_info, *graph.output):
        tensor = info.type.tensor_type
        if tensor.elem_type and tensor.HasField("shape"):
            shape = tuple(int(d.dim_value) or 1 for d in tensor.shape.dim)
            found[info.name] = shape, _width(tensor.elem_type, numpy_dtype)
    for weights in graph.initializer:
        found[weights.name] = tuple(weights.dims), _width(weights.data_type, numpy_dtype)
    return found


def _width(kind: int, numpy_dtype: Any) -> int:
    """Bytes per element; text and types that numpy lacks count as four."""
    try:
        return int(numpy_dtype(kind).itemsize) or 4
    except (KeyError, ValueError, TypeError):
        return 4


def _node(node: Any, shapes: Shapes) -> Node:
    used = [shapes[name] for name in (*node.input, *node.output) if name in shapes]
    sources = [shapes.get(name, ((), 4))[0] for name in node.input]
    shape = shapes.get(next(iter(node.output), ""), ((), 4))[0]
    macs = 0.0
    match node.op_type:
        case "Conv" | "ConvInteger" | "QLinearConv":
            macs = prod(shape) * prod(sources[1][1:])
        case "ConvTranspose":
            macs = prod(sources[0]) * prod(sources[1][1:])
        case "Gemm" | "MatMul" | "MatMulInteger" if sources[0]:
            macs = prod(shape) * sources[0][-1]
    moved_bytes = cost.size_bytes(used)
    return Node(
        op=node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}",
        shape=shape,
        module=module_path({p.key: p.value for p in node.metadata_props}),
        partition=None,
        seconds=cost.seconds(
            macs=macs,
            size_bytes=moved_bytes,
            factor=0.0 if node.op_type in FREE else 1.0,
        ),
        macs=macs,
        size_bytes=moved_bytes,
    )


def module_path(metadata: dict[str, str]) -> str:
    """Of what torch's exporter notes of a node: its scopes, the last of which is the operator's."""
    try:
        scopes = ast.literal_eval(metadata.get(SCOPES, "[]"))
        return str(scopes[-2]) if len(scopes) > 1 else ""
    except (ValueError, SyntaxError, TypeError):
        steps = metadata.get(NAMESPACE, "").split("/")
        return steps[-2].partition(":")[0] if len(steps) > 1 else ""
