"""Compressed weights are decoded to the bits that coremltools itself decompresses them to.

A convolution of one-hot images gives its own weight: every sum has one term that is not zero.
"""

import numpy as np
import pytest
from programs import model, quiet, saved, tools

from edgevit.converters.mil.evaluate import Evaluator

pytestmark = pytest.mark.needs("coremltools")

OUT, IN, KERNEL = 32, 8, (3, 3)


def quantize(**how):
    return ("linear_quantize_weights", "OpLinearQuantizerConfig", how)


def palettize(**how):
    return ("palettize_weights", "OpPalettizerConfig", how)


def prune(**how):
    return ("prune_weights", "OpMagnitudePrunerConfig", how)


HALVES = prune(target_sparsity=0.5)
# iOS, then the compressions one after the other, the later ones of what the earlier left.
SCHEMES = {
    "int8 per channel": (16, quantize(mode="linear_symmetric")),
    "int8 per tensor": (17, quantize(granularity="per_tensor")),
    "uint8 with zero points": (17, quantize(mode="linear", dtype="uint8")),
    "uint8 with one zero point": (
        16,
        quantize(mode="linear", dtype="uint8", granularity="per_tensor"),
    ),
    "int8 per block": (18, quantize(granularity="per_block", block_size=4)),
    "uint8 per block with zero points": (
        18,
        quantize(mode="linear", dtype="uint8", granularity="per_block", block_size=4),
    ),
    "int4 per block": (18, quantize(dtype="int4", granularity="per_block", block_size=2)),
    "uint4 per block with zero points": (
        18,
        quantize(mode="linear", dtype="uint4", granularity="per_block", block_size=2),
    ),
    "int4 per block of two axes": (
        18,
        quantize(dtype="int4", granularity="per_block", block_size=[4, 2, 1, 1]),
    ),
    "int4 per channel": (18, quantize(dtype="int4")),
    **{f"palette of {n} bits": (16, palettize(nbits=n)) for n in (1, 2, 4, 6, 8)},
    **{f"palette of {n} bits on iOS 18": (18, palettize(nbits=n)) for n in (1, 2, 3, 4, 6, 8)},
    "uniform palette": (17, palettize(nbits=4, mode="uniform")),
    **{
        f"palettes of groups of channels along axis {axis}": (
            18,
            palettize(nbits=3, granularity="per_grouped_channel", group_size=4, channel_axis=axis),
        )
        for axis in (0, 1)
    },
    "scaled palette": (18, palettize(nbits=4, enable_per_channel_scale=True)),
    "palette of vectors": (18, palettize(nbits=4, cluster_dim=4)),
    "palettes of vectors of groups": (
        18,
        palettize(nbits=2, cluster_dim=2, granularity="per_grouped_channel", group_size=8),
    ),
    "quantized palette": (18, palettize(nbits=4), quantize(granularity="per_tensor")),
    "sparse": (16, HALVES),
    "sparse on iOS 18": (18, HALVES),
    "sparse palette": (18, HALVES, palettize(nbits=4)),
    "sparse int8": (18, HALVES, quantize()),
    "sparse int4 per block": (
        18,
        HALVES,
        quantize(dtype="int4", granularity="per_block", block_size=4),
    ),
}


def compressed(ios, steps, *, half):
    """A model of one convolution, and the same with its weight compressed."""
    dtype = np.float16 if half else np.float32
    weight = np.random.default_rng(0).normal(size=(OUT, IN, *KERNEL)).astype(dtype)
    x = np.zeros((1, IN, *KERNEL), dtype)
    plain = model(lambda mb, x: mb.conv(x=x, weight=weight), {"x": x}, ios=ios, half=half)
    coreml = tools().ct.optimize.coreml
    for i, (function, config, how) in enumerate(steps):
        op = getattr(coreml, config)(**how, weight_threshold=0)
        joint = {"joint_compression": True} if i else {}
        plain = getattr(coreml, function)(plain, coreml.OptimizationConfig(op), **joint)
    return plain


def by_coremltools(packed) -> np.ndarray:
    program = tools().ct.optimize.coreml.decompress_weights(packed)._mil_program
    (conv,) = program.functions["main"].find_ops(op_type="conv")
    return conv.weight.val


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize("name", SCHEMES)
def test_the_bits_are_those_of_coremltools(tmp_path, name, half):
    ios, *steps = SCHEMES[name]
    with quiet():
        packed = compressed(ios, steps, half=half)
        expected = by_coremltools(packed)
    spec = packed.get_spec().mlProgram.functions["main"]
    (block,) = spec.block_specializations.values()
    kinds = [o.type for o in block.operations if o.type.startswith("constexpr_")]
    assert len(kinds) >= len(steps), f"coremltools has compressed nothing: {kinds}"
    one_hot = np.eye(IN * 9, dtype=np.float32).reshape(-1, IN, *KERNEL)
    loaded = Evaluator(saved(packed, tmp_path))
    found = np.concatenate([loaded(x[None])[0].reshape(OUT, 1) for x in one_hot], 1)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected.reshape(OUT, -1))
