"""A .tflite in 8-bit integers, by Google's ai-edge-quantizer: convolutions and linear layers.

All other operators stay in fp32. LiteRT's XNNPACK delegate takes GELU, softmax and rsqrt in fp32
only: quantized, they fall out of it, and a vision transformer runs at half the speed of fp32. And
it is slower with depthwise convolutions in 8 bits than with those in fp32 (x86).
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit import calibration
from edgevit.reference import Arrays

from .rewrites.graph import module_path

if TYPE_CHECKING:
    from edgevit.program import Program

STATIC = ("CONV_2D", "FULLY_CONNECTED")
DYNAMIC = ("FULLY_CONNECTED",)


def quantize(file: Path, program: "Program", *, static: bool) -> None:
    """Replace the fp32 `file` by one with 8-bit products."""
    from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    made, manager = quantizer.Quantizer(str(file)), recipe_manager.RecipeManager()
    for name in STATIC if static else DYNAMIC:
        op = qtyping.TFLOperationName(name)
        if static:
            made.add_static_config(".*", op, activation_num_bits=8, weight_num_bits=8)
        else:
            made.add_dynamic_config(".*", op, num_bits=8)
    for names in _kept(program):
        made.update_quantization_recipe(
            names, qtyping.TFLOperationName.ALL_SUPPORTED, algorithm_key="no_quantize"
        )
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
    made.quantize(ranges).export_model(str(file), overwrite=True)


def _kept(program: "Program") -> Iterator[str]:
    """What the names of operators look like that stay in fp32; see explain/tflite.py."""
    for path in program.keep:
        steps = [rf"/[^/;]*\.[^/;._]*_{re.escape(step)}" for step in path.split(".")]
        yield "".join(steps) + "[/;]" if path else r"^(?!serving_default)[^/;]+;"
    nodes = {n.name: n for n in program.exported.graph.nodes}
    for i, name in enumerate(program.exported.graph_signature.user_outputs):
        if name in nodes and program.kept(module_path(nodes[name])):
            yield rf"^serving_default_output_{i}_"  # what writes an output is called like it


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
