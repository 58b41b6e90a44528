"""A net with one of each layer that 8 bits may have, and what stays between them."""

import torch
from torch import nn


class Mixed(nn.Module):
    """A convolution, one of one channel each, a norm, two linear layers and what lies between."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 32, 4, 4)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.norm = nn.LayerNorm(32)
        self.mlp = nn.ModuleList((nn.Linear(32, 128), nn.Linear(128, 32)))
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stem(x).relu()
        y = (y + self.depthwise(y)).flatten(2).mT
        y = y + self.mlp[1](nn.functional.gelu(self.mlp[0](self.norm(y))))
        return self.head(y.mean(1))
