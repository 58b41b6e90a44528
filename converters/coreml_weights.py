"""Core ML weights in fewer bits, by coremltools' own compressors.

    w8          8-bit integers, one scale an output channel               iOS 16
    w6          palettes of 64 values, one a tensor                       iOS 16
    w4          palettes of 16 values, one for 16 output channels         iOS 18
    w4-sparse   half of the weights zero, the others as w4                iOS 18

Activations stay fp16. Tensors of fewer than 2048 weights stay as they are: nothing would be gained.
"""

from typing import Any

from edgevit.errors import InputError

OLDEST = {"w8": 16, "w6": 16, "w4": 18, "w4-sparse": 18}  # iOS whose programs hold the form
GROUP = 16  # output channels that share a palette


def compress(model: Any, precision: str, *, ios: int) -> Any:
    """The MLModel with its weights in the form that `precision` names."""
    if ios < OLDEST[precision]:
        raise InputError(
            f"{precision} needs iOS {OLDEST[precision]}; convert with --ios {OLDEST[precision]}"
        )
    import coremltools.optimize.coreml as cto

    if precision == "w8":
        op = cto.OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8")
        return cto.linear_quantize_weights(model, cto.OptimizationConfig(op))
    if precision == "w4-sparse":
        pruner = cto.OpMagnitudePrunerConfig(target_sparsity=0.5)
        model = cto.prune_weights(model, cto.OptimizationConfig(pruner))
    palettes = (
        cto.OpPalettizerConfig(nbits=6)
        if precision == "w6"
        else cto.OpPalettizerConfig(
            nbits=4, granularity="per_grouped_channel", group_size=GROUP, num_kmeans_workers=1
        )
    )
    joint = precision == "w4-sparse"
    return cto.palettize_weights(model, cto.OptimizationConfig(palettes), joint_compression=joint)
