"""Files of the graphs in known_graphs.py, for `known_graph_files.py tflite|coreml FOLDER`.

A script of its own, as converters warn on import. bad.* and good.* hold the nets of all rules; what
cannot stand beside others, or is cured by a rewrite, has RULE.bad.* and RULE.good.*. What the
readers make of them goes into told.json.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from known_graphs import (
    COREML,
    COREML_CURED,
    TFLITE,
    TFLITE_CURED,
    TOKENS,
    Net,
    nets,
)

from edgevit.converters.explain import mlpackage
from edgevit.converters.explain.explanation import Explanation
from edgevit.converters.explain.tflite import read


def tflite(folder):
    import litert_torch
    from ai_edge_quantizer import quantizer, recipe

    for name, program, examples in nets(TFLITE, TFLITE_CURED):
        litert_torch.convert(program.module(), examples).export(str(folder / f"{name}.tflite"))
    layer = torch.nn.Linear(64, 64)
    for form, shape in (("bad", (1, 6, 64)), ("good", (6, 64))):
        file = str(folder / f"int8-residual.{form}.tflite")
        residual = Net({"int8-residual": lambda layer, x, t: x + layer(x)}, int8_residual=layer)
        litert_torch.convert(residual.eval(), (torch.ones(shape), torch.ones(1))).export(file)
        made = quantizer.Quantizer(file, recipe.dynamic_wi8_afp32())
        made.quantize().export_model(file, overwrite=True)


def coreml(folder):
    import coremltools as ct
    from coremltools.optimize import coreml as optimize

    def save(name, program, precision=ct.precision.FLOAT16, **given):
        made = ct.convert(
            program,
            minimum_deployment_target=ct.target.iOS17,
            compute_precision=precision,
            skip_model_load=True,
            **given,
        )
        made.save(str(folder / f"{name}.mlpackage"))
        return made

    for name, program, _ in nets(COREML, COREML_CURED):
        save(name, program.run_decompositions({}))
    assert "rank <= 5" in _refused(save)
    norm = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.LayerNorm(14)).eval()
    conv = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 3)).eval()
    traced = torch.jit.trace(conv, torch.randn(1, 3, 16, 16))
    save("recurrent.bad", _recurrent())
    along = torch.jit.trace(torch.nn.Conv1d(6, 8, 3), torch.randn(TOKENS))
    save("recurrent.good", along, inputs=[ct.TensorType("t", TOKENS)])
    plain = save("fp32.good", traced, inputs=[ct.TensorType("x", (1, 3, 16, 16))])
    save("fp32.bad", traced, ct.precision.FLOAT32, inputs=[ct.TensorType("x", (1, 3, 16, 16))])
    ranged = (1, 3, ct.RangeDim(8, 32, default=16), 16)
    save("range-of-sizes.bad", traced, inputs=[ct.TensorType("x", ranged)])
    listed = ct.EnumeratedShapes([(1, 3, 16, 16), (1, 3, 32, 16)])
    save("range-of-sizes.good", traced, inputs=[ct.TensorType("x", listed)])
    normed = torch.jit.trace(norm, torch.randn(1, 3, 16, 16))
    save("enumerated-layer-norm.bad", normed, inputs=[ct.TensorType("x", listed)])
    save("enumerated-layer-norm.good", normed, inputs=[ct.TensorType("x", (1, 3, 16, 16))])
    save("image-as-it-is.bad", traced, inputs=[ct.ImageType("x", (1, 3, 16, 16))])
    scaled = ct.ImageType("x", (1, 3, 16, 16), scale=1 / 255)
    save("image-as-it-is.good", traced, inputs=[scaled])
    config = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=1)
    made = optimize.linear_quantize_weights(plain, optimize.OptimizationConfig(config))
    made.save(str(folder / "linear-quantized.bad.mlpackage"))
    config = optimize.OpPalettizerConfig(mode="uniform", nbits=4, weight_threshold=1)
    made = optimize.palettize_weights(plain, optimize.OptimizationConfig(config))
    made.save(str(folder / "linear-quantized.good.mlpackage"))


def _refused(convert):
    """What coremltools says to a tensor of six axes, as in apple/coremltools#1723."""
    from coremltools.converters.mil import Builder as mb

    @mb.program(input_specs=[mb.TensorSpec((1, 96, 28, 28))])
    def program(x):
        return mb.reshape(x=x, shape=[1, 96, 14, 2, 14, 2])

    try:
        convert("rank-over-5", program)
    except ValueError as e:
        return str(e)
    return "nothing"


def _recurrent():
    """coremltools 9.0 stumbles over torch's LSTM."""
    from coremltools.converters.mil import Builder as mb

    @mb.program(input_specs=[mb.TensorSpec((6, 1, 16))])
    def program(t):
        state, weights = np.zeros((1, 8), np.float32), np.zeros((32, 24), np.float32)
        into = {"weight_ih": weights[:, :16], "weight_hh": weights[:, 16:]}
        return mb.lstm(x=t, initial_h=state, initial_c=state, **into)[0]

    return program


def _told(file):
    if file.suffix == ".mlpackage":
        return mlpackage.explain(file)
    return Explanation(file.name, "tflite", "XNNPACK", tuple(read(file)[0]), "")


if __name__ == "__main__":
    made = Path(sys.argv[2])
    {"tflite": tflite, "coreml": coreml}[sys.argv[1]](made)
    told = {file.stem: asdict(_told(file)) for file in sorted(made.iterdir())}
    (made / "told.json").write_text(json.dumps(told))
