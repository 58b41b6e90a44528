"""Core ML weights in fewer bits, in coremltools' own formats.

    w8          8-bit integers, scale and zero point an output channel    iOS 16
    w6          palettes of 64 values, one a tensor                       iOS 16
    w4          palettes of 16 values, one for 4 output channels          iOS 18
    w4-sparse   half of the weights zero, the others as w4                iOS 18

Activations stay fp16. Tensors of fewer than 2048 weights stay as they are: nothing would be gained.
Palettes are fitted here: coremltools' own way needs scikit-learn and a minute for 10 M weights.
"""

from functools import partial
from typing import Any

import numpy as np

GROUP = 4  # output channels that share a palette: it divides the 1000 of a head, 16 does not


def compress(model: Any, precision: str) -> Any:
    """The MLModel with its weights in the form that `precision` names."""
    import coremltools.optimize.coreml as cto

    if precision == "w8":
        op = cto.OpLinearQuantizerConfig(mode="linear", dtype="int8")
        return cto.linear_quantize_weights(model, cto.OptimizationConfig(op))
    if precision == "w4-sparse":
        pruner = cto.OpMagnitudePrunerConfig(target_sparsity=0.5)
        model = cto.prune_weights(model, cto.OptimizationConfig(pruner))
    fit = partial(palette, bits=6 if precision == "w6" else 4)
    share = {} if precision == "w6" else {"granularity": "per_grouped_channel", "group_size": GROUP}
    palettes = cto.OpPalettizerConfig(mode="custom", lut_function=fit, **share)
    joint = precision == "w4-sparse"
    return cto.palettize_weights(model, cto.OptimizationConfig(palettes), joint_compression=joint)


def palette(weights: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The 2^bits values that stand for the weights with least squared error, and for each which.

    Lloyd's method (1982): a weight goes to the nearest value, a value to the mean of its weights.
    It begins where many levels lie best, with a density as the cube root of the weights' (Panter
    and Dite 1951), and ends when no value moves by 10⁻⁵ of their range, after 100 steps at most.
    """
    values = np.sort(weights, axis=None).astype(np.float64)
    sums = np.concatenate([[0], values.cumsum()])
    count = 2**bits
    grid = np.quantile(values, np.linspace(0, 1, 32 * count + 1))
    places = np.concatenate([[0], (np.diff(grid) ** (2 / 3)).cumsum()])
    levels = np.interp((np.arange(count) + 0.5) / count * places[-1], places, grid)
    for _ in range(100):
        between = np.searchsorted(values, (levels[1:] + levels[:-1]) / 2)
        bounds = np.concatenate([[0], between, [values.size]])
        sizes = np.diff(bounds)
        means = np.where(sizes, np.diff(sums[bounds]) / sizes.clip(min=1), levels)
        moved = np.abs(means - levels).max()
        levels = means
        if moved <= 1e-5 * (values[-1] - values[0]):
            break
    nearest = np.searchsorted((levels[1:] + levels[:-1]) / 2, weights.reshape(-1))
    return levels.astype(weights.dtype), nearest.astype(np.uint8)
