"""Each activation against its formula, in numpy and float64."""

from math import erf

import numpy as np
import pytest
from cases import Case, Maker, check
from test_mil_elementwise import random, unary

pytestmark = pytest.mark.needs("coremltools")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


def f(value) -> np.float32:
    return np.float32(value)


def softmax(axis=None) -> Maker:
    def make(rng):
        x = random(rng, (2, 3, 4))
        e = np.exp(x.astype(np.float64))
        found = e / e.sum(-1 if axis is None else axis, keepdims=True)
        return Case({"x": x}, found.astype("f4"), {} if axis is None else {"axis": axis})

    return make


def by_channel(function, *names: str, ios=17) -> Maker:
    """function of x [N, C, H, W] and of vectors of C numbers."""

    def make(rng):
        x = random(rng, (2, 3, 4, 2))
        vectors = {name: random(rng, 3, 0.1, 2) for name in names}
        maps = [v.astype("f8").reshape(3, 1, 1) for v in vectors.values()]
        found = function(x.astype("f8"), *maps)
        return Case({"x": x}, found.astype("f4"), vectors, ios=ios)

    return make


EXACT = np.vectorize(lambda x: x * (1 + erf(x / 2**0.5)) / 2)
TANH = (2 / np.pi) ** 0.5
# Where an activation has a bend, or is different at zero, most of the random numbers are near it.
CASES: dict[str, Maker] = {
    "clamped_relu": unary(
        lambda x: np.minimum(np.where(x >= 0, x, 0.2 * x), 1.5), alpha=f(0.2), beta=f(1.5)
    ),
    "clamped_relu to less than zero": unary(
        lambda x: np.minimum(np.where(x >= 0, x, -2 * x), -0.5), alpha=f(-2), beta=f(-0.5)
    ),
    "elu": unary(lambda x: np.where(x > 0, x, 0.7 * np.expm1(x)), alpha=f(0.7)),
    "erf": unary(np.vectorize(erf)),
    "gelu": unary(EXACT, mode="EXACT"),
    "gelu by default": unary(EXACT),
    "gelu by tanh": unary(
        lambda x: 0.5 * x * (1 + np.tanh(TANH * (x + 0.044715 * x**3))), mode="TANH_APPROXIMATION"
    ),
    "gelu by sigmoid": unary(lambda x: x * sigmoid(1.702 * x), mode="SIGMOID_APPROXIMATION"),
    "leaky_relu": unary(lambda x: np.where(x >= 0, x, 0.3 * x), alpha=f(0.3)),
    "linear_activation": unary(lambda x: 1.5 * x - 0.25, alpha=f(1.5), beta=f(-0.25)),
    "prelu": by_channel(lambda x, a: np.where(x > 0, x, a * x), "alpha"),
    "prelu on iOS 15": by_channel(lambda x, a: np.where(x > 0, x, a * x), "alpha", ios=15),
    "relu": unary(lambda x: np.maximum(x, 0)),
    "relu6": unary(lambda x: np.clip(x, 0, 6), -4, 12),
    "scaled_tanh": unary(lambda x: 1.2 * np.tanh(0.6 * x), alpha=f(1.2), beta=f(0.6)),
    "sigmoid": unary(sigmoid),
    "sigmoid_hard": unary(lambda x: np.clip(0.2 * x + 0.5, 0, 1), alpha=f(0.2), beta=f(0.5)),
    "silu": unary(lambda x: x * sigmoid(x)),
    "softmax": softmax(1),
    "softmax from the end": softmax(-3),
    "softmax by default": softmax(),
    "softplus": unary(softplus),
    "softplus of large numbers": unary(softplus, -100, 100),
    "softplus_parametric": by_channel(lambda x, a, b: a * softplus(b * x), "alpha", "beta"),
    "softsign": unary(lambda x: x / (1 + np.abs(x))),
    "thresholded_relu": unary(lambda x: np.where(x >= 0.8, x, 0), alpha=f(0.8)),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", CASES)
def test_activations_are_their_formulas(name, seed):
    check(name, CASES[name], seed)


BENDS = {
    "relu": [0, 0, 2],
    "elu": [np.expm1(-2), 0, 2],
    "leaky_relu": [-1, 0, 2],
    "thresholded_relu": [0, 0, 2],
    "clamped_relu": [-1, 0, 2],
}


@pytest.mark.parametrize("name", BENDS)
def test_at_and_around_the_bend(name):
    attributes = {
        "relu": {},
        "elu": {"alpha": f(1)},
        "leaky_relu": {"alpha": f(0.5)},
        "thresholded_relu": {"alpha": f(2)},
        "clamped_relu": {"alpha": f(0.5), "beta": f(2)},
    }[name]
    x = np.array([-2, 0, 2], np.float32)
    check(name, lambda _: Case({"x": x}, np.array(BENDS[name], "f4"), attributes), 0)
