"""The blocks that papers train with and deploy without, each as its authors describe it.

C = 8 channels; weights and statistics are drawn anew by `redrawn`, so that no branch is zero.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgevit.converters.rewrites.cases import Net

C = 8


def conv(k=1, groups=1, dilation=1, stride=1, padding=None, inputs=C, outputs=C, bias=False):
    sides = k if isinstance(k, tuple) else (k, k)
    same = [(side - 1) * dilation // 2 for side in sides]
    padding = same if padding is None else padding
    return nn.Conv2d(inputs, outputs, sides, stride, padding, dilation, groups, bias=bias)


def normed(*args, outputs=C, **kwargs):
    return nn.Sequential(conv(*args, outputs=outputs, **kwargs), nn.BatchNorm2d(outputs))


def redrawn(module: nn.Module) -> nn.Module:
    """The module with positive variances and every other number on both sides of zero."""
    for name, t in [*module.named_parameters(), *module.named_buffers()]:
        if t.is_floating_point():
            t.data.copy_(torch.rand_like(t) + 0.5 if "var" in name else torch.randn_like(t))
    return module


def summed(**branches: nn.Module) -> Net:
    """relu(b₁(x) + b₂(x) + ...)"""
    return Net(lambda m, x: F.relu(sum(getattr(m, name)(x) for name in branches)), **branches)


class Bordered(nn.Module):
    """DBB's batch norm and pad in one: the border holds what the norm makes of a zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.width = nn.BatchNorm2d(C), width

    def forward(self, x: Tensor) -> Tensor:
        p, norm = self.width, self.norm
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        value = (norm.bias - norm.running_mean * scale).view(1, -1, 1, 1)
        out = F.pad(norm(x), [p] * 4)
        out[:, :, 0:p, :] = value
        out[:, :, -p:, :] = value
        out[:, :, :, 0:p] = value
        out[:, :, :, -p:] = value
        return out


def dbb(groups=1):
    """arXiv 2103.13425: k×k, 1×1, 1×1–k×k and 1×1–average pool, each normed."""
    return summed(
        full=normed(3, groups=groups),
        one=normed(1, groups=groups),
        sequence=nn.Sequential(
            conv(1, groups=groups), Bordered(1), normed(3, groups=groups, padding=0)
        ),
        average=nn.Sequential(
            conv(1, groups=groups), Bordered(1), nn.AvgPool2d(3, 1), nn.BatchNorm2d(C)
        ),
    )


def repmixer():
    """FastViT's token mixer (arXiv 2303.14189): x + γ (mixer(x) − norm(x))."""
    return Net(
        lambda m, x: x + m.gamma * (m.mixer(x) - m.norm(x)),
        gamma=nn.Parameter(torch.ones(C, 1, 1)),
        norm=nn.BatchNorm2d(C),
        mixer=summed_only(nn.BatchNorm2d(C), normed(1, C), normed(3, C)),
    )


def summed_only(*branches):
    return Net(
        lambda m, x: sum(branch(x) for branch in m.branches), branches=nn.ModuleList(branches)
    )


class RepBN(nn.Module):
    """SLAB's norm (arXiv 2405.11582): BN(x) + α x over the channels of tokens [B, N, C]."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.alpha = nn.BatchNorm1d(C), nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        x = self.norm(x) + self.alpha * x
        return x.transpose(1, 2)


MAP, TOKENS = (2, C, 9, 11), (2, 7, C)

# name → (net, shape of its input, products that are left of it)
FAMILIES = {
    "conv, norm": (lambda: normed(3), MAP, ["conv2d"]),
    "linear, norm": (
        lambda: nn.Sequential(nn.Linear(C, 5), nn.BatchNorm1d(5)), (4, C), ["linear"],
    ),
    "norm, conv": (
        lambda: nn.Sequential(nn.BatchNorm2d(C), conv(3, padding=0)), MAP, ["conv2d"],
    ),
    "norm, depthwise": (
        lambda: nn.Sequential(nn.BatchNorm2d(C), conv(3, C, padding=0)), MAP, ["conv2d"],
    ),
    "RepVGG": (lambda: summed(a=normed(3), b=normed(1), c=nn.BatchNorm2d(C)), MAP, ["conv2d"]),
    "MobileOne": (
        lambda: summed(
            a=normed(3, C), b=normed(3, C), c=normed(3, C), d=normed(1, C), e=nn.BatchNorm2d(C)
        ),
        MAP,
        ["conv2d"],
    ),
    "RepViT": (
        lambda: nn.Sequential(
            Net(lambda m, x: m.norm(m.a(x) + m.b(x) + x),
                a=normed(3, C), b=conv(1, C, bias=True), norm=nn.BatchNorm2d(C)),
            Net(lambda m, x: x + m.two(F.gelu(m.one(x))),
                one=normed(1, outputs=16), two=normed(1, inputs=16)),
        ),
        MAP,
        ["conv2d"] * 3,
    ),
    "RepMixer": (repmixer, MAP, ["conv2d"]),
    "FastViT's large kernel": (lambda: summed(a=normed(7, C), b=normed(3, C)), MAP, ["conv2d"]),
    "RepLKNet": (lambda: summed(a=normed(13, C), b=normed(5, C)), MAP, ["conv2d"]),
    "UniRepLKNet": (
        lambda: summed(
            a=normed(13, C), b=normed(5, C), c=normed(7, C, dilation=2),
            d=normed(3, C, dilation=3), e=normed(3, C, dilation=4), f=normed(3, C, dilation=5),
        ),
        MAP,
        ["conv2d"],
    ),
    "ACNet": (
        lambda: summed(a=normed(3), b=normed((1, 3)), c=normed((3, 1))), MAP, ["conv2d"],
    ),
    "DBB": (dbb, MAP, ["conv2d"]),
    "DBB, depthwise": (lambda: dbb(C), MAP, ["conv2d"]),
    "DBB, strided": (
        lambda: summed(
            a=normed(3, stride=2),
            b=nn.Sequential(conv(1), Bordered(1), nn.AvgPool2d(3, 2), nn.BatchNorm2d(C)),
        ),
        MAP,
        ["conv2d"],
    ),
    "expand, conv, contract": (
        lambda: nn.Sequential(
            conv(1, outputs=32), conv(3, inputs=32, outputs=32), conv(1, inputs=32, bias=True)
        ),
        MAP,
        ["conv2d"],
    ),
    "two convolutions": (
        lambda: nn.Sequential(
            conv(3, inputs=4, outputs=32, bias=True), conv(3, inputs=32, outputs=4, padding=0)
        ),
        (2, 4, 9, 11),
        ["conv2d"],
    ),
    "LayerScale": (
        lambda: Net(lambda m, x: x + m.gamma * m.fc2(F.gelu(m.fc1(x))),
                    gamma=nn.Parameter(torch.ones(C)), fc1=nn.Linear(C, 16), fc2=nn.Linear(16, C)),
        TOKENS,
        ["linear"] * 2,
    ),
    "scalar gates": (
        lambda: Net(lambda m, x: m.a(x) * m.g[0].sigmoid() + m.b(x) * (1 - m.g[0].sigmoid()),
                    a=normed(3), b=normed(1), g=nn.Parameter(torch.ones(1))),
        MAP,
        ["conv2d"],
    ),
    "linear, linear": (
        lambda: nn.Sequential(nn.Linear(C, 16), nn.Linear(16, 5)), TOKENS, ["linear"],
    ),
    "RepBN, linear": (lambda: nn.Sequential(RepBN(), nn.Linear(C, 5)), TOKENS, ["linear"]),
    "linear, RepBN": (lambda: nn.Sequential(nn.Linear(5, C), RepBN()), (2, 7, 5), ["linear"]),
}  # fmt: skip
