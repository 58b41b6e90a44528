"""Tiny artifacts that nobody's converter wrote."""

from pathlib import Path

import numpy as np


def tflite(file: Path, *, to: tuple[int, int] = (4, 8)) -> Path:
    """y = broadcast(x + x, [4, 8]) * 2, of which XNNPACK refuses the broadcast.

    to: what the broadcast is told; LiteRT refuses what x does not fit.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as s

    model = s.ModelT()
    model.version = 3
    model.buffers = [s.BufferT(), s.BufferT(), s.BufferT()]
    model.buffers[1].data = np.frombuffer(np.array(to, np.int32).tobytes(), np.uint8)
    model.buffers[2].data = np.frombuffer(np.array([2], np.float32).tobytes(), np.uint8)
    ops = s.BuiltinOperator
    model.operatorCodes = []
    for code in (ops.ADD, ops.BROADCAST_TO, ops.MUL):
        made = s.OperatorCodeT()
        # A reader of old files looks at the deprecated field, which has room up to 127.
        made.builtinCode, made.deprecatedBuiltinCode = code, min(code, 127)
        made.version = 2 if code == ops.BROADCAST_TO else 1
        model.operatorCodes.append(made)
    graph = s.SubGraphT()
    f32, i32 = s.TensorType.FLOAT32, s.TensorType.INT32
    name = "my.Net/torch.nn.Sequential_blocks/my.Some_Block_0/my.Gate_the_gate;1"
    graph.tensors = []
    for title, shape, dtype, buffer in (
        ("x", [1, 8], f32, 0),
        ("sum", [1, 8], f32, 0),
        ("shape", [2], i32, 1),
        (name, [4, 8], f32, 0),
        ("two", [1], f32, 2),
        ("y", [4, 8], f32, 0),
    ):
        tensor = s.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = title, shape, dtype, buffer
        graph.tensors.append(tensor)
    graph.inputs, graph.outputs, graph.operators = [0], [5], []
    for index, sources, result, kind in (
        (0, [0, 0], 1, "Add"),
        (1, [1, 2], 3, "BroadcastTo"),
        (2, [3, 4], 5, "Mul"),
    ):
        operator = s.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = index, sources, [result]
        operator.builtinOptionsType = getattr(s.BuiltinOptions, f"{kind}Options")
        operator.builtinOptions = getattr(s, f"{kind}OptionsT")()
        graph.operators.append(operator)
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    file.write_bytes(bytes(builder.Output()))
    return file


def onnx(file: Path) -> Path:
    """A convolution of 8 → 16 channels, 3×3 on a 10×10 map, then relu."""
    from onnx import TensorProto, checker, helper, save_model

    conv = helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1])
    scopes = "['', 'stem', 'stem.conv', 'conv2d']"
    conv.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes)
    relu = helper.make_node("Relu", ["a"], ["y"])
    relu.metadata_props.add(key="namespace", value=": my.Net/act: my.Relu/relu: aten.relu")
    f32 = TensorProto.FLOAT
    graph = helper.make_graph(
        [conv, relu],
        "tiny",
        [helper.make_tensor_value_info("x", f32, [1, 8, 10, 10])],
        [helper.make_tensor_value_info("y", f32, [1, 16, 10, 10])],
        [helper.make_tensor("w", f32, [16, 8, 3, 3], np.zeros(16 * 8 * 9, np.float32))],
    )
    # An onnx newer than onnxruntime writes what that refuses.
    opsets = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    checker.check_model(model)
    save_model(model, file)
    return file


def weights() -> np.ndarray:
    """Of the two classifiers below: 3 channels → 6 classes, whose scores lie far apart."""
    return np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32) * 4


def onnx_classifier(file: Path) -> Path:
    """Scores [1, 6] of a picture x [1, 3, 8, 8]: the weights times its channels' means."""
    from onnx import TensorProto, checker, helper, save_model

    f32 = TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["x"], ["m"]),
            helper.make_node("Flatten", ["m"], ["f"]),
            helper.make_node("Gemm", ["f", "w"], ["y"], transB=1),
        ],
        "scores",
        [helper.make_tensor_value_info("x", f32, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", f32, [1, 6])],
        [helper.make_tensor("w", f32, [6, 3], weights())],
    )
    # an IR version that ONNX Runtime's releases of the last years read
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save_model(model, file)
    return file


MLPACKAGE_CLASSIFIER = """
import sys
sys.path.insert(0, "tests")
from edgevit.converters.coreml import import_coremltools
ct = import_coremltools()  # in half the time
from coremltools.converters.mil import Builder as mb
from made_by_hand import weights
@mb.program(input_specs=[mb.TensorSpec(shape=(1, 3, 8, 8))], opset_version=ct.target.iOS17)
def scores(x):
    return mb.linear(x=mb.reduce_mean(x=x, axes=[2, 3]), weight=weights(), name="y")
ct.convert(
    scores,
    minimum_deployment_target=ct.target.iOS17,
    compute_precision=ct.precision.FLOAT32,
    skip_model_load=True,
).save(FILE)
"""


MLPACKAGE = """
from pathlib import Path
from coremltools.proto import MIL_pb2, Model_pb2
model = Model_pb2.Model()
function = model.mlProgram.functions["main"]
function.opset = "CoreML7"
block = function.block_specializations["CoreML7"]
def value(place, name, *shape):
    place.name = name
    place.type.tensorType.dataType = MIL_pb2.FLOAT16
    for size in shape:
        place.type.tensorType.dimensions.add().constant.size = size
value(function.inputs.add(), "x", 4, 8)
for kind, name, shape in (("const", "w", (16, 8)), ("linear", "y", (4, 16))):
    operation = block.operations.add()
    operation.type = kind
    value(operation.outputs.add(), name, *shape)
for key, name in (("x", "x"), ("weight", "w")):
    operation.inputs[key].arguments.add().name = name
file = Path(FILE)
file.mkdir()
(file / "model.mlmodel").write_bytes(model.SerializeToString())
"""


PTE = """
import torch
from pathlib import Path
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
net = torch.nn.Sequential(
    torch.nn.Linear(8, 16), torch.nn.LayerNorm(16), torch.nn.Linear(16, 4), torch.nn.ReLU()
).eval()
edge = to_edge_transform_and_lower(
    torch.export.export(net, (torch.zeros(3, 8),)), partitioner=[XnnpackPartitioner()]
)
made = edge.to_executorch()
Path(FILE).write_bytes(made.buffer)
from edgevit.converters.pte_paths import with_paths
Path(FILE).with_name("named.pte").write_bytes(with_paths(made))
"""


def by(script: str, file: Path) -> Path:
    """What a script writes to FILE, in a process of its own: its libraries warn on import."""
    import subprocess
    import sys

    made = f"FILE = {str(file)!r}\n{script}"
    root = Path(__file__).parent.parent
    subprocess.run([sys.executable, "-c", made], check=True, capture_output=True, cwd=root)
    return file
