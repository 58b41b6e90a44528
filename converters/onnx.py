"""ONNX in one file, run by ONNX Runtime on the CPU: `.onnx`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from edgevit.recipe import INTEGER, SMALL

from . import onnx_int8, onnx_weights
from .explain.onnx import SCOPES
from .grid import INT8, UINT8, Grid, Stored
from .repairs import group_norm_by_means, replaced
from .rewrites import NAMES
from .target import Array, Loaded, Placement, Tensor, require

if TYPE_CHECKING:
    from edgevit.program import Program

OPSET = 20  # the first with Gelu, which ONNX Runtime has a kernel for
_DTYPES = {"float": "float32", "float16": "float16", "double": "float64"}


class Onnx:
    suffix = ".onnx"
    runtime = "onnxruntime"
    needs = ("onnx", "onnxscript", "onnxruntime")
    runs_on_torch = False
    runs_here = True
    rewrites = NAMES
    executes: ClassVar[dict[str, str]] = {
        "fp32": "fp32 kernels",
        "dyn8": "int8 weights, a scale for each column, in matrix products; what they read is "
        "quantized as it comes; convolutions and all else in fp32",
        "w8a8": "int8 weights, a scale for each channel, and uint8 activations over calibrated "
        "ranges in convolutions and matrix products, in depthwise ones and products of activations "
        "between those; all else in fp32",
        "w8": "8-bit weights, scale and zero point for each channel, in convolutions and matrix "
        "products, unpacked when the file is loaded; fp32 kernels",
        "w4": "4-bit weights, scale and zero point for 32 of a column, in matrix products; "
        "convolutions as in w8; fp32 activations",
        "fp16": "weights and activations declared fp16, inputs and outputs fp32; "
        "ONNX Runtime casts to fp32 for most operators on CPUs without fp16 kernels (x86)",
    }
    in_half = ("fp16",)
    grids: ClassVar[dict[str, Stored]] = {
        "dyn8": Stored(linear=INT8),
        "w8a8": Stored(linear=INT8, conv=INT8, depthwise=INT8),
        "w8": Stored(linear=UINT8, conv=UINT8, depthwise=UINT8, above=SMALL),
        "w4": Stored(
            linear=Grid(0, 15, block=onnx_weights.BLOCK, zero=True),
            conv=UINT8,
            depthwise=UINT8,
            above=SMALL,
        ),
    }

    def lower(self, program: "Program", file: Path, *, precision: str, ios: int) -> None:
        require("onnx", self.needs)
        import torch

        made = torch.onnx.export(
            replaced(program.exported, group_norm_by_means()),
            dynamo=True,
            opset_version=OPSET,
            input_names=[p.name for p in program.facts.inputs],
            output_names=[p.name for p in program.facts.outputs],
        )
        assert made
        for node in made.model.graph.all_nodes():  # stack traces would name the machine's folders
            for key in {*node.metadata_props} - {SCOPES}:
                del node.metadata_props[key]
        made.save(file, external_data=False)
        if precision == "fp16":
            import onnx
            from onnxruntime.transformers.float16 import convert_float_to_float16

            model = convert_float_to_float16(onnx.load(file), keep_io_types=True)
            _drop_repeated_casts(model)
            onnx.save(model, file)
        elif precision in INTEGER:
            onnx_int8.quantize(file, program, static=precision == "w8a8")
        elif precision != "fp32":
            onnx_weights.store(file, bits=int(precision[1:]))

    def load(self, file: Path, *, threads: int = 1) -> Loaded:
        require("onnx", ("onnxruntime",))
        return LoadedOnnx(file, threads)

    def placement(self, file: Path) -> Placement | None:
        return None  # one provider computes every node: there is nothing to fall out of


class LoadedOnnx:
    """An .onnx in ONNX Runtime, in the first of `providers` that takes an operator.

    profile: a folder for the profile and the graph that the runtime makes of the file.
    """

    def __init__(
        self,
        file: Path,
        threads: int,
        *,
        profile: Path | None = None,
        providers: Sequence[Any] = ("CPUExecutionProvider",),
    ) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        if profile:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile / "profile")
            options.optimized_model_filepath = str(profile / "optimized.onnx")
        self.session = onnxruntime.InferenceSession(file, options, providers=[*providers])
        self.inputs = tuple(
            Tensor(i.name, _dtype(i.type), tuple(i.shape)) for i in self.session.get_inputs()
        )

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        names = [i.name for i in self.inputs]
        return tuple(self.session.run(None, dict(zip(names, arrays, strict=True))))


def _drop_repeated_casts(model: Any) -> None:
    """Keep one of the Casts that write the same tensor.

    onnxruntime 1.31's float16 converter adds one for each operator that reads the tensor in fp32
    (the scales of two Resizes), all of the same name, and its runtime then refuses the model.
    """
    written: set[str] = set()
    repeated = []
    for i, node in enumerate(model.graph.node):
        if node.op_type == "Cast" and node.output[0] in written:
            repeated.append(i)
        written.update(node.output)
    for i in reversed(repeated):
        del model.graph.node[i]


def _dtype(text: str) -> str:
    """numpy's name for ONNX Runtime's "tensor(float)"."""
    name = text.removeprefix("tensor(").removesuffix(")")
    return _DTYPES.get(name, name)


target = Onnx
