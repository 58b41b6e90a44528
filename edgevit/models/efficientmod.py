"""EfficientMod: modulation blocks and a few attention blocks, channels last.

Ma et al., "Efficient Modulation for Vision Networks", ICLR 2024. Parameter names are those of the
authors' published checkpoints. One thing differs from the paper's wording: repeating the context
r times along the channels is written as a broadcast product over r groups, which computes the same
numbers and needs no copy (a tiled context becomes a rank-8 tensor in LiteRT, which cannot load it).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-5


class Context(nn.Module):
    """Context of every position, [B, H, W, C] → [B, H, W, C]: g(gelu(dw7×7(f(x))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.f = nn.Linear(width, width)
        self.context_list = nn.ModuleList([nn.Conv2d(width, width, 7, padding=3, groups=width)])
        self.g = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.context_list[0](self.f(x).permute(0, 3, 1, 2))
        return self.g(F.gelu(x).permute(0, 2, 3, 1))


class Modulation(nn.Module):
    """fc2(act(fc1(x)) ⊙ repeat(ctx(x), r)), [B, H, W, C] → [B, H, W, C]; no act when r = 1."""

    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        self.expansion = expansion
        self.fc1 = nn.Linear(width, width * expansion)
        self.context_layer = Context(width)
        self.fc2 = nn.Linear(width * expansion, width)

    def forward(self, x: Tensor) -> Tensor:
        value, context = self.fc1(x), self.context_layer(x)
        if self.expansion == 1:
            return self.fc2(value * context)
        # Whole blocks c0..cC-1 repeat, so channel k·C + c of the value meets context channel c.
        groups = F.gelu(value).unflatten(-1, (self.expansion, -1))
        return self.fc2((groups * context.unsqueeze(-2)).flatten(-2))


class ModulationBlock(nn.Module):
    """x + gamma_1 · modulation(norm(x)), channels last."""

    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.mlp = Modulation(width, expansion)
        self.gamma_1 = nn.Parameter(torch.full((width,), 1e-4))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gamma_1 * self.mlp(self.norm(x))


class Attention(nn.Module):
    """Eight heads of max(C // 8, 32) channels over the H·W positions, channels last."""

    def __init__(self, width: int, heads: int = 8) -> None:
        super().__init__()
        self.heads = heads
        self.head_width = max(width // heads, 32)
        self.qkv = nn.Linear(width, 3 * heads * self.head_width, bias=False)
        self.proj = nn.Linear(heads * self.head_width, width)

    def forward(self, x: Tensor) -> Tensor:
        _, height, width, _ = x.shape
        qkv = self.qkv(x.flatten(1, 2)).unflatten(-1, (3, self.heads, self.head_width))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each [B, heads, H·W, head_width]
        weights = (q @ k.transpose(-2, -1) * self.head_width**-0.5).softmax(-1)
        mixed = (weights @ v).transpose(1, 2).flatten(2)
        return self.proj(mixed).unflatten(1, (height, width))


class Mlp(nn.Module):
    """fc2(gelu(fc1(x))) over the last axis."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class AttentionBlock(nn.Module):
    """Pre-norm ViT block without LayerScale, channels last."""

    def __init__(self, width: int, mlp_ratio: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attn = Attention(width)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = Mlp(width, width * mlp_ratio)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Patches(nn.Module):
    """Strided convolution, then LayerNorm: [B, C, H, W] → [B, H', W', C'] (channels last)."""

    def __init__(self, inputs: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, width, kernel, stride=stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(width, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x).permute(0, 2, 3, 1))


class Stage(nn.Module):
    """Modulation blocks, then attention blocks, then the way down to the next stage."""

    def __init__(self, blocks: list[nn.Module], downsample: Patches | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x.permute(0, 3, 1, 2))


@dataclass(frozen=True)
class Shape:
    """Per stage: width, modulation blocks, attention blocks, attention MLP ratio; r by turns."""

    widths: tuple[int, ...]
    modulations: tuple[int, ...]
    attentions: tuple[int, ...]
    expansions: tuple[int, ...] = (1, 6)
    mlp_ratios: tuple[int, ...] = (4, 4, 4, 4)


SHAPES = {
    "efficientmod_xxs": Shape((32, 64, 128, 256), (2, 2, 6, 2), (0, 0, 1, 2)),
    "efficientmod_xs": Shape((32, 64, 144, 288), (3, 3, 4, 2), (0, 0, 3, 3), (1, 4)),
    "efficientmod_s": Shape(
        (32, 64, 144, 312), (4, 4, 8, 4), (0, 0, 4, 4), (1, 6), mlp_ratios=(4, 4, 4, 5)
    ),
    "efficientmod_s_conv": Shape((40, 80, 160, 344), (4, 4, 12, 8), (0, 0, 0, 0)),
}


class EfficientMod(nn.Module):
    """Image [B, inputs, H, W] → logits [B, classes]; H and W of at least 32 pixels."""

    def __init__(self, shape: Shape, *, classes: int = 1000, inputs: int = 3) -> None:
        super().__init__()
        self.patch_embed = Patches(inputs, shape.widths[0], 7, 4)
        stages = []
        for i, width in enumerate(shape.widths):
            blocks: list[nn.Module] = [
                ModulationBlock(width, shape.expansions[j % len(shape.expansions)])
                for j in range(shape.modulations[i])
            ]
            blocks += [
                AttentionBlock(width, shape.mlp_ratios[i]) for _ in range(shape.attentions[i])
            ]
            last = i == len(shape.widths) - 1
            stages.append(
                Stage(blocks, None if last else Patches(width, shape.widths[i + 1], 3, 2))
            )
        self.layers = nn.ModuleList(stages)
        self.norm = nn.LayerNorm(shape.widths[-1], eps=EPS)
        self.head = nn.Linear(shape.widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        for stage in self.layers:
            x = stage(x)
        return self.head(self.norm(x).mean((1, 2)))
