"""An .onnx whose weights are stored in 8 or 4 bits; activations and arithmetic stay fp32.

    w8    Conv, ConvTranspose, Gemm, MatMul    8 bits, scale and zero point an output channel
    w4    Gemm, MatMul                         4 bits, both for 32 weights of one: MatMulNBits
          Conv, ConvTranspose                  as w8: 4 bits a channel cost 8 dB (MobileNetV2)

A weight that no kernel reads as it is stored is a Cast, a Sub and a Mul of constants, which ONNX
Runtime computes when it loads the file. A DequantizeLinear it computes in every inference, and
takes 1.4 to 1.7 times as long as with fp32. Of activations in 8 bits (MatMulNBits' accuracy level
4) no gain was seen; a zero point gains up to 2 dB.
"""

from pathlib import Path
from typing import Any

import numpy as np

from edgevit.recipe import SMALL

CHANNELS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1, "MatMul": -1}  # a weight's output axis
BLOCK = 32
Array = np.ndarray


def store(file: Path, *, bits: int) -> None:
    """Replace the fp32 `file` by one whose weights are stored in `bits`."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(file)
    graph = model.graph
    weights = {i.name: i for i in graph.initializer}
    constants: dict[str, Array] = {}
    makers: dict[str, list[Any]] = {}  # of each new weight, the nodes that make it
    for node in graph.node:
        weight = weights.get(node.input[1]) if node.op_type in CHANNELS else None
        if weight is None or np.prod(weight.dims) <= SMALL:
            continue
        values = numpy_helper.to_array(weight)
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        axis = 0 if transposed else CHANNELS[node.op_type] % values.ndim
        name = f"{weight.name}_over_{axis}"
        plain = all(a.name == "transB" or a.f == 1.0 for a in node.attribute)  # not α, β, transA
        if bits == 4 and values.ndim == 2 and plain:
            constants |= _by_blocks(node, name, np.moveaxis(values, axis, 0))
        else:
            node.input[1] = name
            makers[name], used = _by_channels(name, values, axis)
            constants |= used
    ordered = [*(step for steps in makers.values() for step in steps), *graph.node]
    del graph.node[:]
    graph.node.extend(ordered)
    read = {name for node in graph.node for name in node.input} | {o.name for o in graph.output}
    kept = [i for i in graph.initializer if i.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in constants.items())
    if bits == 4:
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, file)


def _by_channels(name: str, values: Array, axis: int) -> tuple[list[Any], dict[str, Array]]:
    """The nodes that make the weight `name`, and the constants that they read."""
    from onnx import TensorProto, helper

    rows = np.moveaxis(values, axis, 0)
    found, step, zero = levels(rows.reshape(len(rows), -1), 8)
    shape = [-1 if i == axis else 1 for i in range(values.ndim)]
    constants = {
        f"{name}_levels": np.ascontiguousarray(np.moveaxis(found.reshape(rows.shape), 0, axis)),
        f"{name}_zero": zero.astype(np.float32).reshape(shape),
        f"{name}_step": step.reshape(shape),
    }
    nodes = [
        helper.make_node("Cast", [f"{name}_levels"], [f"{name}_cast"], to=TensorProto.FLOAT),
        helper.make_node("Sub", [f"{name}_cast", f"{name}_zero"], [f"{name}_moved"]),
        helper.make_node("Mul", [f"{name}_moved", f"{name}_step"], [name]),
    ]
    return nodes, constants


def _by_blocks(node: Any, name: str, rows: Array) -> dict[str, Array]:
    """Make `node` a MatMulNBits by the rows, one for each output; the constants that it reads."""
    from onnx import helper

    source, bias = node.input[0], [*node.input[2:]]
    outputs, length = rows.shape
    padded = np.pad(rows, ((0, 0), (0, -length % BLOCK))).reshape(outputs, -1, BLOCK)
    found, step, zero = levels(padded, 4)
    constants = {
        f"{name}_blocks": _pairs(found),
        f"{name}_steps": step.squeeze(-1),
        f"{name}_zeros": _pairs(zero.squeeze(-1)),
    }
    node.op_type, node.domain = "MatMulNBits", "com.microsoft"
    del node.input[:], node.attribute[:]
    node.input.extend([source, *constants, *(["", *bias] if bias else [])])
    sizes = {"K": length, "N": outputs, "bits": 4, "block_size": BLOCK}
    node.attribute.extend(helper.make_attribute(k, v) for k, v in sizes.items())
    return constants


def _pairs(found: Array) -> Array:
    """Two numbers of 4 bits in each byte, the first in the lower half."""
    even = np.pad(found, [*[(0, 0)] * (found.ndim - 1), (0, found.shape[-1] % 2)])
    return np.asarray(even[..., ::2] | even[..., 1::2] << 4)


def levels(rows: Array, bits: int) -> tuple[Array, Array, Array]:
    """Each row on 2^bits even steps from its least to its largest value: levels, step, zero point.

    rows ≈ (levels - zero) · step. Zero is a level, so that what is zero stays so.
    """
    least = np.minimum(rows.min(-1, keepdims=True), 0)
    most = np.maximum(rows.max(-1, keepdims=True), 0)
    step = np.maximum((most - least) / (2**bits - 1), 1e-12).astype(np.float32)
    zero = np.round(-least / step)
    found = np.clip(np.round(rows / step) + zero, 0, 2**bits - 1)
    return found.astype(np.uint8), step, zero.astype(np.uint8)
