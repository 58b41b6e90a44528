"""Each operator on elements and pairs of elements, against numpy in float64."""

import numpy as np
import pytest
from cases import Case, Maker, check

pytestmark = pytest.mark.needs("coremltools")


def size(rng) -> tuple[int, ...]:
    return tuple(rng.integers(1, 5, rng.integers(1, 5)).tolist())


def random(rng, shape, low=-4.0, high=4.0, dtype="f4"):
    return rng.uniform(low, high, shape).astype(dtype)


def unary(function, low=-4.0, high=4.0, *, dtype="f4", **attributes) -> Maker:
    """function of x between low and high, computed in float64."""

    def make(rng):
        x = random(rng, size(rng), low, high, dtype)
        found = function(x if x.dtype.kind in "bi" else x.astype(np.float64))
        return Case({"x": x}, np.asarray(found).astype(dtype), attributes)

    return make


def zero(found) -> Maker:
    """What ε alone gives."""
    return lambda rng: Case({"x": np.zeros(3, np.float32)}, np.full(3, found, np.float32))


def binary(function, dtype="f4", low=-4.0, high=4.0, gives=None) -> Maker:
    """function of two tensors, the second broadcast along random axes and fewer of them."""

    def make(rng):
        shape = size(rng)
        other = [n if rng.random() < 0.6 else 1 for n in shape][rng.integers(0, len(shape)) :]
        x, y = random(rng, shape, low, high, dtype), random(rng, other, low, high, dtype)
        if rng.random() < 0.5:
            x, y = y, x
        found = function(x, y) if dtype != "f4" else function(x.astype("f8"), y.astype("f8"))
        return Case({"x": x, "y": y}, found.astype(gives or dtype))

    return make


def tied(function, dtype="f4") -> Maker:
    """A comparison, of few enough values that many are equal."""

    def make(rng):
        x, y = (rng.integers(-2, 3, (4, 5)).astype(dtype) for _ in range(2))
        return Case({"x": x, "y": y}, function(x, y))

    return make


def logical(function) -> Maker:
    def make(rng):
        x, y = (rng.integers(0, 2, (3, 4)).astype(bool) for _ in range(2))
        return Case({"x": x, "y": y}, function(x, y))

    return make


def select(rng, dtype="f4"):
    cond = rng.integers(0, 2, (3, 1, 4)).astype(bool)
    a, b = random(rng, (3, 2, 4), dtype=dtype), random(rng, (3, 2, 4), dtype=dtype)
    return Case({"cond": cond, "a": a, "b": b}, np.where(cond, a, b))


def numbers(rng):
    """Halves and their neighbours: to the even one."""
    x = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999997, 3.0, 7.3], np.float32)
    x = rng.permutation(x)
    return Case({"x": x}, np.round(x))


def integers(function, low) -> Maker:
    """function of whole numbers of all signs, as int32."""

    def make(rng):
        x = rng.integers(-20, 21, (3, 7)).astype(np.int32)
        y = rng.integers(low, 8, (3, 7)).astype(np.int32)
        y = np.where(y == 0, 3, y).astype(np.int32)
        return Case({"x": x, "y": y}, function(x, y).astype(np.int32))

    return make


CASES: dict[str, Maker] = {
    "abs": unary(np.abs),
    "abs of int32": unary(np.abs, -9, 9, dtype="i4"),
    "acos": unary(np.arccos, -1, 1),
    "asin": unary(np.arcsin, -1, 1),
    "atan": unary(np.arctan),
    "atanh": unary(np.arctanh, -0.95, 0.95),
    "ceil": unary(np.ceil),
    "clip": unary(lambda x: np.clip(x, -1.5, 2.0), alpha=np.float32(-1.5), beta=np.float32(2)),
    "cos": unary(np.cos),
    "cosh": unary(np.cosh),
    "exp": unary(np.exp),
    "exp2": unary(np.exp2),
    "floor": unary(np.floor),
    "identity": unary(lambda x: x),
    "inverse": unary(lambda x: 1 / (x + 0.5), 0, 4, epsilon=np.float32(0.5)),
    "inverse by default": unary(lambda x: 1 / (x + 1e-4), 0.0, 0.001),
    "log": unary(lambda x: np.log(x + 0.25), 0, 4, epsilon=np.float32(0.25)),
    "log by default": unary(np.log, 1e-3, 4),
    "log of zero": zero(np.log(np.float64(np.float32(1e-45)))),
    "logical_not": lambda rng: Case(
        {"x": (x := rng.integers(0, 2, (3, 4)).astype(bool))}, np.logical_not(x)
    ),
    "round": numbers,
    "rsqrt": unary(lambda x: (x + 0.25) ** -0.5, 0, 4, epsilon=np.float32(0.25)),
    "rsqrt by default": unary(lambda x: x**-0.5, 0.1, 4),
    "rsqrt of zero": zero(1e6),
    "sign": lambda rng: Case({"x": (x := rng.integers(-1, 2, (3, 4)).astype("f4"))}, np.sign(x)),
    "sin": unary(np.sin),
    "sinh": unary(np.sinh),
    "sqrt": unary(np.sqrt, 0, 4),
    "square": unary(np.square),
    "tan": unary(np.tan, -1.4, 1.4),
    "tanh": unary(np.tanh),
    "threshold": unary(lambda x: np.maximum(x, 0.5), alpha=np.float32(0.5)),
    "add": binary(np.add),
    "add of int32": binary(np.add, "i4", -9, 9),
    "sub": binary(np.subtract),
    "mul": binary(np.multiply),
    "mul of fp16": binary(np.multiply, "f2"),
    "real_div": binary(np.divide, low=0.5),
    # Apple does not say how a real quotient of whole numbers is rounded: as coremltools folds it.
    "real_div of int32": integers(lambda x, y: np.trunc(x / y), -7),
    "floor_div": binary(np.floor_divide, low=0.5),
    "floor_div of int32": integers(np.floor_divide, -7),
    "mod": binary(np.mod, low=0.5),
    "mod of int32": integers(np.mod, -7),
    "pow": binary(np.power, low=0.1),
    "maximum": binary(np.maximum),
    "minimum": binary(np.minimum),
    "equal": tied(np.equal),
    "not_equal": tied(np.not_equal),
    "greater": tied(np.greater),
    "greater of int32": tied(np.greater, "i4"),
    "greater_equal": tied(np.greater_equal),
    "less": tied(np.less),
    "less_equal": tied(np.less_equal, "f2"),
    "logical_and": logical(np.logical_and),
    "logical_or": logical(np.logical_or),
    "logical_xor": logical(np.logical_xor),
    "select": select,
    "select of int32": lambda rng: select(rng, "i4"),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", CASES)
def test_elements_are_numpys(name, seed):
    check(name, CASES[name], seed)
