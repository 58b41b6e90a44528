"""Small modules that use what the runtimes have to get right."""

import torch
from torch import Tensor, nn


class Roles(nn.Module):
    """Three inputs of one shape in different roles, two outputs of different shapes and ranks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 12, 3, padding=1)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.linear = nn.Linear(12, 5)

    def forward(self, a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        x = nn.functional.gelu(self.depthwise(self.conv(a - 2 * b)))
        scores = self.linear(x.mean((2, 3))).softmax(1)
        return scores, torch.cumsum(c[:, :, ::2, ::3], 1) + 0.25 * b[:, :, :6, :4]


class Many(nn.Module):
    """Twelve inputs and outputs of one shape: their order is all that tells them apart."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(x * (i + 1) for i, x in enumerate(inputs))


class Normed(nn.Module):
    """LayerNorm over as many channels as broke ExecuTorch's fp16 kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(384)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


def roles() -> tuple[nn.Module, tuple[Tensor, ...]]:
    torch.manual_seed(0)
    return Roles().eval(), tuple(
        torch.linspace(-1, 1, 8 * 144).reshape(1, 8, 12, 12) * s for s in (1, 2, -1)
    )


def many() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return Many(), tuple(torch.linspace(-1, 1, 6).reshape(2, 3) for _ in range(12))


def normed() -> tuple[nn.Module, tuple[Tensor, ...]]:
    torch.manual_seed(0)
    return Normed().eval(), (3 * torch.randn(1, 7, 384) + 1,)
