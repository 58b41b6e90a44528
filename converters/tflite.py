"""TFLite by litert-torch, run by LiteRT with its default XNNPACK delegate: `.tflite`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgevit.recipe import INTEGER, SMALL

from . import tflite_int8, tflite_weights
from .grid import INT8, Grid, Stored
from .repairs import implicit_broadcasts, keys_cut_to_size, linear_over_rows
from .rewrites import NAMES
from .target import Array, Loaded, Placement, Tensor, require

if TYPE_CHECKING:
    from edgevit.program import Program


class TFLite:
    suffix = ".tflite"
    runtime = "ai-edge-litert"
    needs = ("litert_torch", "ai_edge_litert", "ai_edge_quantizer")
    runs_on_torch = False
    runs_here = True
    rewrites = NAMES
    executes: ClassVar[dict[str, str]] = {
        "fp32": "fp32 kernels",
        "dyn8": "int8 weights, a scale for each channel, in fully connected layers; what they read "
        "is quantized as it comes; convolutions and all else in fp32",
        "w8a8": "int8 weights, a scale for each channel, and int8 activations over calibrated "
        "ranges in convolutions and fully connected layers, in depthwise ones and products of "
        "activations between those; all else in fp32",
        "w8": "int8 weights, a scale for each channel, unpacked when the file is loaded; "
        "fp32 kernels",
        "w4": "4-bit weights, a scale for 32 of a row, in fully connected layers; what they read "
        "is quantized to 8 bits as it comes; rows that 32 does not divide and convolutions as in "
        "w8, all else in fp32",
        "fp16": "weights stored in fp16; fp32 kernels unless the app asks its delegate for fp16",
    }
    in_half = ("fp16",)
    grids: ClassVar[dict[str, Stored]] = {
        "dyn8": Stored(linear=INT8),
        "w8a8": Stored(linear=INT8, conv=INT8, depthwise=INT8),
        "w8": Stored(linear=INT8, conv=INT8, depthwise=INT8, above=SMALL),
        "w4": Stored(
            linear=Grid(-7, 7, block=tflite_weights.BLOCK, bf16=True),
            uneven=INT8,
            conv=INT8,
            depthwise=INT8,
            above=SMALL,
        ),
    }

    def lower(self, program: "Program", file: Path, *, precision: str, ios: int) -> None:
        require("tflite", self.needs)
        import litert_torch

        exported = linear_over_rows(keys_cut_to_size(implicit_broadcasts(program.exported)))
        litert_torch.convert(exported.module(), program.inputs).export(str(file))
        if precision == "fp16":
            _store_weights_in_half(file)
        elif precision in INTEGER:
            tflite_int8.quantize(file, program, static=precision == "w8a8")
        elif precision != "fp32":
            tflite_weights.store(file, bits=int(precision[1:]))

    def load(self, file: Path, *, threads: int = 1) -> Loaded:
        require("tflite", ("ai_edge_litert",))
        return LoadedTFLite(file, threads)

    def placement(self, file: Path) -> Placement:
        require("tflite", ("ai_edge_litert",))
        return LoadedTFLite(file, 1).placement()


class LoadedTFLite:
    """A .tflite in LiteRT's interpreter."""

    def __init__(self, file: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(str(file), num_threads=threads)
        self._interpreter.allocate_tensors()
        details = sorted(self._interpreter.get_input_details(), key=_place)
        self._inputs = [d["index"] for d in details]
        self._outputs = [
            d["index"] for d in sorted(self._interpreter.get_output_details(), key=_place)
        ]
        self.inputs = tuple(
            Tensor(d["name"], np.dtype(d["dtype"]).name, tuple(map(int, d["shape"])))
            for d in details
        )

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        for index, array in zip(self._inputs, arrays, strict=True):
            self._interpreter.set_tensor(index, array)
        self._interpreter.invoke()
        # get_tensor copies; a view from tensor() would not outlive the interpreter.
        return tuple(self._interpreter.get_tensor(index) for index in self._outputs)

    def placement(self) -> Placement:
        """Partitions are the DELEGATE nodes; what they replaced is found by walking back.

        A replaced node stays in the list, so a node is inside a partition when a partition's
        outputs depend on it without passing through that partition's inputs.
        """
        nodes = self._interpreter._get_ops_details()
        delegates = [n for n in nodes if n["op_name"] == "DELEGATE"]
        plain = [n for n in nodes if n["op_name"] != "DELEGATE"]
        producer = {int(t): n for n in plain for t in n["outputs"]}
        inside: set[int] = set()
        for delegate in delegates:
            border = set(map(int, delegate["inputs"]))
            todo = [int(t) for t in delegate["outputs"]]
            while todo:
                node = producer.get(todo.pop())
                if node is not None and node["index"] not in inside:
                    inside.add(node["index"])
                    todo += [int(t) for t in node["inputs"] if int(t) not in border]
        outside = Counter(n["op_name"] for n in plain if n["index"] not in inside)
        return Placement("XNNPACK", len(delegates), dict(outside))


def _place(detail: dict[str, object]) -> int:
    return tflite_int8.position(str(detail["name"]))


def _store_weights_in_half(file: Path) -> None:
    from ai_edge_quantizer import qtyping, quantizer

    half = quantizer.Quantizer(str(file))
    half.update_quantization_recipe(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        op_config=qtyping.OpQuantizationConfig(
            weight_tensor_config=qtyping.TensorQuantizationConfig(
                num_bits=16, dtype=qtyping.TensorDataType.FLOAT
            ),
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        ),
        algorithm_key=quantizer.AlgorithmName.FLOAT_CASTING,
    )
    half.quantize().export_model(str(file), overwrite=True)


target = TFLite
