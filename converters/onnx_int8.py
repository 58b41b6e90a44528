"""An .onnx in 8-bit integers, by ONNX Runtime's own quantizer: matrix products and convolutions.

Weights are signed and have a scale for each channel, activations are unsigned and have one a
tensor: ONNX Runtime multiplies signed activations on x86 slower than fp32. With them goes what is
between them (between.py). What stays in fp32 is what gains nothing and costs digits: norms,
softmax, GELU, sums, attention's products of two activations.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevit import calibration

from .explain.onnx import module_path

if TYPE_CHECKING:
    from edgevit.program import Program

MATRICES = ["MatMul", "Gemm"]
CLAMPS = ["Relu", "Clip"]
LIGHT = ["Mul", "Reshape", "Transpose", *CLAMPS]


def quantize(file: Path, program: "Program", *, static: bool) -> None:
    """Replace the fp32 `file` by one with 8-bit products."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization import quantize_static as quantize_over

    model = onnx.load(file)
    # onnxruntime 1.31 infers shapes again and refuses those that torch's exporter has noted.
    del model.graph.value_info[:]
    onnx.save(model, file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not static:
            quantize_dynamic(
                file,
                file,
                op_types_to_quantize=MATRICES,
                nodes_to_exclude=[*_in_fp32(model, program)],
                per_channel=True,
                weight_type=QuantType.QInt8,
                extra_options={"MatMulConstBOnly": True},
            )
            return
        assert program.calibration
        model = onnx.load(file)
        quantize_over(
            file,
            file,
            _reader([p.name for p in program.facts.inputs], program.calibration),
            op_types_to_quantize=[*MATRICES, "Conv", *LIGHT],
            nodes_to_exclude=[*_in_fp32(model, program)],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"TensorQuantOverrides": _narrower(model, program)},
        )


def _narrower(model: Any, program: "Program") -> dict[str, list[dict[str, Any]]]:
    """Tensors to clip. What a MatMul writes still lacks the bias, and has another range."""
    constants, found = {i.name for i in model.graph.initializer}, {}
    for node in model.graph.node:
        if node.op_type not in (*MATRICES, "Conv") or node.input[1] not in constants:
            continue
        path = module_path({p.key: p.value for p in node.metadata_props})
        for tensor, written in ((node.input[0], False), (node.output[0], True)):
            narrow = program.ranges.get((path, written))
            if narrow and not (written and node.op_type == "MatMul"):
                ends = {"rmin": np.float32(narrow.low), "rmax": np.float32(narrow.high)}
                found[tensor] = [ends]
    return found


def _in_fp32(model: Any, program: "Program") -> Iterator[str]:
    """The nodes that stay in it."""
    from .between import Operator, in_integers

    weights, nodes = {i.name: i for i in model.graph.initializer}, model.graph.node
    operators = [
        Operator(
            [name for name in node.input if name not in weights],
            node.output,
            _gains(node, weights, program),
        )
        for node in nodes
    ]
    found = in_integers(operators)
    written = {tensor for i in found for tensor in nodes[i].output}
    for i, node in enumerate(nodes):
        # What is clipped at once needs a range for what is left of it alone.
        if i not in found and not (node.op_type in CLAMPS and node.input[0] in written):
            yield node.name
            yield f"{node.name}_MatMul"  # what quantize_dynamic makes of a Gemm first


def _gains(node: Any, weights: dict[str, Any], program: "Program") -> bool | None:
    """Not by the graph's own numbers, as the 1/C of a norm, or what the program keeps."""
    from onnx.numpy_helper import to_array

    from .simulate import of_the_graph

    if node.op_type in LIGHT:
        return False if node.op_type == "Mul" and {*node.input} & {*weights} else None
    weight = weights.get(node.input[1]) if node.op_type in (*MATRICES, "Conv") else None
    if weight is None or of_the_graph(to_array(weight)):
        return False
    return not program.kept(module_path({p.key: p.value for p in node.metadata_props}))


def _reader(names: list[str], file: Path) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Rows(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rows = iter(calibration.load(file))

        def get_next(self) -> Any:
            row = next(self.rows, None)
            return None if row is None else dict(zip(names, row, strict=True))

    return Rows()
