"""Quantizers of papers on vision transformers: a tensor, and what so many bits leave of it.

uniform  evenly spaced from the least to the largest value: what every paper starts from
log2     FQ-ViT (arXiv 2111.13824), Log-Int-Softmax: what a softmax writes, as powers of 2
repq     RepQ-ViT (arXiv 2212.08254): as powers of √2; what a LayerNorm writes, in steps of each
         channel, which are then one step, the rest being the norm's and the next layer's weights
isvit    I&S-ViT (arXiv 2311.10126): the shift-uniform-log2 quantizer; LayerNorms as in RepQ-ViT
adalog   AdaLog (arXiv 2407.12951): powers of a base searched for each softmax and each GELU

The quantizers alone, none of the stages in which some of them train or reconstruct a block. Other
ranges are from the least to the largest value in all of them, so that rows differ in nothing else.
What a paper searches is searched for the least squared error of the tensor; in AdaLog's it is that
of the layer that reads it, and uniform ranges are searched, too. DopQ-ViT and MPTQ-ViT are
not here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

Quantizer = Callable[[Tensor], Tensor]
GELU_LEAST = 0.17  # AdaLog's: GELU's least value is −0.16997
BASES = 37  # AdaLog's r: bases are 2^(q/37)
KEPT = 4  # of the points of a grid that are refined; then again, on half the distance
ROUNDS = 4


@dataclass(frozen=True)
class Seen:
    """Of a tensor over the calibration. low, high: [channels], its last axis; values: some [n]."""

    low: Tensor
    high: Tensor
    values: Tensor


Fit = Callable[[Seen, int], Quantizer]


def grid(low: Tensor, high: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """The step s = (high − low) / (2ᵇ − 1) and the zero point z = ⌊−low/s⌉."""
    step = (high - low).clamp(min=1e-12) / (2**bits - 1)
    return step, (-low / step).round()


def on_grid(x: Tensor, step: Tensor, zero: Tensor, bits: int) -> Tensor:
    """s · (clip(⌊x/s⌉ + z, 0, 2ᵇ − 1) − z)"""
    return (((x / step).round() + zero).clamp(0, 2**bits - 1) - zero) * step


def powers(x: Tensor, top: float, octaves: float, bits: int) -> Tensor:
    """s · b^(−q), q = clip(⌊−log_b(x/s)⌉, 0, 2ᵇ − 1), for s = top and the base b = 2^octaves."""
    q = (-(x.clamp(min=0) / top).log2() / octaves).round().clamp(0, 2**bits - 1)
    return top * 2 ** (-q * octaves)


def shifted_log2(x: Tensor, shift: float, low: Tensor, high: Tensor, bits: int) -> Tensor:
    """2^(−⌊u⌉) − η, u being −log2(x + η) on the uniform grid of low..high, for η = shift."""
    exponent = on_grid(-(x + shift).log2(), *grid(low, high, bits), bits)
    return 2 ** -exponent.round() - shift


def evenly(seen: Seen, bits: int) -> Quantizer:
    """Uniform, over the range of the tensor and 0."""
    step, zero = grid(seen.low.min().clamp(max=0), seen.high.max().clamp(min=0), bits)
    return lambda x: on_grid(x, step, zero, bits)


def rooted(octaves: float) -> Fit:
    """Powers of 2^octaves below the largest value."""

    def fit(seen: Seen, bits: int) -> Quantizer:
        top = float(seen.high.max())
        return lambda x: powers(x, top, octaves, bits)

    return fit


def shifted(seen: Seen, bits: int) -> Quantizer:
    """η is searched on a grid of half octaves, 2⁻¹ to 2⁻²⁰."""

    def of(shift: float) -> Quantizer:
        low, high = (-(end + shift).log2() for end in (seen.high.max(), seen.low.min()))
        return lambda x: shifted_log2(x, shift, low, high, bits)

    return min((of(2 ** (-i / 2)) for i in range(2, 41)), key=lambda q: _error(q, seen.values))


def adaptive(offset: float) -> Fit:
    """Powers of a base, of x + offset; the base and the largest value are searched."""

    def fit(seen: Seen, bits: int) -> Quantizer:
        most = float(seen.high.max()) + offset

        def of(q: float, part: float) -> Quantizer:
            return lambda x: powers(x + offset, part * most, q / BASES, bits) - offset

        starts = [(q, part) for q in (8.0, 24.0, 40.0, 56.0, 72.0) for part in (0.4, 0.6, 0.8, 1.0)]
        return of(*least(lambda q, part: _error(of(q, part), seen.values), starts, (16, 0.2)))

    return fit


def least(
    error: Callable[[float, float], float],
    points: Iterable[tuple[float, float]],
    step: tuple[float, float],
) -> tuple[float, float]:
    """The point of least error on a grid that is refined around its best points.

    AdaLog's fast progressive combining search. A step of 16 ends at 1, so that q stays whole.
    """
    known = cache(error)
    for _ in range(ROUNDS):
        best = sorted(points, key=lambda p: known(*p))[:KEPT]
        a, b = step = step[0] / 2, step[1] / 2
        points = {
            (q + i * a, part + j * b)
            for q, part in best
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
            if q + i * a >= 1
        }
    return min(points, key=lambda p: known(*p))


def reparameterized(
    seen: Seen, weight: Tensor, bias: Tensor | None, bits: int
) -> tuple[Quantizer, Tensor, Tensor]:
    """A quantizer of one step where each channel has its own, and the linear layer behind it.

    RepQ-ViT's scale reparameterization: from the steps s and zero points z of the channels to their
    means s̃ and z̃, by r₁ = s/s̃ and r₂ = z − z̃, the norm's γ/r₁ and (β + s⊙r₂)/r₁, the weights
    r₁⊙W and the bias b − W(s⊙r₂). The mean of the zero points is rounded.
    """
    steps, zeros = grid(seen.low, seen.high, bits)
    step, zero = steps.mean(), zeros.mean().round()
    ratio, shift = steps / step, steps * (zeros - zero)
    plain = torch.zeros(len(weight)) if bias is None else bias
    return (
        lambda x: on_grid((x + shift) / ratio, step, zero, bits),
        weight * ratio,
        plain - weight @ shift,
    )


@dataclass(frozen=True)
class Method:
    """softmax, gelu: how what they write is rounded. norms: whether steps are reparameterized."""

    softmax: Fit = evenly
    gelu: Fit = evenly
    norms: bool = False


METHODS = {
    "uniform": Method(),
    "log2": Method(softmax=rooted(1)),
    "repq": Method(softmax=rooted(0.5), norms=True),
    "isvit": Method(softmax=shifted, norms=True),
    "adalog": Method(softmax=adaptive(0), gelu=adaptive(GELU_LEAST)),
}


def _error(quantizer: Quantizer, values: Tensor) -> float:
    return float((quantizer(values) - values).square().sum())
