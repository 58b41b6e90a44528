"""Random weights that leave no branch of a net at zero.

Libraries start residual branches at nothing: the last norm's scale is 0, a layer scale 1e-6. A
converter that folds constants then removes whole blocks, and the file's latency belongs to a
smaller net. So whatever scales or shifts is drawn anew, and the statistics of batch norms are those
of values as large as the norm meets, so that they keep an ordinary size at any depth.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm


def draw(module: nn.Module, shape: torch.Size, *, seed: int) -> None:
    """Draw norms, biases and layer scales in place: shifts in ±0.2, scales in 0.5 to 1.5.

    shape: [1, C, H, W], of the input. What a batch norm meets is measured in one pass and rounded
    to a power of two, or the weights would depend on the order in which a machine sums.
    """
    rng = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        if parameter.numel() == max(parameter.shape, default=0):  # one axis, maybe among ones
            drawn = _shifts if name.endswith("bias") else _scales
            parameter.data.copy_(drawn(parameter, rng))

    def measure(norm: BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        if norm.running_mean is None or norm.running_var is None:
            return
        size = 2.0 ** round(math.log2(inputs[0].square().mean().clamp(min=1e-12)) / 2)
        norm.running_mean.copy_(size * _shifts(norm.running_mean, rng))
        norm.running_var.copy_(size**2 * _scales(norm.running_var, rng))

    norms = [m for m in module.modules() if isinstance(m, BatchNorm)]
    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    if hooks:
        with torch.no_grad():
            module.eval()(_images(shape, rng))
    for hook in hooks:
        hook.remove()


def _shifts(like: Tensor, rng: torch.Generator) -> Tensor:
    return (torch.rand(like.shape, generator=rng) - 0.5) * 0.4


def _scales(like: Tensor, rng: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=rng) + 0.5


def _images(shape: torch.Size, rng: torch.Generator) -> Tensor:
    """[2, C, H, W]: white noise, and noise of equal strength in each octave, as photographs are."""
    white, smooth = torch.randn(shape, generator=rng), torch.zeros(shape)
    for k in range(int(math.log2(shape[-1])) + 1):
        octave = torch.randn((*shape[:2], 2**k, 2**k), generator=rng)
        smooth += nn.functional.interpolate(octave, shape[2:], mode="bilinear")
    return torch.cat([white, smooth / smooth.std()])
