"""EdgeViT: counts by formula, and one block against numpy."""

import math

import numpy as np
import pytest
import torch

from edgevit.errors import InputError
from edgevit.models import build
from edgevit.models.edgevit import SHAPES, EdgeViT, Shape, SparseAttention, as_tokens
from edgevit.pipeline.convert import convert
from edgevit.program import counting

# The paper's words apart from the code's table: widths, blocks; then what it prints, in M and G.
DESCRIBED = {
    "edgevit_xxs": ((36, 72, 144, 288), (1, 1, 3, 2), ("4.1", "0.6")),
    "edgevit_xs": ((48, 96, 240, 384), (1, 1, 3, 1), ("6.8", "1.1")),
    "edgevit_s": ((48, 96, 240, 384), (1, 2, 5, 3), ("13.1", "1.9")),
}


def counted(widths, depths):
    """Parameters and MACs at 224 pixels, layer by layer."""
    parameters = macs = 0

    def layer(inputs, outputs, taps, positions, extra):
        nonlocal parameters, macs
        parameters += inputs * outputs * taps + outputs + extra
        macs += inputs * outputs * taps * positions

    inputs, side = 3, 224
    for c, depth, r, patch in zip(widths, depths, (4, 2, 2, 1), (4, 2, 2, 2), strict=True):
        side //= patch
        n, delegates = side**2, (side // r) ** 2
        layer(inputs, c, patch**2, n, 2 * c)
        for _ in range(depth):
            blocks = [n] if r == 1 else [n, n]
            for _ in blocks:
                layer(1, c, 9, n, 0)  # the positions
                layer(c, 4 * c, 1, n, 4 * c)  # the two norms
                layer(4 * c, c, 1, n, 0)
            if r > 1:
                layer(c, c, 1, n, 0)
                layer(1, c, 25, n, 0)
                layer(c, c, 1, n, 0)
                layer(1, c, r * r, delegates, 2 * c)  # r² outputs of each delegate, and a norm
            layer(c, 3 * c, 1, delegates, 0)
            macs += 2 * delegates**2 * c
            layer(c, c, 1, n, 0)
        inputs = c
    layer(inputs, 1000, 1, 1, 2 * inputs)
    return parameters, macs


@pytest.mark.parametrize("name", DESCRIBED)
def test_counts_are_those_of_the_description_and_of_the_paper(name):
    widths, depths, printed = DESCRIBED[name]
    with torch.device("meta"):
        net, image = EdgeViT(SHAPES[name]).eval(), torch.zeros(1, 3, 224, 224)
    with torch.no_grad(), counting() as flops:
        net(image)
    parameters = sum(p.numel() for p in net.parameters())
    assert (parameters, flops.get_total_flops() // 2) == counted(widths, depths)
    assert (f"{parameters / 1e6:.1f}", f"{flops.get_total_flops() / 2e9:.1f}") == printed


def test_sizes():
    with torch.device("meta"):
        net = EdgeViT(SHAPES["edgevit_xxs"], classes=7).eval()
        assert net(torch.zeros(2, 3, 160, 96)).shape == (2, 7)
    with pytest.raises(InputError, match=r"100×100.*multiples of 32 pixels"):
        build("edgevit_xxs", input_size=100)


@pytest.mark.parametrize("window", [1, 2])
def test_attention_among_delegates(window):
    """The first pixel of each window attends, and its whole window gets what it found."""
    torch.manual_seed(0)
    c, heads, h, w = 6, 2, 4, 6
    block = SparseAttention(c, heads, window).double()
    for p in block.parameters():
        torch.nn.init.normal_(p)
    p = {k: v.detach().numpy() for k, v in block.named_parameters()}
    x = torch.randn(1, c, h, w, dtype=torch.float64)

    def norm(t, name, eps):
        t = (t - t.mean(-1, keepdims=True)) / np.sqrt(t.var(-1, keepdims=True) + eps)
        return t * p[f"{name}.weight"] + p[f"{name}.bias"]

    tokens = x[0].numpy().transpose(1, 2, 0)[::window, ::window].reshape(-1, c)
    qkv = norm(tokens, "norm", 1e-6) @ p["qkv.weight"].T + p["qkv.bias"]
    mixed = np.empty_like(tokens)
    for i in range(heads):
        q, k, v = (qkv[:, s * c + i * 3 : s * c + i * 3 + 3] for s in range(3))
        weights = np.exp(q @ k.T / math.sqrt(3))
        mixed[:, 3 * i : 3 * i + 3] = weights / weights.sum(1, keepdims=True) @ v
    spread = np.empty((h, w, c))
    for row in range(h):
        for column in range(w):
            at = row // window * (w // window) + column // window
            spread[row, column] = mixed[at]
            if window > 1:
                taps = p["propagate.weight"][:, 0, row % window, column % window]
                spread[row, column] = mixed[at] * taps + p["propagate.bias"]
    if window > 1:
        spread = norm(spread, "propagated_norm", 1e-5)
    expected = spread.reshape(-1, c) @ p["proj.weight"].T + p["proj.bias"]
    with torch.no_grad():
        np.testing.assert_allclose(block(x)[0].numpy(), expected, rtol=0, atol=1e-11)


@pytest.mark.needs("onnxruntime")
def test_a_tiny_one_converts(tmp_path):
    net = EdgeViT(Shape((8, 16), (1, 1), 8, windows=(2, 1), patches=(16, 2)), classes=5).eval()
    (outcome,) = convert(
        "tiny", to=["onnx"], out=tmp_path, model=(net, (torch.rand(1, 3, 64, 64),))
    )
    assert outcome.artifact.card.agreement.status == "agrees"


def test_tokens_are_pixels_in_rows():
    x = torch.arange(12.0).reshape(1, 2, 2, 3)
    assert as_tokens(x)[0, :, 0].tolist() == [0, 1, 2, 3, 4, 5]
