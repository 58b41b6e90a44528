"""Products, attention and normalizations, against numpy in float64."""

import numpy as np
import pytest
from cases import Case, Maker, check
from test_mil_elementwise import random

pytestmark = pytest.mark.needs("coremltools")


def linear(rng, *, bias=True, ios=17):
    x = random(rng, rng.integers(1, 6, rng.integers(1, 4)))
    weight, shift = random(rng, (7, x.shape[-1])), random(rng, 7)
    found = x.astype("f8") @ weight.astype("f8").T + (shift if bias else 0)
    options = {"bias": shift} if bias else {}
    return Case({"x": x}, found.astype("f4"), {"weight": weight, **options}, ios=ios)


def matmul(x_shape, y_shape, *, transpose_x=False, transpose_y=False, dtype="f4") -> Maker:
    def make(rng):
        x, y = (np.round(random(rng, s, dtype="f8"), 2).astype(dtype) for s in (x_shape, y_shape))
        a = x.swapaxes(-1, -2) if transpose_x else x
        b = y.swapaxes(-1, -2) if transpose_y else y
        attributes = {"transpose_x": True} if transpose_x else {}
        attributes |= {"transpose_y": True} if transpose_y else {}
        found = a.astype("f8") @ b.astype("f8")
        return Case({"x": x, "y": y}, found.astype(dtype), attributes)

    return make


def einsum(equation, *shapes) -> Maker:
    """The second may have the size 1 where it is broadcast."""

    def make(rng):
        values = [random(rng, s) for s in shapes]
        found = np.einsum(equation, *[v.astype("f8") for v in values], optimize=False)
        return Case({"values": values}, found.astype("f4"), {"equation": equation})

    return make


def attention(rng, *, mask=None, batch=(2, 3), dtype="f4", mask_shape=(4, 5)):
    query = random(rng, (*batch, 4, 8), -1, 1, dtype)
    key, value = random(rng, (*batch, 5, 8), -1, 1, dtype), random(rng, (*batch, 5, 6), dtype=dtype)
    scores = query.astype("f8") @ key.astype("f8").swapaxes(-1, -2) / 8**0.5
    arrays = {"query": query, "key": key, "value": value}
    if mask == "bool":
        arrays["attn_mask"] = rng.integers(0, 2, mask_shape).astype(bool)
        arrays["attn_mask"][..., 0] = True  # nobody is left without any
        scores = np.where(arrays["attn_mask"], scores, -np.inf)
    elif mask:
        arrays["attn_mask"] = random(rng, mask_shape, dtype=mask)
        scores = scores + arrays["attn_mask"]
    e = np.exp(scores - scores.max(-1, keepdims=True))
    found = e / e.sum(-1, keepdims=True) @ value.astype("f8")
    return Case(arrays, found.astype(dtype), ios=18)


def over(x, axes, epsilon):
    """x less its mean, by its deviation, over the axes."""
    wide = x.astype("f8")
    mean, variance = wide.mean(axes, keepdims=True), wide.var(axes, keepdims=True)
    return (wide - mean) / np.sqrt(variance + epsilon)


def epsilon(value) -> dict:
    """As an attribute, if it is not the default."""
    return {} if value == 1e-5 else {"epsilon": np.float32(value)}


def batch_norm(*names, shape=(2, 3, 4, 5), eps=1e-3, spread=1.0) -> Maker:
    """spread: of the variances; of small ones, ε is most of what is divided by."""

    def make(rng):
        x = random(rng, shape)
        given = {n: random(rng, 3, 0.5, 2) for n in ("mean", "variance", *names)}
        given["variance"] *= np.float32(spread)
        maps = {n: v.astype("f8").reshape(3, *[1] * (x.ndim - 2)) for n, v in given.items()}
        y = (x - maps["mean"]) / np.sqrt(maps["variance"] + eps)
        y = y * maps.get("gamma", 1) + maps.get("beta", 0)
        return Case({"x": x}, y.astype("f4"), {**given, **epsilon(eps)})

    return make


def instance_norm(*names, shape=(2, 3, 4, 5), eps=1e-3, spread=1.0) -> Maker:
    def make(rng):
        x = random(rng, shape) * np.float32(spread)
        given = {n: random(rng, 3, 0.5, 2) for n in names}
        maps = {n: v.astype("f8").reshape(3, *[1] * (x.ndim - 2)) for n, v in given.items()}
        y = over(x, tuple(range(2, x.ndim)), eps) * maps.get("gamma", 1) + maps.get("beta", 0)
        return Case({"x": x}, y.astype("f4"), {**given, **epsilon(eps)})

    return make


def layer_norm(axes, *names, shape=(2, 3, 4, 5), eps=1e-3, spread=1.0) -> Maker:
    def make(rng):
        x = random(rng, shape) * np.float32(spread)
        over_axes = tuple(sorted(a % x.ndim for a in axes))
        sizes = [n if d in over_axes else 1 for d, n in enumerate(shape)]
        given = {n: random(rng, [shape[a] for a in over_axes], 0.5, 2) for n in names}
        maps = {n: v.reshape(sizes) for n, v in given.items()}
        y = over(x, over_axes, eps) * maps.get("gamma", 1) + maps.get("beta", 0)
        attributes = {**given, "axes": list(axes), **epsilon(eps)}
        return Case({"x": x}, y.astype("f4"), attributes)

    return make


def l2_norm(shape, eps=0.5, spread=1.0) -> Maker:
    def make(rng):
        x = random(rng, shape) * np.float32(spread)
        squares = (x.astype("f8") ** 2).sum((-3, -2, -1), keepdims=True)
        given = {} if eps == 1e-6 else {"epsilon": np.float32(eps)}
        return Case({"x": x}, (x / np.sqrt(squares + eps)).astype("f4"), given)

    return make


CASES: dict[str, Maker] = {
    "linear": linear,
    "linear without bias": lambda rng: linear(rng, bias=False),
    "linear on iOS 15": lambda rng: linear(rng, ios=15),
    "matmul": matmul((2, 1, 4, 3), (5, 3, 6)),
    "matmul, first transposed": matmul((2, 3, 4), (2, 3, 6), transpose_x=True),
    "matmul, second transposed": matmul((2, 4, 3), (6, 3), transpose_y=True),
    "matmul, both transposed": matmul((3, 4), (2, 6, 3), transpose_x=True, transpose_y=True),
    "matmul of a vector": matmul((3,), (3, 4)),
    "matmul of fp16": matmul((2, 4, 3), (3, 5), dtype="f2"),
    "matmul of int32": matmul((2, 4, 3), (3, 5), dtype="i4"),
    "einsum": einsum("nchw,nwhu->nchu", (2, 3, 4, 5), (2, 5, 4, 6)),
    "einsum, broadcast": einsum("nchw,nwhu->nchu", (2, 3, 4, 5), (1, 5, 1, 6)),
    "einsum of rank 3": einsum("chw,whr->chr", (3, 4, 5), (5, 4, 6)),
    "scaled_dot_product_attention": attention,
    "scaled_dot_product_attention of rank 3": lambda rng: attention(rng, batch=(2,)),
    "scaled_dot_product_attention, boolean mask": lambda rng: attention(rng, mask="bool"),
    "scaled_dot_product_attention, real mask": lambda rng: attention(rng, mask="f4"),
    "scaled_dot_product_attention, mask of each head": lambda rng: attention(
        rng, mask="f4", mask_shape=(1, 3, 1, 5)
    ),
    "scaled_dot_product_attention, mask of one row": lambda rng: attention(
        rng, mask="bool", mask_shape=(5,)
    ),
    "scaled_dot_product_attention of fp16": lambda rng: attention(rng, dtype="f2", mask="f2"),
    "scaled_dot_product_attention by a half mask": lambda rng: attention(rng, mask="f2"),
    "batch_norm": batch_norm("gamma", "beta"),
    "batch_norm of rank 3": batch_norm(shape=(2, 3, 5)),
    "batch_norm, only scaled": batch_norm("gamma"),
    "batch_norm, only shifted": batch_norm("beta", shape=(1, 3, 2, 3, 4)),
    "instance_norm": instance_norm("gamma", "beta"),
    "instance_norm of rank 3": instance_norm("beta", shape=(2, 3, 5)),
    "instance_norm of one pixel": instance_norm("beta", shape=(2, 3, 1, 1)),
    "layer_norm": layer_norm((-1,), "gamma", "beta"),
    "layer_norm over two axes": layer_norm((2, 3), "gamma", "beta"),
    "layer_norm over the channels": layer_norm((1,), "gamma"),
    "layer_norm over apart axes": layer_norm((3, 1), "gamma", "beta"),
    "layer_norm over all": layer_norm((0, 1), shape=(4, 5)),
    "layer_norm by default": layer_norm((-1,), eps=1e-5, spread=1e-3),
    "batch_norm by default": batch_norm(eps=1e-5, spread=1e-5),
    "instance_norm by default": instance_norm(eps=1e-5, spread=1e-3),
    "l2_norm by default": l2_norm((2, 3, 4), eps=1e-6, spread=1e-4),
    "l2_norm": l2_norm((2, 3, 4, 5)),
    "l2_norm of rank 3": l2_norm((3, 4, 5)),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", CASES)
def test_products_and_norms(name, seed):
    check(name, CASES[name], seed)
