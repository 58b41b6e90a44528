"""Core ML's .mlpackage: its ML Program's operators; the device alone decides where they run.

Constants are called after the parameters they were, p_blocks_0_mlp_fc1_weight, and what coremltools
appends. An operator's module is that of the weight it reads, else of the nearest one before it, as
"blocks_0_mlp_fc1": which of the underscores were dots cannot be told.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from ..mil.protobuf import classes
from . import cost
from .explanation import Explanation, Node

SAID = (
    "Core ML places operators on CPU, GPU and Neural Engine when the device loads the file; no "
    "other system can tell. Shares are of one CPU core; modules are told from names of weights."
)
FREE = ("reshape", "expand_dims", "squeeze", "identity")
WIDTHS = {"FLOAT16": 2, "INT8": 1, "UINT8": 1, "BOOL": 1, "INT16": 2, "UINT16": 2}
WEIGHT = re.compile(r"(?:p_|b_|var_)?(.*?)_?(?:weight|bias|gamma|beta|running_mean|running_var)")
APPENDED = re.compile(r"(?:_to_fp16|_quantized|_palettized|_sparsified)+$")


@dataclass(frozen=True)
class Value:
    """origin: as Node.reads has it. module: of the nearest weight. numbers: of small constants."""

    shape: tuple[int, ...]
    dtype: str
    origin: str
    module: str = ""
    constant: bool = False
    numbers: tuple[int, ...] = ()

    @property
    def size(self) -> tuple[tuple[int, ...], int]:
        return self.shape, WIDTHS.get(self.dtype, 4)


def explain(file: Path) -> Explanation:
    (found,) = sorted(file.rglob("*.mlmodel"))[:1] or [file / "model.mlmodel"]
    spec = classes().Model_pb2.Model()
    spec.ParseFromString(found.read_bytes())
    if spec.WhichOneof("Type") != "mlProgram":
        raise ValueError(f"it holds a {spec.WhichOneof('Type')}, only ML Programs are explained")
    functions = spec.mlProgram.functions
    called = "main" if "main" in functions else min(functions)
    function = functions[called]
    block = function.block_specializations[function.opset]
    images = {i.name for i in spec.description.input if i.type.WhichOneof("Type") == "imageType"}
    values = {i.name: _value(i, "image" if i.name in images else "input") for i in function.inputs}
    nodes: list[Node] = []
    readers: dict[str, set[str]] = {}
    for operation in block.operations:
        names = [a.name for _, v in sorted(operation.inputs.items()) for a in v.arguments]
        for name in names:
            readers.setdefault(name, set()).add(operation.type)
        read = [values[n] for n in names if n in values]
        values |= {o.name: _result(operation, o, read) for o in operation.outputs}
        if not _is_constant(operation):
            # The names of its results, until it is known who reads them.
            results = tuple(o.name for o in operation.outputs)
            nodes.append(replace(_node(operation, values, read), then=results))
    nodes = [
        replace(n, then=tuple(sorted({op for r in n.then for op in readers.get(r, ())})))
        for n in nodes
    ]
    remarks = () if len(functions) == 1 else (f"function {called!r} of {', '.join(functions)}",)
    flexible = _flexible(spec.description.input)
    return Explanation(file.name, "coreml", None, tuple(nodes), SAID, remarks, flexible)


def module_path(name: str) -> str:
    """Of a constant's name, "p_layers_0_fc1_weight_to_fp16" as "layers_0_fc1"."""
    found = WEIGHT.fullmatch(APPENDED.sub("", name))
    return found[1] if found else ""


def _flexible(inputs: Sequence[Any]) -> str:
    declared = set()
    for i in inputs:
        kind = getattr(i.type, i.type.WhichOneof("Type") or "multiArrayType")
        declared |= {field.name for field, _ in kind.ListFields()}
    if declared & {"shapeRange", "imageSizeRange"}:
        return "range"
    return "enumerated" if declared & {"enumeratedShapes", "enumeratedSizes"} else ""


def _is_constant(operation: Any) -> bool:
    return bool(operation.type == "const" or operation.type.startswith("constexpr"))


def _value(described: Any, origin: str, **more: Any) -> Value:
    tensor = described.type.tensorType
    shape = tuple(int(d.constant.size) or 1 for d in tensor.dimensions)
    return Value(shape, classes().MIL_pb2.DataType.Name(tensor.dataType), origin, **more)


def _result(operation: Any, output: Any, read: Sequence[Value]) -> Value:
    if _is_constant(operation):
        numbers = tuple(operation.attributes["val"].immediateValue.tensor.ints.values)
        value = _value(output, operation.type, constant=True, numbers=numbers)
        origin = f"constant {value.dtype}" if operation.type == "const" else operation.type
        return replace(value, origin=origin, module=module_path(output.name))
    cast = [v.origin for v in read if operation.type == "cast" and not v.constant]
    # A cast computes nothing: what reads it reads what was cast.
    return _value(output, next(iter(cast), operation.type), module=_module(read))


def _module(read: Sequence[Value]) -> str:
    named = [v for v in read if v.module]
    # The largest: coremltools keeps one of equal constants, such as biases of zeros.
    weights = sorted((v for v in named if v.constant), key=lambda v: -prod(v.shape))
    return next((v.module for v in (weights or named)), "")


def _node(operation: Any, values: dict[str, Value], read: Sequence[Value]) -> Node:
    sources = {
        key: [values[a.name] for a in value.arguments if a.name in values]
        for key, value in operation.inputs.items()
    }

    def shape_of(key: str) -> tuple[int, ...]:
        return sources[key][0].shape if sources.get(key) else ()

    results = [values[o.name] for o in operation.outputs]
    shape = results[0].shape if results else ()
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
        module=_module(read),
        partition=None,
        seconds=cost.seconds(
            macs=macs,
            size_bytes=cost.size_bytes([v.size for v in (*read, *results)]),
            factor=0.0 if operation.type in FREE else 1.0,
        ),
        dtype=results[0].dtype if results else "",
        inputs=tuple(v.shape for v in read if not v.constant),
        reads=tuple(sorted({v.origin for v in read})),
        dilation=max((d for v in sources.get("dilations", ()) for d in v.numbers), default=1),
    )
