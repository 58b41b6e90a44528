"""Each reduction over random axes, against numpy in float64."""

import numpy as np
import pytest
from cases import Case, Maker, check
from test_mil_elementwise import random, size

pytestmark = pytest.mark.needs("coremltools")


def reduced(function, *, low=-4.0, high=4.0, dtype="f4", ios=17) -> Maker:
    """function(x, axis, keepdims) over no axes (all), one or several, some counted from the end."""

    def make(rng):
        x = random(rng, size(rng), low, high, dtype)
        axes = rng.permutation(x.ndim)[: rng.integers(0, x.ndim + 1)]
        axes = [int(a - x.ndim * (rng.random() < 0.5)) for a in axes]
        keep = bool(rng.integers(0, 2))
        found = function(x.astype("f8"), tuple(axes) or tuple(range(x.ndim)), keep)
        attributes = ({"keep_dims": True} if keep else {}) | ({"axes": axes} if axes else {})
        return Case({"x": x}, np.asarray(found).astype(dtype), attributes, ios=ios)

    return make


def searched(function, gives=None, ios=17) -> Maker:
    """Where the extreme is, along one axis; no two elements are equal."""

    def make(rng):
        shape = size(rng)
        x = rng.permutation(np.prod(shape)).reshape(shape).astype("f4")
        axis, keep = int(rng.integers(-x.ndim, x.ndim)), bool(rng.integers(0, 2))
        attributes = ({"keep_dims": True} if keep else {}) | ({"axis": axis} if axis != -1 else {})
        attributes |= {"output_dtype": gives} if gives else {}
        found = function(x, axis, keepdims=keep).astype(gives or "i4")
        return Case({"x": x}, found, attributes, ios=ios)

    return make


def log_sum_exp(x, axes, keep):
    return np.log(np.exp(x).sum(axes, keepdims=keep))


CASES: dict[str, Maker] = {
    "reduce_argmax": searched(np.argmax),
    "reduce_argmax on iOS 15": searched(np.argmax, ios=15),
    "reduce_argmax to uint16": searched(np.argmax, "uint16"),
    "reduce_argmin": searched(np.argmin),
    "reduce_l1_norm": reduced(lambda x, a, k: np.abs(x).sum(a, keepdims=k)),
    "reduce_l2_norm": reduced(lambda x, a, k: np.sqrt((x * x).sum(a, keepdims=k))),
    "reduce_log_sum": reduced(lambda x, a, k: np.log(x.sum(a, keepdims=k)), low=0.5),
    "reduce_log_sum_exp": reduced(log_sum_exp),
    "reduce_max": reduced(lambda x, a, k: x.max(a, keepdims=k)),
    "reduce_max of int32": reduced(lambda x, a, k: x.max(a, keepdims=k), dtype="i4", low=-99),
    "reduce_mean": reduced(lambda x, a, k: x.mean(a, keepdims=k)),
    "reduce_mean of fp16": reduced(lambda x, a, k: x.mean(a, keepdims=k), dtype="f2"),
    "reduce_mean on iOS 15": reduced(lambda x, a, k: x.mean(a, keepdims=k), ios=15),
    "reduce_min": reduced(lambda x, a, k: x.min(a, keepdims=k)),
    "reduce_prod": reduced(lambda x, a, k: x.prod(a, keepdims=k), low=0.8, high=1.2),
    "reduce_prod of int32": reduced(lambda x, a, k: x.prod(a, keepdims=k), dtype="i4", high=2),
    "reduce_sum": reduced(lambda x, a, k: x.sum(a, keepdims=k)),
    "reduce_sum of int32": reduced(lambda x, a, k: x.sum(a, keepdims=k), dtype="i4", low=-99),
    "reduce_sum_square": reduced(lambda x, a, k: (x * x).sum(a, keepdims=k)),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", CASES)
def test_reductions_are_numpys(name, seed):
    check(name, CASES[name], seed)
