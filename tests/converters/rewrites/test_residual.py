"""before: LayerNorms of a stream of sums · after: centred writers, norms without a mean."""

import pytest
import torch
from check_rule import Net, check, check_spared, operators
from torch import nn


class Stream(nn.Module):
    """Patches, a class token and positions, then pre-norm blocks; `read` ends it."""

    def __init__(self, read, channels=12, blocks=2):
        super().__init__()
        self.read = read
        self.patches = nn.Conv2d(3, channels, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, channels))
        self.positions = nn.Parameter(torch.randn(1, 5, channels))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(channels),
                nn.Linear(channels, 20),
                nn.GELU(),
                nn.Linear(20, channels),
            )
            for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(channels)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        for block in self.blocks:
            x = x + block(x)
        return self.read(self, x)


IMAGE = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "read", [lambda m, x: m.norm(x), lambda m, x: m.norm(x[:, 0]), lambda m, x: m.norm(x[:, 1:])]
)
def test_norms_of_a_centred_stream_take_no_mean(read):
    done, report = check(Stream(read), IMAGE, applies="stream_centred")
    assert "sub" not in operators(done)
    assert "layer_norm_by_products" not in report.applied


@pytest.mark.parametrize(
    "read",
    [
        lambda m, x: x.mean(1),
        lambda m, x: m.norm(x) + x,
        lambda m, x: m.norm(x.relu()),
        lambda m, x: (m.norm(x), x[:, 0]),
    ],
    ids=["pooling", "sum with a norm", "activation", "output"],
)
def test_a_stream_that_something_else_reads_stays(read):
    check_spared(Stream(read), IMAGE, spared_by="stream_centred")


def test_a_large_mean_in_the_writers_is_no_harm():
    net = Stream(lambda m, x: m.norm(x))
    net.patches.bias.data += 1e3
    check(net, IMAGE, applies="stream_centred")


def test_a_stream_that_an_activation_writes_stays():
    net = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.LayerNorm(6))
    check_spared(net, torch.randn(2, 6), spared_by="stream_centred")


@pytest.mark.parametrize(
    "turned", [lambda x: x + x.transpose(1, 2), lambda x: torch.cat([x, x.transpose(1, 2)])]
)
def test_channels_that_lie_along_two_axes_stay(turned):
    net = Net(lambda m, x: m.norm(turned(m.fc(x))), fc=nn.Linear(3, 6), norm=nn.LayerNorm(6))
    check_spared(net, torch.randn(2, 6, 3), spared_by="stream_centred")


def test_a_number_in_the_stream_is_a_mean_too():
    net = Net(
        lambda m, x: m.norm(torch.add(m.fc(x), 7.0, alpha=3)),
        fc=nn.Linear(3, 6),
        norm=nn.LayerNorm(6),
    )
    check_spared(net, torch.randn(2, 3), spared_by="stream_centred")
