"""Small nets with what a converter can get wrong, in modules of their own; see planted_faults."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DIM, HEADS = 16, 2


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        split = self.qkv(x).reshape(b, n, 3, HEADS, c // HEADS).permute(2, 0, 3, 1, 4)
        q, k, v = split.unbind(0)
        weights = (q @ k.transpose(-2, -1) * (c // HEADS) ** -0.5).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, c))


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(0.5 + torch.rand(DIM))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Mlp(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(DIM, 2 * DIM), nn.GELU(), nn.Linear(2 * DIM, DIM))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.attn, self.scale1 = nn.LayerNorm(DIM), Attention(), Scale()
        self.norm2, self.mlp, self.scale2 = nn.LayerNorm(DIM), Mlp(), Scale()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.scale1(self.attn(self.norm1(x)))
        return x + self.scale2(self.mlp(self.norm2(x)))


class Readout(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, DIM, 4, 4)
        self.token = nn.Parameter(0.1 * torch.randn(1, 1, DIM))
        self.position = nn.Parameter(0.1 * torch.randn(1, 13, DIM))
        self.blocks = nn.Sequential(Block(), Block())
        self.readout, self.head = Readout(), nn.Linear(DIM, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        return self.head(self.readout(self.blocks(x)))


class PadSame(nn.Module):
    """As TensorFlow pads for a stride of two: below and to the right."""

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 1, 0, 1))


class Excite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.less, self.more = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.more(F.relu(self.less(x.mean((2, 3), keepdim=True)))))


class Inverted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8, bias=False)
        self.norm, self.act, self.excite = nn.BatchNorm2d(8), nn.Hardswish(), Excite()
        self.grouped = nn.Conv2d(8, 8, 1, groups=2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.grouped(self.excite(self.act(self.norm(self.depthwise(x)))))


class Shuffle(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        return x.reshape(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)


class Tile(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.repeat(1, 2, 1, 1)


class Crop(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, 1:-1, 1:-1]


class Thin(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, ::2]


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pad, self.stem = PadSame(), nn.Conv2d(3, 8, 3, 2, bias=False)
        self.norm, self.relu = nn.BatchNorm2d(8), nn.ReLU()
        self.blocks = nn.Sequential(Inverted(), Inverted())
        self.pool = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
        self.shuffle, self.tile, self.crop, self.thin = Shuffle(), Tile(), Crop(), Thin()
        self.last, self.head = nn.Conv2d(16, 8, 2), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.relu(self.norm(self.stem(self.pad(x)))))
        x = self.last(self.thin(self.tile(self.shuffle(self.pool(self.crop(x))))))
        return self.head(x.mean((2, 3)))


class ChannelsLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.depthwise, self.norm = nn.Conv2d(DIM, DIM, 3, padding=1, groups=DIM), nn.LayerNorm(DIM)
        self.mlp, self.scale = Mlp(), Scale()

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + self.scale(self.mlp(y)).permute(0, 3, 1, 2)


class Modern(nn.Module):
    """Blocks that turn the map channels last and back."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, DIM, 2, 2)
        self.stage = nn.Sequential(ChannelsLast(), ChannelsLast())
        self.last, self.head = nn.Conv2d(DIM, 8, 3), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(self.stage(self.stem(x))).relu().mean((2, 3)))


def net(kind: type[nn.Module]) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """In evaluation, with batch-norm statistics as of a trained net, and an example image."""
    torch.manual_seed(0)
    module = kind().eval().requires_grad_(False)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.copy_(0.3 * torch.randn(8))
            part.running_var.copy_(0.02 + torch.rand(8) / 5)
            part.weight.copy_(2 + torch.rand(8))
            part.bias.copy_(torch.randn(8))
        elif isinstance(part, nn.LayerNorm):
            part.weight.copy_(0.5 + torch.rand(DIM))
            part.bias.copy_(0.1 * torch.randn(DIM))
    size = {Transformer: (12, 16), Convolutional: (28, 20), Modern: (12, 12)}[kind]
    return module, (torch.linspace(-2, 2, 3 * size[0] * size[1]).reshape(1, 3, *size),)
