"""The digest that tells whether two modules hold the same weights."""

import torch
from torch import nn

from edgevit.models.efficientmod import EfficientMod, Shape
from edgevit.weights import digest


def net(seed: int) -> EfficientMod:
    torch.manual_seed(seed)
    return EfficientMod(Shape((32,), (1,), (0,)), classes=10)


def test_a_digest_tells_values_types_and_shapes_apart():
    module = net(1)
    one = digest(module)
    assert len(one) == 64
    assert one == digest(net(1))
    assert one != digest(module.double())
    with torch.no_grad():
        module.float().head.bias[3] += 1
    assert one != digest(module)
    flat, square = nn.Module(), nn.Module()
    flat.register_buffer("a", torch.zeros(4, dtype=torch.bfloat16))
    square.register_buffer("a", torch.zeros(2, 2, dtype=torch.bfloat16))
    assert digest(flat) != digest(square)
    assert len(digest(nn.BatchNorm2d(1))) == 64
