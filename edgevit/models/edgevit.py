"""EdgeViT: local aggregation, attention among a few delegates, local propagation.

Pan et al., "EdgeViTs: Competing Light-weight CNNs on Mobile Devices with Vision Transformers",
ECCV 2022, section 3. Widths, depths and heads are those of the authors' released code, which give
the parameters and MACs they print. One thing differs from it: a delegate is picked before its
LayerNorm, not after, which computes the same numbers for a sixteenth of the positions.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-6


def depthwise(width: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)


def as_tokens(x: Tensor) -> Tensor:
    """[B, C, H, W] → [B, H·W, C]."""
    return x.flatten(2).transpose(1, 2)


def as_map(x: Tensor, height: int, width: int) -> Tensor:
    """[B, H·W, C] → [B, C, H, W]."""
    return x.transpose(1, 2).unflatten(2, (height, width))


class Mlp(nn.Module):
    """fc2(gelu(fc1(x))) over the last axis, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class LocalAggregation(nn.Module):
    """Each position gathers its neighbours: convolutions in a transformer block's place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.position = depthwise(width, 3)
        self.mixer = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Conv2d(width, width, 1),
            depthwise(width, 5),
            nn.Conv2d(width, width, 1),
        )
        self.mlp = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Conv2d(width, 4 * width, 1),
            nn.GELU(),
            nn.Conv2d(4 * width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.position(x)
        x = x + self.mixer(x)
        return x + self.mlp(x)


class SparseAttention(nn.Module):
    """The delegates of windows of r×r positions attend to each other: tokens of a map, [B, N, C].

    Their results then go back to their windows (local propagation). Every position is its own
    delegate where r is 1.
    """

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.qkv = nn.Linear(width, 3 * width)
        if window > 1:
            self.propagate = nn.ConvTranspose2d(width, width, window, stride=window, groups=width)
            # As many results reach a position as it has delegates, one, whatever the kernel's size.
            nn.init.normal_(self.propagate.weight)
            self.propagated_norm = nn.LayerNorm(width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, H·W, C]."""
        if self.window > 1:
            x = F.avg_pool2d(x, 1, self.window)  # picks one position of each window
        height, width = x.shape[2:]
        qkv = self.qkv(self.norm(as_tokens(x))).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each [B, heads, delegates, C / heads]
        x = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        if self.window > 1:
            x = self.propagated_norm(as_tokens(self.propagate(as_map(x, height, width))))
        return self.proj(x)


class Attention(nn.Module):
    """Pre-norm transformer block over a map, [B, C, H, W] → [B, C, H, W]."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.position = depthwise(width, 3)
        self.attention = SparseAttention(width, heads, window)
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.position(x)
        tokens = as_tokens(x) + self.attention(x)
        return as_map(tokens + self.mlp(self.norm(tokens)), *x.shape[2:])


class Patches(nn.Module):
    """Convolution of non-overlapping patches, then LayerNorm over channels, [B, C, H, W]."""

    def __init__(self, inputs: int, width: int, side: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, width, side, stride=side)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Shape:
    """Per stage: width, blocks, side of a delegate's window in positions, side of a patch."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    head_width: int
    windows: tuple[int, ...] = (4, 2, 2, 1)
    patches: tuple[int, ...] = (4, 2, 2, 2)


SHAPES = {
    "edgevit_xxs": Shape((36, 72, 144, 288), (1, 1, 3, 2), 36),
    "edgevit_xs": Shape((48, 96, 240, 384), (1, 1, 3, 1), 48),
    "edgevit_s": Shape((48, 96, 240, 384), (1, 2, 5, 3), 48),
}


class EdgeViT(nn.Module):
    """Image [B, inputs, H, W] → logits [B, classes]; H and W are multiples of 32 pixels."""

    def __init__(self, shape: Shape, *, classes: int = 1000, inputs: int = 3) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for width, depth, window, side in zip(
            shape.widths, shape.depths, shape.windows, shape.patches, strict=True
        ):
            blocks: list[nn.Module] = [Patches(inputs, width, side)]
            for _ in range(depth):
                if window > 1:
                    blocks.append(LocalAggregation(width))
                blocks.append(Attention(width, width // shape.head_width, window))
            stages.append(nn.Sequential(*blocks))
            inputs = width
        self.stages = nn.Sequential(*stages)
        self.norm = nn.BatchNorm2d(inputs)
        self.head = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] % 32 or x.shape[3] % 32:
            raise ValueError("height and width of the image must be multiples of 32 pixels")
        return self.head(self.norm(self.stages(x)).mean((2, 3)))
