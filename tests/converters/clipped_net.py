"""A net that reads a channel two thousand times as large as the others, and hardly heeds it."""

import numpy as np
import torch
from torch import Tensor, nn

LOUD, WIDE = 3, 2000.0
SHAPE = (1, 8, 12, 12)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(8, 16, 3), nn.Linear(16, 10)
        with torch.no_grad():
            self.first.weight[:, LOUD] /= 1e3 * WIDE

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).relu().mean((2, 3)))


def net() -> tuple[Net, Tensor]:
    return Net(), torch.zeros(SHAPE)


def rows(scale: float, count: int = 32) -> np.ndarray:
    """[count, 8, 12, 12]: all `scale` times as large, but for the loud channel."""
    x = np.random.default_rng(0).normal(0, 1, (count, *SHAPE[1:])).astype(np.float32)
    x[:, LOUD] *= WIDE
    x[:, :LOUD] *= scale
    x[:, LOUD + 1 :] *= scale
    return x
