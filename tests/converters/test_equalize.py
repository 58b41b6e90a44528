"""Channels of unlike ranges come out alike, and not a digit of what is computed changes."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgevit.converters import equalize
from edgevit.converters.equalize import equalized

SHAPE = (1, 3, 12, 12)


class Chain(nn.Module):
    """A convolution read by a depthwise one, that by a third, and a norm read by two layers."""

    def __init__(self, *, spoilt: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 8, 1)
        self.each = nn.Conv2d(16, 16, 3, groups=16)
        self.norm, self.a, self.b = nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 8)
        if spoilt:
            wide, narrow = (2.0 ** torch.randint(-6, 7, (n,)) for n in (16, 8))
            with torch.no_grad():
                self.first.weight *= wide.reshape(-1, 1, 1, 1)
                self.first.bias *= wide
                self.each.weight /= wide.reshape(-1, 1, 1, 1)
                self.norm.weight *= narrow
                self.norm.bias *= narrow
                self.a.weight /= narrow
                self.b.weight /= narrow

    def forward(self, x: Tensor) -> Tensor:
        y = self.last(self.each(self.first(x).relu()).relu()).flatten(2).mT
        y = self.norm(y)
        return self.a(y) + self.b(y).relu()


def rows(seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.normal(0, 1, SHAPE).astype(np.float32),) for _ in range(4)]


def exported(module):
    return torch.export.export(module.eval().requires_grad_(False), (torch.zeros(SHAPE),))


def spread(program) -> list[float]:
    """Of what the chain's three pairs pass on: the widest channel over the median one."""
    seen = []

    class Watch(torch.fx.Interpreter):
        def run_node(self, n):
            result = super().run_node(n)
            name = str(n.target)
            if ("relu" in name and result.dim() == 4) or "layer_norm" in name:
                channels = result.movedim(1 if result.dim() == 4 else -1, 0).flatten(1)
                largest = channels.abs().amax(1)
                seen.append(float(largest.max() / largest.median()))
            return result

    with torch.no_grad():
        Watch(program.module()).run(torch.from_numpy(rows()[0][0]))
    return seen


def test_planted_scales_are_undone_and_nothing_is_lost():
    spoilt = Chain(spoilt=True)
    before = exported(spoilt)
    expected = [before.module()(torch.from_numpy(r)) for (r,) in rows(1)]
    after, count = equalized(exported(spoilt), rows())
    assert count == 2, "of three pairs the second is balanced"
    assert max(spread(exported(Chain(spoilt=True)))) > 20
    assert max(spread(after)) < 5
    for (row,), value in zip(rows(1), expected, strict=True):
        assert torch.equal(after.module()(torch.from_numpy(row)), value)


class Stream(nn.Module):
    """Two residual blocks, and what comes before and after."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 8, 1)
        self.narrow = nn.ModuleList(nn.Conv2d(16, 4, 1) for _ in range(2))
        self.wide = nn.ModuleList(nn.Conv2d(4, 16, 1) for _ in range(2))
        scales = 2.0 ** torch.randint(-6, 7, (16,))
        with torch.no_grad():
            for writer in (self.stem, *self.wide):
                writer.weight *= scales.reshape(-1, 1, 1, 1)
                writer.bias *= scales
            for reader in (self.head, *self.narrow):
                reader.weight /= scales.reshape(-1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x).relu()
        for narrow, wide in zip(self.narrow, self.wide, strict=True):
            y = y + wide(nn.functional.gelu(narrow(y)))
        return self.head(y)


def test_a_residual_stream_is_scaled_as_a_whole():
    program = exported(Stream())
    after, count = equalized(exported(Stream()), rows())
    assert count == 1
    assert max(spread(program)) > 20
    assert max(spread(after)) < 5
    for (row,) in rows(1):
        x = torch.from_numpy(row)
        assert torch.equal(after.module()(x), program.module()(x))


class Own(Stream):
    """A stream to which a convolution adds what it reads of it."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x).relu()
        return self.head(y + self.each(y).relu())


def test_what_reads_and_writes_a_stream_is_scaled_twice():
    net = Own()
    net.each = nn.Conv2d(16, 16, 1, groups=16)
    program = exported(net)
    after, count = equalized(exported(net), rows())
    assert count == 1
    x = torch.from_numpy(rows(1)[0][0])
    assert torch.equal(after.module()(x), program.module()(x))


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.other = nn.Conv2d(3, 3, 1, groups=3)
        self.grouped = nn.Conv2d(3, 6, 1, groups=3)
        self.norm, self.linear = nn.LayerNorm([12, 12]), nn.Linear(12, 12)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: m.conv(m.conv(x).relu()),
        lambda m, x: (y := m.conv(x).relu()) + m.other(y),
        lambda m, x: m.other(nn.functional.gelu(m.conv(x))),
        lambda m, x: m.other(nn.functional.relu6(m.conv(x))),
        lambda m, x: m.conv(x).relu(),
        lambda m, x: m.grouped(m.conv(x).relu()),
        lambda m, x: m.other(m.conv(x) + x),
        lambda m, x: m.other(m.conv(x) + m.linear.weight),
        lambda m, x: m.linear(m.norm(x)),
    ],
    ids=[
        "shared weight",
        "another reader",
        "GELU",
        "ReLU6",
        "no reader",
        "two each",
        "another writer",
        "broadcast",
        "norm of two axes",
    ],
)
def test_what_would_change_is_left_alone(function, monkeypatch):
    monkeypatch.setattr(equalize, "WORTH", float("inf"))  # whether or not it gains
    net = Shared()
    net.forward = lambda x: function(net, x)
    program = exported(net)
    assert equalized(program, rows()) == (program, 0)
