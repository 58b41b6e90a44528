"""Nets to be pruned and pictures of three classes, in a folder; and the command on them."""

import numpy as np
from click.testing import CliRunner
from PIL import Image

from edgevit.cli import cli
from edgevit.errors import InputError

NET = """
import torch
from torch import nn
from edgevit.preprocess import Preprocess

def net(wide=128):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(),
        nn.Conv2d(wide, wide, 3, padding=1, groups=wide), nn.BatchNorm2d(wide), nn.ReLU(),
        nn.Conv2d(wide, 192, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(192, 3))
    net.preprocess = Preprocess(24, 24, crop_fraction=1.0, mean=(0.5,) * 3, std=(0.25,) * 3)
    return net

def other():
    return net(96)

class Block(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.a, self.b = nn.Conv2d(32, 96, 1), nn.Conv2d(96, 32, 1)
        self.b.weight.data *= part
        self.b.bias.data *= part

    def forward(self, x):
        return x + self.b(self.a(x).relu())

def deep():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 32, 3, stride=2, padding=1), nn.ReLU(), Block(1.0), Block(1e-4), Block(1.0),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 3))
    net.preprocess = Preprocess(24, 24, crop_fraction=1.0, mean=(0.5,) * 3, std=(0.25,) * 3)
    return net
"""


def filled(folder):
    """A file of nets, and thirty pictures in each of three folders."""
    (folder / "net.py").write_text(NET)
    rng = np.random.default_rng(0)
    for label in range(3):
        (folder / "data" / str(label)).mkdir(parents=True)
        for i in range(30):
            picture = rng.integers(0, 120, (24, 24, 3))
            picture[..., label] += 100
            Image.fromarray(picture.astype(np.uint8)).save(folder / f"data/{label}/{i}.png")
    return folder


def run(folder, *more, data=True):
    words = ["prune", str(folder / "net.py:net"), "--json", "-q", "-o", str(folder / "out")]
    words += ["--data", str(folder / "data")] if data else []
    return CliRunner().invoke(cli, [*words, *more])


def refused(ended):
    assert isinstance(ended.exception, InputError), ended.output
    return str(ended.exception)
