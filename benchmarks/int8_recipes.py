"""8 bits by each runtime's own default recipe, and by edgevit's, on a net that was trained.

    python benchmarks/quantization.py OUT --models mobilenetv2_100 --steps 1500
    python benchmarks/int8_recipes.py OUT

takes MobileNetV2 as the first left it, and the same with channels of its residual streams made up
to 2⁶ times as large, all that reads them as much smaller: the same function, digit by digit.
Points are of accuracy on 2000 images, against fp32 of the same runtime.

    onnx        onnxruntime.quantization.quantize_static, as it comes
    tflite      ai-edge-quantizer's recipe static_wi8_ai8
    executorch  XNNPACKQuantizer for the whole graph, by channels, PT2E's own observers
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from quantization import SIDE, prepared, recipe_of, row_of
from rewrites import ONE_LINERS, Inputs
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from shapes import SHAPES
from torch import nn

from edgevit import convert, models, weights
from edgevit.converters.target import find
from edgevit.template import sharing

NAME, SHOWN = "mobilenetv2_100", 2000
Rows = Sequence[np.ndarray]


def onnx(module: nn.Module, inputs: Inputs, rows: Rows, file: Path) -> None:
    import onnx as format_
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    ONE_LINERS["onnx"](module, inputs, file)
    model = format_.load(file)
    name = model.graph.input[0].name
    del model.graph.value_info[:]  # which onnxruntime 1.31 refuses
    format_.save(model, file)

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        left = iter([{name: row} for row in rows])

        def get_next(self) -> Any:
            return next(self.left, None)

    quantize_static(file, file, Reader())


def tflite(module: nn.Module, inputs: Inputs, rows: Rows, file: Path) -> None:
    from ai_edge_quantizer import quantizer, recipe

    ONE_LINERS["tflite"](module, inputs, file)
    made = quantizer.Quantizer(str(file), recipe.static_wi8_ai8())
    ranges = made.calibrate({"serving_default": [{"args_0": row} for row in rows]})
    made.quantize(ranges).export_model(str(file), overwrite=True)


def of_integers(file: Path) -> Callable[[np.ndarray], tuple[np.ndarray]]:
    """A .tflite that takes its input in 8 bits, too."""
    from ai_edge_litert.interpreter import Interpreter

    opened = Interpreter(str(file))
    opened.allocate_tensors()
    (taken,), (given,) = opened.get_input_details(), opened.get_output_details()
    scale, zero = taken["quantization"]

    def answer(x: np.ndarray) -> tuple[np.ndarray]:
        steps = np.clip(np.round(x / scale) + zero, -128, 127).astype(np.int8)
        opened.set_tensor(taken["index"], steps)
        opened.invoke()
        return (opened.get_tensor(given["index"]),)

    return answer


def executorch(module: nn.Module, inputs: Inputs, rows: Rows, file: Path) -> None:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer().set_global(
        get_symmetric_quantization_config(is_per_channel=True)
    )
    ready = prepare_pt2e(torch.export.export(module, inputs).module(), quantizer)
    with torch.no_grad():
        for row in rows:
            ready(torch.from_numpy(row))
    ONE_LINERS["executorch"](convert_pt2e(ready), inputs, file)


DEFAULTS = {"executorch": executorch, "tflite": tflite, "onnx": onnx}


def stressed(net: Any) -> None:
    """Scale channels of the residual streams of timm's MobileNetV2, in place."""
    drawn = torch.Generator().manual_seed(0)
    blocks = [block for stage in net.blocks for block in stage]
    starts = [i for i, block in enumerate(blocks) if not getattr(block, "has_skip", False)]
    for start, end in zip(starts, [*starts[1:], len(blocks)], strict=True):
        writers = [getattr(block, "bn3", block.bn2) for block in blocks[start:end]]
        readers = [block.conv_pw for block in blocks[start + 1 : end]]
        readers.append(blocks[end].conv_pw if end < len(blocks) else net.conv_head)
        scales = 2.0 ** torch.randint(0, 7, writers[0].weight.shape, generator=drawn)
        for norm in writers:
            norm.weight.data *= scales
            norm.bias.data *= scales
        for conv in readers:
            conv.weight.data /= scales[:, None, None]


def measured(file: Path, target: str, calibrate: Path, out: Path) -> list[dict[str, Any]]:
    """fp32, the runtime's own recipe and ours, of these weights."""
    torch.manual_seed(2)
    model = models.build(NAME, num_classes=len(SHAPES), input_size=SIDE)
    weights.load_into(model.module, file)
    images, labels = (t.numpy() for t in prepared(model.preprocess, SHOWN))
    recipe = recipe_of(NAME, file, calibrate)
    with sharing():
        made = convert(recipe, to=[target], out=out, precisions=["fp32", "w8a8"])
    files = {o.job.recipe.precision: o.artifact.path for o in made if o.artifact}
    files = {"fp32": files["fp32"], "default": out / f"default{find(target).suffix}"} | files
    rows = [row[None] for row in np.load(calibrate)]
    with redirect_stdout(sys.stderr):
        DEFAULTS[target](model.module, tuple(model.inputs), rows, files["default"])
    found, plain = [], None
    for what, path in files.items():
        answer = of_integers(path) if what == "default" and target == "tflite" else None
        answer = answer or find(target).load(path)
        right = np.array([int(answer(x[None])[0].argmax()) for x in images]) == labels
        found.append(row_of(NAME, what, target, right, plain))
        plain = right if plain is None else plain
    return found


@click.command()
@click.argument("out", type=click.Path(path_type=Path, exists=True))
@click.option("--to", default="executorch,tflite,onnx", show_default=True)
def main(out: Path, to: str) -> None:
    torch.set_num_threads(1)
    plain = out / f"{NAME}.safetensors"
    model = models.build(NAME, num_classes=len(SHAPES), input_size=SIDE)
    weights.load_into(model.module, plain)
    stressed(model.module)
    other = out / "stressed.safetensors"
    save_file({k: v.contiguous() for k, v in model.module.state_dict().items()}, other)
    table = Table("weights", "runtime", "", "accuracy", "points", "95 % interval", box=None)
    for name, file in (("as trained", plain), ("stressed", other)):
        for target in to.split(","):
            folder = out / "recipes" / name.replace(" ", "-")
            for row in measured(file, target, out / f"{NAME}.npy", folder):
                points = ["", ""]
                if "points" in row:
                    points = [f"{row['points']:+.2f}", f"[{row['low']:+.2f}, {row['high']:+.2f}]"]
                precision = {"w8a8": "edgevit's w8a8"}.get(row["precision"], row["precision"])
                table.add_row(name, target, precision, f"{row['accuracy']:.2f} %", *points)
    Console().print(table)


if __name__ == "__main__":
    main()
