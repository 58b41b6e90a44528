"""A .tflite in 8-bit integers, by Google's ai-edge-quantizer: convolutions and linear layers.

And what is between them (between.py). All other operators stay in fp32: LiteRT's XNNPACK delegate
takes GELU, softmax and rsqrt in fp32 only; quantized, they fall out of it, and a vision transformer
runs at half the speed of fp32.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevit import calibration
from edgevit.reference import Arrays

if TYPE_CHECKING:
    from torch.fx import Node

    from edgevit.program import Program

STATIC = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
LIGHT = ("MUL", "PAD")
DYNAMIC = ("FULLY_CONNECTED",)


def quantize(file: Path, program: "Program", *, static: bool) -> None:
    """Replace the fp32 `file` by one with 8-bit products."""
    from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    made, manager = quantizer.Quantizer(str(file)), recipe_manager.RecipeManager()
    for scope, name in _in_integers(file, program, static=static):
        op, called = qtyping.TFLOperationName(name), f"^{re.escape(scope)}$"
        if static:
            made.add_static_config(called, op, activation_num_bits=8, weight_num_bits=8)
        else:
            made.add_dynamic_config(called, op, num_bits=8)
    ranges = None
    if static:
        assert program.calibration
        rows = calibration.load(program.calibration)
        # ai-edge-quantizer 0.10's own way is a moving average, which cuts off what is rare.
        watching = calibrator.Calibrator(
            str(file), num_threads=1, qsv_update_func=qsv_utils.min_max_update
        )
        manager.load_quantization_recipe(made.get_quantization_recipe())
        watching.calibrate(_named(file, rows), manager)
        ranges = watching.get_model_qsvs()
        if not ranges:
            return  # all of it is kept
        _narrow(ranges, file, program)
    made.quantize(ranges).export_model(str(file), overwrite=True)


def _in_integers(file: Path, program: "Program", *, static: bool) -> Iterator[tuple[str, str]]:
    """What operators to be in 8 bits are called, and their kinds."""
    from ai_edge_quantizer.utils import tfl_flatbuffer_utils as flat

    from .between import Operator, in_integers
    from .simulate import of_the_graph

    found = [*_operators(file)]
    written = {tensor for op, *_ in found for tensor in op.outputs}
    kept = [re.compile(pattern) for pattern in _kept(program)]
    operators = []
    for op, name, scope, tensors, buffers in found:
        activations, gains = [t for t in op.inputs if t in written], None
        weight = flat.get_tensor_data(tensors[op.inputs[1]], buffers) if name in STATIC else None
        no_models = weight is not None and of_the_graph(weight)
        if no_models or any(pattern.search(scope) for pattern in kept):
            gains = False
        elif not static or name not in LIGHT:
            gains = name in (STATIC if static else DYNAMIC)
        elif name == "MUL" and len(activations) < 2:
            gains = False
        operators.append(Operator(activations, [*op.outputs], gains))
    for i in sorted(in_integers(operators)):
        _, name, scope, *_ = found[i]
        yield scope, name


def _operators(file: Path) -> Iterator[tuple[Any, str, str, Any, Any]]:
    """Each, its kind, what it is called, and the file's tensors and their buffers."""
    from ai_edge_quantizer.utils import tfl_flatbuffer_utils as flat

    model = flat.read_model(str(file))
    (graph,) = model.subgraphs
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex].builtinCode
        name, scope = flat.TFL_OP_CODE_TO_NAME.get(code), flat.get_op_scope(op, graph.tensors)
        yield op, name, scope, graph.tensors, model.buffers


def _kept(program: "Program") -> Iterator[str]:
    """What the names of operators look like that stay in fp32: the modules around them, as
    litert-torch writes them, each its class and the last step of its path.
    """
    from .rewrites.graph import module_path  # and torch with it, which running a file does without

    nodes = [n for n in program.exported.graph.nodes if program.kept(module_path(n))]
    yield from sorted({_scope(n) for n in nodes if n.op == "call_function"})
    kept = {n.name for n in nodes}
    for i, name in enumerate(program.exported.graph_signature.user_outputs):
        if name in kept:
            yield rf"^serving_default_output_{i}_"  # what writes an output is called like it


def _narrow(ranges: dict[str, Any], file: Path, program: "Program") -> None:
    """Clip what modules read and write, as the program says, in place."""
    from ai_edge_quantizer.utils import tfl_flatbuffer_utils as flat

    from .rewrites.graph import module_path
    from .simulate import CONV, LINEAR

    products = [n for n in program.exported.graph.nodes if n.target in (CONV, LINEAR)]
    scopes = {module_path(n): re.compile(_scope(n)) for n in products}
    for op, name, scope, tensors, _ in _operators(file):
        if name not in STATIC:
            continue
        for (path, written), narrow in program.ranges.items():
            if scopes[path].search(scope):
                tensor = tensors[(op.outputs if written else op.inputs)[0]]
                found = ranges[flat.get_tensor_name(tensor)]
                found["min"] = np.maximum(found["min"], narrow.low)
                found["max"] = np.minimum(found["max"], narrow.high)


def _scope(node: "Node") -> str:
    """A pattern for the operators of a node's module."""
    return rf"(^|;){re.escape('/'.join(_steps(node)))};"


def _steps(node: "Node") -> Iterator[str]:
    for path, kind in node.meta["nn_module_stack"].values():
        name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
        yield name + f"_{path.rpartition('.')[2]}" * bool(path)


def _named(file: Path, rows: Sequence[Arrays]) -> dict[str, list[dict[str, object]]]:
    """The rows under the names of the file's one signature."""
    from ai_edge_litert.interpreter import Interpreter

    ((key, signature),) = Interpreter(str(file)).get_signature_list().items()
    names = sorted(signature["inputs"], key=position)
    return {key: [dict(zip(names, row, strict=True)) for row in rows]}


def position(name: str) -> int:
    """Place among the inputs or outputs: litert-torch numbers them (serving_default_args_0)."""
    digits = "".join(c if c.isdigit() else " " for c in name).split()
    return int(digits[0]) if digits else 0
