"""Five nets that fp16 ruins are found out, cured by rewrites, and an emulated fp16 proves both."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgevit.converters.fp16 import (
    ABSORBED,
    GROWTH,
    OVERFLOW,
    UNDERFLOW,
    cured,
    emulated,
    scan,
)


class SqueezeExcite(nn.Module):
    """As EfficientNet's, its mean written as a sum: over 112 × 112 pixels beyond 65504."""

    def __init__(self):
        super().__init__()
        self.stem, self.reduce, self.expand = (
            nn.Conv2d(3, 16, 3, padding=1),
            nn.Conv2d(16, 8, 1),
            nn.Conv2d(8, 16, 1),
        )

    def forward(self, x):
        x = F.relu(self.stem(x)) * 20
        mean = x.sum((2, 3), keepdim=True) / (x.shape[2] * x.shape[3])
        return x * torch.sigmoid(self.expand(F.relu(self.reduce(mean))))


class PowerNorm(nn.Module):
    """LayerNorm in powers: squares of some hundreds."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(32, 32)

    def forward(self, x):
        x = self.fc(x) * 400
        d = x - x.mean(-1, keepdim=True)
        return d / torch.sqrt(d.pow(2).mean(-1, keepdim=True) + 1e-6)


class Attention(nn.Module):
    """Products of queries and keys beyond 65504, scaled to what fits; logits beyond 10⁴."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(64, 64) for _ in "qkv")

    def forward(self, x):
        scores = (self.q(x) * 120 @ (self.k(x) * 120).transpose(-2, -1)) * 64**-0.5
        return (scores * 1e-3).softmax(-1) @ self.v(x)


class TinyVariance(nn.Module):
    """A batch norm whose variance is 0 in fp16."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, eps=1e-12)
        for p in self.conv.parameters():
            p.data *= 1e-4
        self.norm.running_var.fill_(2e-9)

    def forward(self, x):
        return self.norm(self.conv(x))


class LayerScale(nn.Module):
    """A factor of 10⁻⁶, below the normal numbers of fp16, of something large."""

    def __init__(self):
        super().__init__()
        self.fc, self.gamma = nn.Linear(32, 32), nn.Parameter(torch.rand(32) * 1e-6)

    def forward(self, x):
        return self.fc(x * 3e3) * self.gamma + x * 1e-4


PLANTED = [
    (SqueezeExcite, (1, 3, 112, 112), "sum", OVERFLOW),
    (PowerNorm, (1, 10, 32), "pow", OVERFLOW),
    (Attention, (1, 16, 64), "matmul", OVERFLOW),
    (TinyVariance, (1, 3, 16, 16), "running_var", UNDERFLOW),
    (LayerScale, (1, 5, 32), "gamma", UNDERFLOW),
]


def error(exported, x, exact):
    (((found,),)) = emulated(exported, [[x]])
    return float((found.double() - exact).abs().max() / exact.abs().max())


@pytest.mark.parametrize(("net", "shape", "op", "kind"), PLANTED)
def test_a_planted_fault_is_found_named_and_cured(net, shape, op, kind):
    torch.manual_seed(0)
    block = net().eval()
    x = torch.rand(shape) if len(shape) == 4 else torch.randn(shape)
    model = nn.Sequential()
    model.block = block
    with torch.no_grad():
        exact = model.double()(x.double())
    exported = torch.export.export(model.float(), (x,))
    assert [f.kind for f in scan(exported, [[x]]) if f.op == op] == [kind]
    assert {f.module.split(".")[0] for f in scan(exported, [[x]])} == {"block"}

    after = cured(exported)
    assert kind != OVERFLOW or not any(f.kind == OVERFLOW for f in scan(after, [[x]]))
    ruined, healed = error(exported, x, exact), error(after, x, exact)
    assert not ruined <= 0.02  # not a number, or far off
    assert healed < 0.005


def test_what_only_some_kernels_sum_is_growth_and_what_vanishes_is_absorbed():
    class Both(nn.Module):
        def forward(self, x):
            return x.mean((2, 3)), x + x * 1e-6

    x = torch.full((1, 2, 64, 64), 40.0)
    found = scan(torch.export.export(Both(), (x,)), [[x]])
    assert [(f.op, f.kind) for f in found] == [("mean", GROWTH), ("add", ABSORBED)]
    assert found[0].value == 40 * 64 * 64
    assert found[1].value == 1


def test_a_sound_net_has_no_findings():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()
    x = torch.rand(1, 3, 12, 12)
    assert scan(torch.export.export(net, (x,)), [[x]]) == []
