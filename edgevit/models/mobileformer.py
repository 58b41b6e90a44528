"""Mobile-Former: a MobileNet and a transformer of six tokens side by side, with a bridge each way.

Chen et al., "Mobile-Former: Bridging MobileNet and Transformer", CVPR 2022, section 3; dynamic ReLU
is theirs too (ECCV 2020). Widths and the token-dependent gate of the first bridge are those of the
authors' released code. Its Former projects no keys and values, which makes 14.0 M parameters, as
their paper prints; here it is the standard transformer block that the paper describes, with 14.8 M,
as EfficientMod's table prints. The released weights therefore do not fit.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TOKENS, TOKEN_WIDTH = 6, 192
BRIDGE_HEADS, FORMER_HEADS = 2, 4


def convolution(
    inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution and batch norm, without activation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def heads(x: Tensor, count: int) -> Tensor:
    """[B, T, C] → [B, count, T, C / count]."""
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


def joined(x: Tensor) -> Tensor:
    """[B, heads, T, c] → [B, T, heads · c]."""
    return x.transpose(1, 2).flatten(2)


class DynamicReLU(nn.Module):
    """max(a₁x, a₂x) per channel, a₁ in 0..2 and a₂ in -1..1 computed from the first token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(TOKEN_WIDTH, TOKEN_WIDTH // 4)
        self.fc2 = nn.Linear(TOKEN_WIDTH // 4, 2 * width)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """[B, width, H, W] and [B, T, C] → [B, width, H, W]."""
        slopes = F.hardsigmoid(self.fc2(F.relu(self.fc1(tokens[:, 0]))))
        a1, a2 = (2 * slopes[:, :, None, None]).chunk(2, dim=1)
        return torch.maximum(a1 * x, (a2 - 1) * x)


class MobileToFormer(nn.Module):
    """Tokens look at the map, whose pixels are keys and values as they are: tokens [B, T, C]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(TOKEN_WIDTH, width)
        self.q = nn.Linear(TOKEN_WIDTH, width)
        self.proj = nn.Linear(width, TOKEN_WIDTH)
        self.norm = nn.LayerNorm(TOKEN_WIDTH)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        pixels = heads(x.flatten(2).transpose(1, 2), BRIDGE_HEADS)
        seen = joined(
            F.scaled_dot_product_attention(heads(self.q(tokens), BRIDGE_HEADS), pixels, pixels)
        )
        gated = 2 * F.hardsigmoid(self.gate(tokens)) * seen
        return self.norm(tokens + self.proj(gated))


class Former(nn.Module):
    """Post-norm transformer block, tokens [B, T, C], with an MLP twice as wide."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(TOKEN_WIDTH, 3 * TOKEN_WIDTH)
        self.proj = nn.Linear(TOKEN_WIDTH, TOKEN_WIDTH)
        self.norm1 = nn.LayerNorm(TOKEN_WIDTH)
        self.fc1 = nn.Linear(TOKEN_WIDTH, 2 * TOKEN_WIDTH)
        self.fc2 = nn.Linear(2 * TOKEN_WIDTH, TOKEN_WIDTH)
        self.norm2 = nn.LayerNorm(TOKEN_WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = (heads(part, FORMER_HEADS) for part in self.qkv(tokens).chunk(3, -1))
        tokens = tokens + self.proj(joined(F.scaled_dot_product_attention(q, k, v)))
        tokens = self.norm1(tokens)
        return self.norm2(tokens + self.fc2(F.gelu(self.fc1(tokens))))


class FormerToMobile(nn.Module):
    """Pixels look at the tokens, and are queries as they are: map [B, width, H, W]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.k = nn.Linear(TOKEN_WIDTH, width)
        self.v = nn.Linear(TOKEN_WIDTH, width)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        q = heads(x.flatten(2).transpose(1, 2), BRIDGE_HEADS)
        k, v = (heads(fc(tokens), BRIDGE_HEADS) for fc in (self.k, self.v))
        seen = joined(F.scaled_dot_product_attention(q, k, v))
        return x + seen.transpose(1, 2).unflatten(2, x.shape[2:])


class Bottleneck(nn.Module):
    """1×1, 3×3 depthwise, 1×1, with dynamic ReLU between, and a shortcut where widths agree."""

    def __init__(self, row: "Row", inputs: int) -> None:
        super().__init__()
        hidden = inputs * row.expansion
        self.shortcut = inputs == row.width
        self.widen = convolution(inputs, hidden)
        self.relu1 = DynamicReLU(hidden)
        self.depthwise = convolution(hidden, hidden, 3, groups=hidden)
        self.relu2 = DynamicReLU(hidden)
        self.narrow = convolution(hidden, row.width)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        y = self.relu1(self.widen(x), tokens)
        y = self.narrow(self.relu2(self.depthwise(y), tokens))
        return x + y if self.shortcut else y


class Downsampling(nn.Module):
    """A depthwise convolution that widens and halves, 1×1, the same again without halving."""

    def __init__(self, row: "Row", inputs: int) -> None:
        super().__init__()
        first, second = inputs * row.expansion, row.width * row.second_expansion
        self.widen1 = convolution(inputs, first, 3, stride=2, groups=inputs)
        self.relu1 = DynamicReLU(first)
        self.narrow1 = convolution(first, row.width)
        self.widen2 = convolution(row.width, second, 3, groups=row.width)
        self.relu2 = DynamicReLU(second)
        self.narrow2 = convolution(second, row.width)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        x = self.narrow1(self.relu1(self.widen1(x), tokens))
        return x + self.narrow2(self.relu2(self.widen2(x), tokens))


@dataclass(frozen=True)
class Row:
    """A block: output channels, and how much wider it is inside; halving blocks widen twice."""

    width: int
    expansion: int
    second_expansion: int = 0

    @property
    def halves(self) -> bool:
        return self.second_expansion > 0


class Block(nn.Module):
    """Map [B, C, H, W] and tokens [B, T, C'] → the same, each told what the other found."""

    def __init__(self, row: Row, inputs: int) -> None:
        super().__init__()
        self.to_former = MobileToFormer(inputs)
        self.former = Former()
        self.mobile = (Downsampling if row.halves else Bottleneck)(row, inputs)
        self.to_mobile = FormerToMobile(row.width)

    def forward(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.former(self.to_former(x, tokens))
        return self.to_mobile(self.mobile(x, tokens), tokens), tokens


@dataclass(frozen=True)
class Shape:
    """Channels of the stem, of the last 1×1 and of the hidden layer of the head."""

    stem: int
    rows: tuple[Row, ...]
    last: int
    hidden: int


SHAPES = {
    "mobileformer_508m": Shape(
        24,
        (
            *(Row(40, 6, 4), Row(40, 3)),
            *(Row(72, 6, 4), Row(72, 3)),
            *(Row(128, 6, 4), Row(128, 4), Row(176, 6), Row(176, 6)),
            *(Row(240, 6, 4), Row(240, 6), Row(240, 6)),
        ),
        last=1440,
        hidden=1920,
    )
}


class MobileFormer(nn.Module):
    """Image [B, inputs, H, W] → logits [B, classes]; H and W of at least 32 pixels."""

    def __init__(self, shape: Shape, *, classes: int = 1000, inputs: int = 3) -> None:
        super().__init__()
        width = shape.stem
        self.tokens = nn.Parameter(torch.randn(TOKENS, TOKEN_WIDTH))
        self.stem = nn.Sequential(convolution(inputs, width, 3, stride=2), nn.ReLU6())
        self.lite = nn.Sequential(
            convolution(width, 2 * width, 3, groups=width),
            nn.ReLU6(),
            convolution(2 * width, width),
        )
        blocks = []
        for row in shape.rows:
            blocks.append(Block(row, width))
            width = row.width
        self.blocks = nn.ModuleList(blocks)
        self.to_former = MobileToFormer(width)
        self.last = nn.Sequential(convolution(width, shape.last), nn.ReLU6())
        self.fc = nn.Linear(shape.last + TOKEN_WIDTH, shape.hidden)
        self.norm = nn.BatchNorm1d(shape.hidden)
        self.head = nn.Linear(shape.hidden, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                # Keeps the size of what goes through: torch's own third of it per layer leaves
                # nothing of the image behind twelve blocks whose batch norms are not trained.
                fan_in = module.weight[0].numel()
                nn.init.normal_(module.weight, std=fan_in**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.lite(x)
        tokens = self.tokens.expand(len(x), -1, -1)
        for block in self.blocks:
            x, tokens = block(x, tokens)
        tokens = self.to_former(x, tokens)
        pooled = F.hardswish(self.last(x).mean((2, 3)))
        x = self.fc(torch.cat([pooled, tokens[:, 0]], 1))
        return self.head(F.hardswish(self.norm(x)))
