"""XNNPACK's own operators, and which operators of the file they compute.

XNNPACK's profiler names operators in the order of the graph, but neither their tensors nor their
places: a clamp or a pad has gone into its neighbour, a reshape may be nothing at all. So the two
lists are laid side by side like two texts, each pair of the same kind as far as order allows.
"""

import re
from collections.abc import Sequence

from edgevit.converters.explain.explanation import Node

# The file's words, in small letters and without digits, for XNNPACK's.
WORDS = {
    # ExecuTorch's graphs
    "convd": "convolution",  # LiteRT's too
    "depthwiseconvd": "convolution",
    "convtransposed": "deconvolution",
    "div": "divide",
    "avgpoolingd": "averagepooling",
    "maxpoolingd": "maxpooling",
    "globalavgpoolingd": "mean",
    "argmaxpoolingd": "argmaxpooling",
    "sin": "sine",
    "cos": "cosine",
    "concatenate": "copy",
    "resizebilineard": "resizebilinear",
    # LiteRT's operators
    "transposeconv": "deconvolution",
    "batchmatmul": "batchmatrixmultiply",
    "mul": "multiply",
    "sub": "subtract",
    "rsqrt": "reciprocalsquareroot",
    "sqrt": "squareroot",
    "neg": "negate",
    "ceil": "ceiling",
    "logistic": "sigmoid",
    "relu": "clamp",
    "relunto": "clamp",
    "pad": "constantpad",
    "concatenation": "copy",
    "split": "slice",
    "stridedslice": "slice",
    "expanddims": "reshape",
    "squeeze": "reshape",
    "averagepoold": "averagepooling",
    "maxpoold": "maxpooling",
    "quantize": "convert",
    "dequantize": "convert",
    # One node of a file becomes one of several of XNNPACK's: a 1×1 convolution, a product.
    "fullyconnected": "convolution",
    "dynamicfullyconnected": "convolution",
    "fusedims": "reshape",
    "splitdims": "reshape",
    "approxgelu": "gelu",
    "square": "multiply",
    "meansquared": "mean",
}


def kind(name: str) -> str:
    """One word for what the file and XNNPACK call the same; without XNNPACK's type and kernel."""
    letters = re.sub(r"[^a-z]", "", name.partition(" (")[0].lower()).removeprefix("static")
    return WORDS.get(letters, letters)


def aligned(names: Sequence[str], nodes: Sequence[Node]) -> list[Node | None]:
    """For each operator that ran, in order, its node in the file; None where there is none.

    The longest common subsequence of the kinds, so that one operator too many or too few shifts
    nothing after it.
    """
    ran, filed = [kind(n) for n in names], [kind(n.op) for n in nodes]
    # common[i][j]: how many can be paired in ran[i:] and filed[j:]
    common = [[0] * (len(filed) + 1) for _ in range(len(ran) + 1)]
    for i in range(len(ran) - 1, -1, -1):
        row, below = common[i], common[i + 1]
        for j in range(len(filed) - 1, -1, -1):
            same = ran[i] == filed[j]
            row[j] = below[j + 1] + 1 if same else max(below[j], row[j + 1])
    found: list[Node | None] = [None] * len(ran)
    i = j = 0
    while i < len(ran) and j < len(filed):
        if ran[i] == filed[j]:
            found[i] = nodes[j]
            i, j = i + 1, j + 1
        elif common[i + 1][j] >= common[i][j + 1]:
            i += 1
        else:
            j += 1
    return found
