"""Core ML's .mlpackage: its ML Program's operators; the device alone decides where they run."""

from math import prod
from pathlib import Path
from typing import Any

from . import cost
from .explanation import Explanation, Node

SAID = (
    "Core ML places operators on CPU, GPU and Neural Engine when the device loads the file; no "
    "other system can tell. Shares are of one CPU core, and the file holds no module paths."
)
FREE = ("reshape", "expand_dims", "squeeze", "identity")
WIDTHS = {"FLOAT16": 2, "INT8": 1, "UINT8": 1, "BOOL": 1, "INT16": 2, "UINT16": 2}
Shapes = dict[str, tuple[tuple[int, ...], int]]  # value → shape, bytes per element


def explain(file: Path) -> Explanation:
    from coremltools.proto import MIL_pb2, Model_pb2

    (found,) = sorted(file.rglob("*.mlmodel"))[:1] or [file / "model.mlmodel"]
    spec = Model_pb2.Model()
    spec.ParseFromString(found.read_bytes())
    if spec.WhichOneof("Type") != "mlProgram":
        raise ValueError(f"it holds a {spec.WhichOneof('Type')}, only ML Programs are explained")
    functions = spec.mlProgram.functions
    name = "main" if "main" in functions else min(functions)
    function = functions[name]
    block = function.block_specializations[function.opset]

    def described(kind: Any) -> tuple[tuple[int, ...], int]:
        tensor = kind.tensorType
        dtype = MIL_pb2.DataType.Name(tensor.dataType)
        shape = tuple(int(d.constant.size) or 1 for d in tensor.dimensions)
        return shape, WIDTHS.get(dtype, 4)

    shapes: Shapes = {i.name: described(i.type) for i in function.inputs}
    nodes = []
    for operation in block.operations:
        shapes |= {o.name: described(o.type) for o in operation.outputs}
        if operation.type != "const" and not operation.type.startswith("constexpr"):
            nodes.append(_node(operation, shapes))
    remarks = () if len(functions) == 1 else (f"function {name!r} of {', '.join(functions)}",)
    return Explanation(file.name, "coreml", None, tuple(nodes), SAID, remarks)


def _node(operation: Any, shapes: Shapes) -> Node:
    sources = {
        key: [a.name for a in value.arguments if a.name in shapes]
        for key, value in operation.inputs.items()
    }

    def shape_of(key: str) -> tuple[int, ...]:
        return shapes[sources[key][0]][0] if sources.get(key) else ()

    used = [shapes[n] for names in sources.values() for n in names]
    used += [shapes[o.name] for o in operation.outputs]
    shape = shapes[operation.outputs[0].name][0] if operation.outputs else ()
    macs = 0.0
    match operation.type:
        case "conv":
            macs = prod(shape) * prod(shape_of("weight")[1:])
        case "conv_transpose":
            macs = prod(shape_of("x")) * prod(shape_of("weight")[1:])
        case "linear":
            macs = prod(shape) * prod(shape_of("weight")[-1:])
        case "matmul":
            macs = prod(shape) * prod(shape_of("x")[-1:])
    return Node(
        op=operation.type,
        shape=shape,
        module="",
        partition=None,
        seconds=cost.seconds(
            macs=macs,
            size_bytes=cost.size_bytes(used),
            factor=0.0 if operation.type in FREE else 1.0,
        ),
    )
