"""EfficientMod against its published description, computed here a second time in plain numpy."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from edgevit.models.efficientmod import SHAPES, AttentionBlock, EfficientMod, ModulationBlock

erf = np.vectorize(math.erf, otypes=[np.float64])


@dataclass(frozen=True)
class Described:
    """The description's own words, written apart from the code's table."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    attention: tuple[int, ...]
    r: tuple[int, int]
    ratio: tuple[int, ...]


DESCRIBED = {
    "efficientmod_xxs": Described(
        (32, 64, 128, 256), (2, 2, 6, 2), (0, 0, 1, 2), (1, 6), (4, 4, 4, 4)
    ),
    "efficientmod_xs": Described(
        (32, 64, 144, 288), (3, 3, 4, 2), (0, 0, 3, 3), (1, 4), (4, 4, 4, 4)
    ),
    "efficientmod_s": Described(
        (32, 64, 144, 312), (4, 4, 8, 4), (0, 0, 4, 4), (1, 6), (0, 0, 4, 5)
    ),
    "efficientmod_s_conv": Described(
        (40, 80, 160, 344), (4, 4, 12, 8), (0, 0, 0, 0), (1, 6), (0, 0, 0, 0)
    ),
}


def described_parameters(d: Described, classes: int = 1000) -> dict[str, tuple[int, ...]]:
    """Every parameter's name and shape."""
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs)
        if bias:
            shapes[f"{name}.bias"] = (outputs,)

    def vector_pair(name: str, width: int) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)

    def patches(name: str, inputs: int, width: int, kernel: int) -> None:
        shapes[f"{name}.proj.weight"] = (width, inputs, kernel, kernel)
        shapes[f"{name}.proj.bias"] = (width,)
        vector_pair(f"{name}.norm", width)

    patches("patch_embed", 3, d.widths[0], 7)
    for i, c in enumerate(d.widths):
        for j in range(d.depths[i]):
            block, r = f"layers.{i}.blocks.{j}", d.r[j % 2]
            shapes[f"{block}.gamma_1"] = (c,)
            vector_pair(f"{block}.norm", c)
            linear(f"{block}.mlp.fc1", c, r * c)
            linear(f"{block}.mlp.fc2", r * c, c)
            linear(f"{block}.mlp.context_layer.f", c, c)
            linear(f"{block}.mlp.context_layer.g", c, c)
            shapes[f"{block}.mlp.context_layer.context_list.0.weight"] = (c, 1, 7, 7)
            shapes[f"{block}.mlp.context_layer.context_list.0.bias"] = (c,)
        for j in range(d.depths[i], d.depths[i] + d.attention[i]):
            block, head = f"layers.{i}.blocks.{j}", max(c // 8, 32)
            vector_pair(f"{block}.norm1", c)
            vector_pair(f"{block}.norm2", c)
            linear(f"{block}.attn.qkv", c, 8 * head * 3, bias=False)
            linear(f"{block}.attn.proj", 8 * head, c)
            linear(f"{block}.mlp.fc1", c, d.ratio[i] * c)
            linear(f"{block}.mlp.fc2", d.ratio[i] * c, c)
        if i < 3:
            patches(f"layers.{i}.downsample", c, d.widths[i + 1], 3)
    vector_pair("norm", d.widths[3])
    linear("head", d.widths[3], classes)
    return shapes


@pytest.mark.parametrize("name", DESCRIBED)
def test_parameter_names_and_shapes(name):
    with torch.device("meta"):
        module = EfficientMod(SHAPES[name])
    ours = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    assert ours == described_parameters(DESCRIBED[name])


@pytest.mark.parametrize(
    ("name", "printed"),
    [("efficientmod_xxs", "4.736"), ("efficientmod_xs", "6.628"), ("efficientmod_s", "12.897")],
)
def test_parameter_counts_to_the_printed_digit(name, printed):
    with torch.device("meta"):
        count = sum(p.numel() for p in EfficientMod(SHAPES[name]).parameters())
    assert f"{count / 1e6:.3f}" == printed


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_at_each_stage(name):
    widths = DESCRIBED[name].widths
    with torch.device("meta"):
        module, image = EfficientMod(SHAPES[name], classes=11), torch.zeros(2, 3, 224, 192)
    seen = []
    for stage in (module.patch_embed, *module.layers):
        stage.register_forward_hook(lambda m, inputs, output: seen.append(tuple(output.shape)))
    assert module(image).shape == (2, 11)
    assert seen == [
        (2, 56, 48, widths[0]),
        (2, 28, 24, widths[1]),
        (2, 14, 12, widths[2]),
        (2, 7, 6, widths[3]),
        (2, 7, 6, widths[3]),
    ]


def numbers(module: torch.nn.Module) -> dict[str, np.ndarray]:
    """Random weights for every parameter (fresh ones hide terms: gamma is 1e-4), as float64."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) * 0.5)
    return {k: v.numpy().copy() for k, v in module.state_dict().items()}


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def norm(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return centred / deviation * w[f"{name}.weight"] + w[f"{name}.bias"]


def dense(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0)


def depthwise(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    height, width = x.shape[:2]
    padded = np.pad(x, ((3, 3), (3, 3), (0, 0)))
    total = np.zeros_like(x)
    for i in range(7):
        for j in range(7):
            total += padded[i : i + height, j : j + width] * kernel[:, 0, i, j]
    return total + bias


@pytest.mark.parametrize("r", [1, 4, 6])
def test_modulation_block(r):
    c = 5
    block = ModulationBlock(c, r).double()
    w = numbers(block)
    x = np.random.default_rng(1).normal(size=(2, 6, 9, c))
    expected = np.empty_like(x)
    for b, image in enumerate(x):
        n = norm(image, w, "norm")
        kernel = w["mlp.context_layer.context_list.0.weight"]
        bias = w["mlp.context_layer.context_list.0.bias"]
        context = depthwise(dense(n, w, "mlp.context_layer.f"), kernel, bias)
        context = dense(gelu(context), w, "mlp.context_layer.g")
        value = dense(n, w, "mlp.fc1")
        if r > 1:
            value = gelu(value)
        repeated = np.empty_like(value)
        for k in range(r * c):  # c0..cC-1, c0..cC-1, ...
            repeated[..., k] = context[..., k % c]
        expected[b] = image + w["gamma_1"] * dense(value * repeated, w, "mlp.fc2")
    with torch.no_grad():
        actual = block(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("c", [16, 288])
def test_attention_block(c):
    head = max(c // 8, 32)
    block = AttentionBlock(c, 5 if c == 16 else 1).double()
    w = numbers(block)
    x = np.random.default_rng(2).normal(size=(2, 3, 4, c))
    expected = np.empty_like(x)
    for b, image in enumerate(x):
        tokens = image.reshape(12, c)
        qkv = dense(norm(tokens, w, "norm1"), w, "attn.qkv")
        mixed = np.empty((12, 8 * head))
        for h in range(8):
            q, k, v = (qkv[:, (8 * s + h) * head : (8 * s + h + 1) * head] for s in range(3))
            scores = q @ k.T / math.sqrt(head)
            scores = np.exp(scores - scores.max(1, keepdims=True))
            mixed[:, h * head : (h + 1) * head] = scores / scores.sum(1, keepdims=True) @ v
        tokens = tokens + dense(mixed, w, "attn.proj")
        hidden = gelu(dense(norm(tokens, w, "norm2"), w, "mlp.fc1"))
        expected[b] = (tokens + dense(hidden, w, "mlp.fc2")).reshape(3, 4, c)
    with torch.no_grad():
        actual = block(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


def test_gamma_starts_at_1e_4():
    assert torch.equal(ModulationBlock(3, 1).gamma_1, torch.full((3,), 1e-4))
