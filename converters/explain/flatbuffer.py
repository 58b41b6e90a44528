"""What stands in a .tflite: the first graph's operators in the file's order, and its tensors."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    dtype: str
    constant: bool


@dataclass(frozen=True)
class Operator:
    """name: the builtin's, or the custom operator's own. sources, results: numbers of tensors."""

    name: str
    sources: tuple[int, ...]
    results: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """others: how many further graphs the file has."""

    operators: tuple[Operator, ...]
    tensors: tuple[Tensor, ...]
    others: int


def parse(file: Path) -> Graph:
    from ai_edge_litert import schema_py_generated as schema

    content = file.read_bytes()
    if content[4:8] != b"TFL3":
        raise ValueError("its identifier is not TFL3")
    model = schema.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    return Graph(
        tuple(_operators(schema, model, graph)),
        tuple(_tensors(schema, model, graph)),
        model.SubgraphsLength() - 1,
    )


def _operators(schema: Any, model: Any, graph: Any) -> Iterable[Operator]:
    names = _names(schema.BuiltinOperator)
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        code = model.OperatorCodes(operator.OpcodeIndex())
        name = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        custom = (code.CustomCode() or b"").decode() if name == "CUSTOM" else ""
        sources = (int(operator.Inputs(k)) for k in range(operator.InputsLength()))
        results = (int(operator.Outputs(k)) for k in range(operator.OutputsLength()))
        yield Operator(custom or name, tuple(s for s in sources if s >= 0), tuple(results))


def _tensors(schema: Any, model: Any, graph: Any) -> Iterable[Tensor]:
    types = _names(schema.TensorType)
    for i in range(graph.TensorsLength()):
        t = graph.Tensors(i)
        shape = tuple(int(t.Shape(k)) for k in range(t.ShapeLength()))
        buffer = model.Buffers(t.Buffer())
        constant = buffer.DataLength() > 0 or bool(buffer.Offset())
        yield Tensor((t.Name() or b"").decode(errors="replace"), shape, types[t.Type()], constant)


def _names(kind: Any) -> dict[int, str]:
    """Number → name of one of the schema's enumerations."""
    return {v: k for k, v in vars(kind).items() if not k.startswith("_")}
