"""Mobile-Former: counts by formula, and its own parts against numpy."""

import math

import numpy as np
import torch

from edgevit.models.mobileformer import SHAPES, DynamicReLU, MobileFormer, MobileToFormer
from edgevit.program import counting

D, TOKENS = 192, 6
# The paper's table: width, expansion, and of a block that halves the map, its second expansion.
ROWS = [(40, 6, 4), (40, 3, 0), (72, 6, 4), (72, 3, 0), (128, 6, 4), (128, 4, 0)]
ROWS += [(176, 6, 0), (176, 6, 0), (240, 6, 4), (240, 6, 0), (240, 6, 0)]


def counted():
    """Parameters and MACs at 224 pixels, layer by layer."""
    parameters, macs = TOKENS * D, 0

    def dense(inputs, outputs, rows=TOKENS, norm=0):
        nonlocal parameters, macs
        parameters += inputs * outputs + outputs + norm
        macs += inputs * outputs * rows

    def conv(inputs, outputs, taps, side):  # with a batch norm, without bias
        nonlocal parameters, macs
        parameters += inputs * outputs * taps + 2 * outputs
        macs += inputs * outputs * taps * side**2

    def slopes(width):
        dense(D, D // 4, 1)
        dense(D // 4, 2 * width, 1)

    def to_former(width, side):
        nonlocal macs
        dense(D, width)  # the gate
        dense(D, width)
        dense(width, D, norm=2 * D)
        macs += 2 * TOKENS * side**2 * width

    side, c = 112, 24
    conv(3, c, 9, side)
    conv(1, 2 * c, 9, side)
    conv(2 * c, c, 1, side)
    for width, expansion, second in ROWS:
        to_former(c, side)
        dense(D, 3 * D)
        dense(D, D, norm=2 * D)
        dense(D, 2 * D, norm=2 * D)
        dense(2 * D, D)
        macs += 2 * TOKENS**2 * D
        hidden = c * expansion
        if second:
            side //= 2
            conv(1, hidden, 9, side)
            conv(hidden, width, 1, side)
            conv(1, width * second, 9, side)
            conv(width * second, width, 1, side)
        else:
            conv(c, hidden, 1, side)
            conv(1, hidden, 9, side)
            conv(hidden, width, 1, side)
        slopes(hidden)
        slopes(width * second or hidden)
        dense(D, width)
        dense(D, width)
        macs += 2 * TOKENS * side**2 * width
        c = width
    to_former(c, side)
    conv(c, 1440, 1, side)
    dense(1440 + D, 1920, 1, norm=2 * 1920)
    dense(1920, 1000, 1)
    return parameters, macs


def test_counts_are_those_of_the_description():
    with torch.device("meta"):
        net = MobileFormer(SHAPES["mobileformer_508m"]).eval().requires_grad_(False)
        image = torch.zeros(1, 3, 224, 224)
    with counting() as flops:
        net(image)
    parameters = sum(p.numel() for p in net.parameters())
    assert (parameters, flops.get_total_flops() // 2) == counted()
    assert f"{parameters / 1e6:.1f}" == "14.8"


def test_other_sizes():
    with torch.device("meta"):
        net = MobileFormer(SHAPES["mobileformer_508m"], classes=7).eval()
        assert net(torch.zeros(2, 3, 100, 65)).shape == (2, 7)


def test_what_an_image_shows_is_left_after_all_blocks():
    """Fresh weights keep activations of ordinary size, and two images apart."""
    torch.manual_seed(0)
    net = MobileFormer(SHAPES["mobileformer_508m"]).eval()
    images = torch.stack([torch.zeros(3, 64, 64), torch.rand(3, 64, 64) * 2])
    with torch.no_grad():
        one, other = net(images)
    assert 0.1 < one.std() < 10
    assert (one - other).std() > 0.1 * one.std()


def hard_sigmoid(x):
    return np.clip(x / 6 + 0.5, 0, 1)


def drawn(module):
    torch.manual_seed(0)
    for p in module.double().parameters():
        torch.nn.init.normal_(p, std=0.1)
    return {k: v.detach().numpy() for k, v in module.named_parameters()}


def dense(x, p, name):
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def test_dynamic_relu():
    relu = DynamicReLU(5)
    p = drawn(relu)
    x, tokens = (torch.randn(s, dtype=torch.float64) for s in ((2, 5, 3, 4), (2, TOKENS, D)))
    hidden = np.maximum(dense(tokens[:, 0].numpy(), p, "fc1"), 0)
    a = hard_sigmoid(dense(hidden, p, "fc2"))[:, :, None, None]
    first, second = 1 + 2 * (a[:, :5] - 0.5), 2 * (a[:, 5:] - 0.5)
    expected = np.maximum(first * x.numpy(), second * x.numpy())
    with torch.no_grad():
        np.testing.assert_allclose(relu(x, tokens).numpy(), expected, rtol=0, atol=1e-12)


def test_tokens_look_at_pixels():
    bridge = MobileToFormer(8)
    p = drawn(bridge)
    x, tokens = (torch.randn(s, dtype=torch.float64) for s in ((1, 8, 3, 4), (1, TOKENS, D)))
    pixels, t = x[0].numpy().reshape(8, 12).T, tokens[0].numpy()
    q, seen = dense(t, p, "q"), np.empty((TOKENS, 8))
    for h in (slice(0, 4), slice(4, 8)):
        weights = np.exp(q[:, h] @ pixels[:, h].T / math.sqrt(4))
        seen[:, h] = weights / weights.sum(1, keepdims=True) @ pixels[:, h]
    t = t + dense(2 * hard_sigmoid(dense(t, p, "gate")) * seen, p, "proj")
    t = (t - t.mean(1, keepdims=True)) / np.sqrt(t.var(1, keepdims=True) + 1e-5)
    expected = t * p["norm.weight"] + p["norm.bias"]
    with torch.no_grad():
        np.testing.assert_allclose(bridge(x, tokens)[0].numpy(), expected, rtol=0, atol=1e-11)
