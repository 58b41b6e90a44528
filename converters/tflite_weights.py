"""A .tflite whose weights are stored in 8 or 4 bits, by Google's ai-edge-quantizer.

    w8    CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED    8 bits, a scale for each channel
    w4    FULLY_CONNECTED                                4 bits, a scale for 32 of a row
          the others                                     as w8

XNNPACK unpacks 8-bit weights when it loads the file and computes in fp32. 4-bit ones it does not
unpack: a DEQUANTIZE of them, and a convolution, fall out of the delegate. It multiplies by them in
a fully connected layer, whose activations it then quantizes to 8 bits, as they come. Rows of other
lengths than multiples of 32 are stored as in w8.
"""

import re
from pathlib import Path

from edgevit.recipe import SMALL

from .explain.flatbuffer import parse

PRODUCT, BLOCK = "FULLY_CONNECTED", 32


def store(file: Path, *, bits: int) -> None:
    """Replace the fp32 `file` by one whose weights are stored in `bits`."""
    from ai_edge_quantizer import qtyping, quantizer

    unpacked = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=8, granularity=qtyping.QuantGranularity.CHANNELWISE
        ),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
        min_weight_elements=SMALL + 1,
    )
    multiplied = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=4, granularity=qtyping.QuantGranularity.BLOCKWISE_32
        ),
        compute_precision=qtyping.ComputePrecision.INTEGER,
        min_weight_elements=SMALL + 1,
    )
    graph, made = parse(file), quantizer.Quantizer(str(file))
    for name in ("CONV_2D", "DEPTHWISE_CONV_2D", PRODUCT):
        made.update_quantization_recipe(".*", qtyping.TFLOperationName(name), unpacked)
    for operator in graph.operators if bits == 4 else ():
        if operator.name == PRODUCT and not graph.tensors[operator.sources[1]].shape[-1] % BLOCK:
            # The quantizer knows an operator by what it writes, and a semicolon.
            scope = f"^{re.escape(graph.tensors[operator.results[0]].name)};$"
            made.update_quantization_recipe(scope, qtyping.TFLOperationName(PRODUCT), multiplied)
    made.quantize().export_model(str(file), overwrite=True)
