"""In how many bits a file's numbers are stored: what a precision claims, read back from the file.

A converter that finds nothing to quantize writes the fp32 file again and says nothing.
"""

from collections import Counter
from collections.abc import Iterable
from math import prod
from pathlib import Path

from edgevit.errors import InputError

FEW = ("dyn8", "w8a8", "w8", "w4")  # what is to be stored in 8 bits or fewer
BITS = {"FLOAT": 32, "FLOAT32": 32, "fp32": 32, "FLOAT16": 16, "HALF": 16, "fp16": 16}
BITS |= dict.fromkeys(("INT8", "UINT8", "CHAR", "BYTE", "qint8", "qcint8"), 8)
BITS |= dict.fromkeys(("int8", "uint8"), 8) | dict.fromkeys(("int4", "uint4"), 4)
BITS |= dict.fromkeys(("INT4", "qcint4", "qbint4"), 4)


def stored(*, file: str, precision: str) -> dict[str, int]:
    """Bits → how many of the constants' numbers have so many, most bits first.

    Nothing where the precision claims nothing, or the format keeps it elsewhere; InputError where
    the precision claims few bits and all numbers have many.
    """
    reader = READERS.get(Path(file).suffix)
    if reader is None or precision not in FEW:
        return {}
    found: Counter[int] = Counter()
    for name, count in reader(Path(file)):
        if name in BITS:  # all else counts, as shapes do, and is no weight
            found[BITS[name]] += count
    if not any(bits <= 8 for bits in found):
        raise InputError(
            f"{precision} leaves all {found.total():,} numbers of {Path(file).name} as they are: "
            "the model has no layer that this target stores in fewer bits; convert it to fp32"
        )
    if precision == "w8a8" and reader is _mlpackage and (floats := _reading_floats(Path(file))):
        raise InputError(
            f"{precision} leaves what {len(floats)} products of {Path(file).name} read as it is, "
            f"{floats[0]} among them: this version of coremltools moves `quantize` elsewhere"
        )
    return {str(bits): found[bits] for bits in sorted(found, reverse=True)}


def _onnx(file: Path) -> Iterable[tuple[str, int]]:
    import onnx

    graph = onnx.load(file).graph
    packed = {n.input[1] for n in graph.node if n.op_type == "MatMulNBits"}  # two in each byte
    for tensor in graph.initializer:
        if tensor.name in packed:
            yield "INT4", 2 * prod(tensor.dims)
        else:
            yield onnx.TensorProto.DataType.Name(tensor.data_type), prod(tensor.dims)


def _tflite(file: Path) -> Iterable[tuple[str, int]]:
    from .explain.flatbuffer import parse

    return ((t.dtype, prod(t.shape)) for t in parse(file).tensors if t.constant)


def _pte(file: Path) -> Iterable[tuple[str, int]]:
    from .explain.pte import constants

    return constants(file)


def _mlpackage(file: Path) -> Iterable[tuple[str, int]]:
    from .mil.package import read
    from .mil.values import declared

    _, block, _ = read(file)
    for operation in block.operations:
        if operation.type == "const" or operation.type.startswith("constexpr_"):
            bound = [b for argument in operation.inputs.values() for b in argument.arguments]
            held = [*operation.attributes.values(), *(b.value for b in bound if not b.name)]
            for kind, shape in (declared(value.type) for value in held):
                if kind:
                    yield kind.name, prod(n or 1 for n in shape)


def _reading_floats(file: Path) -> list[str]:
    """Core ML's products of 8-bit weights whose activations are in more bits."""
    from .mil.package import read

    _, block, _ = read(file)
    kind = {o.name: operation.type for operation in block.operations for o in operation.outputs}
    found = []
    for operation in block.operations:
        if operation.type in ("conv", "linear"):
            reads = {k: kind.get(v.arguments[0].name, "") for k, v in operation.inputs.items()}
            if reads["weight"].startswith("constexpr_") and reads["x"] != "dequantize":
                found.append(operation.outputs[0].name)
    return found


READERS = {".onnx": _onnx, ".tflite": _tflite, ".pte": _pte, ".mlpackage": _mlpackage}
