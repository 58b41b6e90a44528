"""The even steps on which a target stores weights, as its own quantizer will choose them.

Weights that lie on them already are stored as they are, if the steps come out the same: so those
that decide a step stay where they are on it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Steps:
    """Of weights [..., n] in float64, all like them: weight = level · step, low ≤ level ≤ high.

    pinned: the level of a weight that decides its step, NaN for the others.
    """

    step: "Tensor"
    low: "Tensor"
    high: "Tensor"
    pinned: "Tensor"

    def nearest(self, weights: "Tensor") -> "Tensor":
        """Each weight on the step that is nearest to it."""
        level = (weights / self.step).round().clamp(self.low, self.high)
        return level.where(self.pinned.isnan(), self.pinned) * self.step

    def column(self, j: int) -> Self:
        return type(self)(*(t[..., j] for t in (self.step, self.low, self.high, self.pinned)))


@dataclass(frozen=True)
class Grid:
    """low, high: levels; one step for each output channel, or for `block` weights in a row of it.

    zero: whether a zero point moves them. smallest: step. bf16: whether the step is stored so.
    """

    low: int
    high: int
    block: int | None = None
    zero: bool = False
    smallest: float = 1e-12
    bf16: bool = False

    def steps(self, weights: "Tensor") -> Steps:
        """For weights [..., n], an output channel along the last axis."""
        import torch

        length = weights.shape[-1]
        block = self.block or length
        padded = torch.nn.functional.pad(weights.double(), (0, -length % block))
        blocks = padded.unflatten(-1, (-1, block))
        if self.zero:
            least = blocks.amin(-1, keepdim=True).clamp(max=0)
            most = blocks.amax(-1, keepdim=True).clamp(min=0)
            step = ((most - least) / (self.high - self.low)).clamp(min=self.smallest)
            low = (least / step).round()
            pinned = torch.where(blocks == most, low + self.high - self.low, torch.nan)
            pinned = torch.where(blocks == least, low, pinned)
        else:
            needed = torch.maximum(blocks / self.high, blocks / self.low)
            widest = needed.amax(-1, keepdim=True)
            step = widest.clamp(min=self.smallest)
            step = step.bfloat16().double() if self.bf16 else step
            low = torch.full_like(step, self.low)
            pinned = torch.where(needed == widest, (blocks / step).round(), torch.nan)
        found = (step, low, low + self.high - self.low, pinned)
        return Steps(*(t.expand_as(blocks).flatten(-2)[..., :length] for t in found))


INT8 = Grid(-127, 127)
UINT8 = Grid(0, 255, zero=True)


@dataclass(frozen=True)
class Stored:
    """On which grid a precision stores the weights of what; None for what stays in fp32.

    uneven: linear layers whose rows the block does not divide. depthwise: convolutions of one
    channel each. above: so many weights, or fewer, stay in fp32, too.
    """

    linear: Grid | None = None
    uneven: Grid | None = None
    conv: Grid | None = None
    depthwise: Grid | None = None
    above: int = 0

    def grid(self, weight: "Tensor", groups: int) -> Grid | None:
        """For a weight [out, in] or, of so many groups, [out, in / groups, height, width]."""
        if weight.numel() <= self.above:
            return None
        if weight.dim() == 2:
            block = self.linear.block if self.linear else None
            return self.uneven or self.linear if block and weight.shape[1] % block else self.linear
        if groups == 1 or weight.shape[1] > 1:
            return self.conv
        return self.depthwise
