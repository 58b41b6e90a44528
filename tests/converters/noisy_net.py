"""A net with one block that 8 bits are bad for."""

import torch
from torch import Tensor, nn


class Part(nn.Module):
    """Two layers with GELU between: one channel there is `wide` times as large as the others."""

    def __init__(self, wide: float) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(16, 16), nn.Linear(16, 16)
        with torch.no_grad():
            self.a.weight[3] *= wide
            self.b.weight[:, 3] /= wide

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(nn.functional.gelu(self.a(x)))


class Net(nn.Module):
    """Six parts, the fifth of which is planted, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.parts = nn.Sequential(*(Part(500.0 if i == 4 else 1.0) for i in range(6)))
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.parts(x))


def net() -> tuple[Net, Tensor]:
    return Net(), torch.zeros(1, 16)
