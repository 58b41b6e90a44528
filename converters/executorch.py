"""ExecuTorch with the XNNPACK delegate: `.pte`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from edgevit.recipe import SMALL

from . import executorch_int8, executorch_weights
from .grid import Grid, Stored
from .pte_paths import with_paths
from .repairs import (
    group_norm_by_layer_norm,
    layer_norm_in_float,
    replaced,
    silu_by_sigmoid,
    tanh_gelu_by_sigmoid,
)
from .rewrites import NAMES
from .target import Array, Loaded, Placement, Tensor, require

if TYPE_CHECKING:
    from edgevit.program import Program


# Of torchao: weights of linear layers reach to -128; PT2E's observers have steps of at least 2⁻¹².
ROWS, CHANNELS = Grid(-128, 127), Grid(-127, 127, smallest=2**-12)


class ExecuTorch:
    suffix = ".pte"
    runtime = "executorch"
    needs = ("executorch", "torchao")
    runs_on_torch = True
    runs_here = True
    rewrites = NAMES
    executes: ClassVar[dict[str, str]] = {
        "fp32": "fp32 kernels",
        "dyn8": "int8 weights, a scale for each row, in linear layers; what they read is quantized "
        "as it comes, row by row; convolutions and all else in fp32",
        "w8a8": "int8 weights, a scale for each channel, and int8 activations over calibrated "
        "ranges in convolutions and linear layers, in depthwise ones and products of activations "
        "between those; all else in fp32",
        "w4": "4-bit weights, a scale for 32 of a row, or 8-bit ones where 32 does not divide it, "
        "in linear layers; what they read is quantized to 8 bits as it comes, row by row; "
        "convolutions and all else in fp32",
        "fp16": "fp16 inputs, weights, activations and outputs; XNNPACK may accumulate in fp32",
    }
    in_half = ("fp16",)
    grids: ClassVar[dict[str, Stored]] = {
        "dyn8": Stored(linear=ROWS, above=SMALL),
        "w8a8": Stored(linear=CHANNELS, conv=CHANNELS, depthwise=CHANNELS),
        "w4": Stored(
            linear=Grid(-8, 7, block=executorch_weights.BLOCK, bf16=True),
            uneven=ROWS,
            above=SMALL,
        ),
    }

    def lower(self, program: "Program", file: Path, *, precision: str, ios: int) -> None:
        require("executorch", self.needs)
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        from edgevit.program import export

        repairs = group_norm_by_layer_norm() | tanh_gelu_by_sigmoid()
        if precision == "fp16":
            half = [t.half() if t.is_floating_point() else t for t in program.inputs]
            program = export(_in_half(program.exported.module()), half, name=program.facts.name)
            repairs |= layer_norm_in_float()
        if precision == "w8a8":
            repairs |= silu_by_sigmoid()
        exported = replaced(program.exported, repairs)
        if precision == "w8a8":
            exported = executorch_int8.quantized(exported, program)
        elif precision in ("dyn8", "w4"):
            exported = executorch_weights.stored(
                exported, program, bits=4 + 4 * (precision == "dyn8")
            )
        _softmax_along_rows()
        edge = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
        file.write_bytes(with_paths(edge.to_executorch()))

    def load(self, file: Path, *, threads: int = 1) -> Loaded:
        require("executorch", self.needs)
        return LoadedPte(file, threads)

    def placement(self, file: Path) -> Placement:
        from executorch.exir._serialize._program import deserialize_pte_binary

        (plan,) = deserialize_pte_binary(file.read_bytes()).program.execution_plan
        outside: Counter[str] = Counter()
        partitions = 0
        for instruction in (i for chain in plan.chains for i in chain.instructions):
            call = instruction.instr_args
            match type(call).__name__:
                case "DelegateCall":
                    partitions += 1
                case "KernelCall":
                    outside[plan.operators[call.op_index].name.removeprefix("aten::")] += 1
        return Placement("XNNPACK", partitions, dict(outside))


class LoadedPte:
    """A .pte in ExecuTorch's runtime, whose thread pool would else take all cores."""

    def __init__(self, file: Path, threads: int) -> None:
        import torch  # noqa: F401  the next line links against it

        # `executorch.runtime` adds nothing but the compiler's packages, which take 5 s to import.
        from executorch.extension.pybindings import _portable_lib as lib

        lib._unsafe_reset_threadpool(threads)
        # The method does not keep its program alive, so this object does.
        self._program = lib._load_program(
            str(file), program_verification=lib.Verification.InternalConsistency
        )
        self._method = self._program.load_method("forward")
        meta = self._program.method_meta("forward")
        self.inputs = tuple(
            _tensor(f"input_{i}", meta.input_tensor_meta(i)) for i in range(meta.num_inputs())
        )

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        import torch

        # Raw bytes are read in C order whatever the strides say, so the copy must be contiguous.
        tensors = [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]
        return tuple(t.numpy().copy() for t in self._method(tensors))


def _in_half(module: Any) -> Any:
    """`module` in fp16, with the constants of its graph, which `half()` does not reach."""
    import torch

    for part in module.half().modules():
        for name, value in vars(part).items():
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                setattr(part, name, value.half())
    return module


def _softmax_along_rows() -> None:
    """Turn maps back to channels first before a softmax, as before a linear layer.

    executorch 1.4.1 forgets to: after a convolution, XNNPACK's softmax over the last axis runs over
    the channels instead, without an error (EfficientFormerV2's talking heads).
    """
    from executorch.backends.xnnpack._passes import channels_last_tagged_reshape_pass as layout
    from executorch.exir.dialects._ops import ops

    layout.ChannelsLastTaggedReshapePass.memory_sensitive_ops_nchw.add(
        ops.edge.aten._softmax.default
    )


# Of executorch.exir.schema.ScalarType, a fixed part of the format.
_DTYPES = {
    0: "uint8",
    1: "int8",
    3: "int32",
    4: "int64",
    5: "float16",
    6: "float32",
    7: "float64",
    11: "bool",
}


def _tensor(name: str, meta: Any) -> Tensor:
    return Tensor(name, _DTYPES[meta.dtype()], tuple(meta.sizes()))


target = ExecuTorch
