"""Tensors joined, split, filled, padded, sorted and searched, against numpy."""

import numpy as np
import pytest
from cases import Case, Maker, check
from programs import evaluated
from test_mil_elementwise import random, size

pytestmark = pytest.mark.needs("coremltools")


def of(function, shape=None, dtype="f4", gives=None, ios=17, **attributes) -> Maker:
    """function of one x."""

    def make(rng):
        x = random(rng, shape or size(rng), dtype=dtype)
        found = function(x)
        found = found if isinstance(found, list) else np.asarray(found).astype(gives or dtype)
        return Case({"x": x}, found, attributes, ios=ios)

    return make


def joined(function, *shapes, dtype="f4", **attributes) -> Maker:
    def make(rng):
        values = [random(rng, s, dtype=dtype) for s in shapes]
        return Case({"values": values}, function(values), attributes)

    return make


def by_turns(values):
    """Along axis 1: the first row of each, then the second of each."""
    return np.stack([v[:, i] for i in range(values[0].shape[1]) for v in values], 1)


def band(lower, upper):
    def function(x):
        m, n = np.indices(x.shape[-2:])
        kept = ((lower < 0) | (m - n <= lower)) & ((upper < 0) | (n - m <= upper))
        return np.where(kept, x, 0).astype(x.dtype)

    return function


def cumsum(axis, exclusive=False, reverse=False):
    def function(x):
        x = np.flip(x, axis) if reverse else x
        y = np.cumsum(x.astype("f8" if x.dtype.kind == "f" else x.dtype), axis)
        if exclusive:
            y = np.concatenate(
                [np.zeros_like(y.take([0], axis)), y.take(range(y.shape[axis] - 1), axis)], axis
            )
        return np.flip(y, axis) if reverse else y

    return function


def one_hot(rng, *, axis=-1, shape=(2, 3), dtype="f4", on=1.0, off=0.0):
    indices = rng.integers(0, 4, shape).astype("i4")
    hot = np.where(indices[..., None] == np.arange(4), on, off).astype(dtype)
    values = {k: np.array(v, dtype)[()] for k, v in (("on_value", on), ("off_value", off))}
    attributes = {"one_hot_vector_size": 4, "axis": axis, **values}
    if (axis, dtype, on, off) == (-1, "i4", 1, 0):
        attributes = {"one_hot_vector_size": 4}
    return Case({"indices": indices}, np.moveaxis(hot, -1, axis), attributes)


def filled(rng, *, dtype="f4", like=False, value=7):
    x, value = random(rng, (2, 3, 4)), np.array(value, dtype)[()]
    given = {"value": value} if value else {}
    if like:
        return Case({"ref_tensor": x}, np.full(x.shape, value, dtype), given)
    shape = np.array([2, 1, 3], np.int32)
    return Case({"shape": shape}, np.full(shape, value, dtype), given)


def ranged(start, end, step, dtype="f4") -> Maker:
    """From constants: what enters a program is no scalar, and its length would not be known."""
    ends = {
        k: np.array(v, dtype)[()]
        for k, v in zip(("start", "end", "step"), (start, end, step), strict=True)
    }
    return lambda rng: Case({}, np.arange(start, end, step).astype(dtype), ends)


def padded(pad, mode="constant", shape=(2, 3, 4, 5), value=0.0) -> Maker:
    def make(rng):
        x = random(rng, shape)
        pairs = [(0, 0)] * (x.ndim - len(pad) // 2) + list(zip(pad[::2], pad[1::2], strict=True))
        how = {"constant": {"constant_values": value}}.get(mode, {})
        y = np.pad(x, pairs, {"replicate": "edge"}.get(mode, mode), **how)
        return Case(
            {"x": x}, y, {"pad": list(pad), "mode": mode, "constant_val": np.float32(value)}
        )

    return make


CASES: dict[str, Maker] = {
    "band_part": of(band(1, 0), (2, 4, 5), lower=1, upper=0),
    "band_part, the upper triangle": of(band(0, -1), (4, 3), lower=0, upper=-1),
    "band_part of int32": of(band(-1, 2), (5, 5), "i4", upper=2),
    "band_part, the lower bands": of(band(1, -1), (5, 5), lower=1),
    "concat": joined(lambda v: np.concatenate(v, 1), (2, 3, 4), (2, 1, 4), (2, 2, 4), axis=1),
    "concat from the end": joined(lambda v: np.concatenate(v, -1), (2, 3), (2, 4), axis=-1),
    "concat by turns": joined(by_turns, *[(2, 3, 4)] * 3, axis=1, interleave=True),
    "concat by turns, axis from the end": joined(by_turns, *[(2, 3)] * 2, axis=-1, interleave=True),
    "cumsum": of(cumsum(1), (2, 5, 3), axis=1),
    "cumsum of int32": of(cumsum(0), (4, 2), "i4"),
    "cumsum, exclusive": of(cumsum(1, True), (2, 5), axis=1, exclusive=True),
    "cumsum, reverse": of(cumsum(2, False, True), (2, 2, 5), axis=2, reverse=True),
    "cumsum, both": of(cumsum(-1, True, True), (3, 5), axis=-1, exclusive=True, reverse=True),
    "fill": lambda rng: filled(rng),
    "fill by default": lambda rng: filled(rng, value=0),
    "fill_like by default": lambda rng: filled(rng, value=0, like=True),
    "fill of int32": lambda rng: filled(rng, dtype="i4"),
    "fill_like": lambda rng: filled(rng, like=True),
    "fill_like of bool": lambda rng: filled(rng, dtype="?", like=True),
    "non_zero": lambda rng: Case(
        {"x": (x := rng.integers(0, 2, (2, 3, 4)).astype("f4"))}, np.argwhere(x).astype("i4")
    ),
    "one_hot": one_hot,
    "one_hot by default": lambda rng: one_hot(rng, dtype="i4", on=1, off=0),
    "one_hot of int32": lambda rng: one_hot(rng, dtype="i4", on=5, off=-2),
    "one_hot on the first axis": lambda rng: one_hot(rng, axis=0, on=0.5),
    "one_hot on an axis from the end": lambda rng: one_hot(rng, axis=-2, shape=(5,)),
    "pad": padded((1, 2), value=3.0),
    "pad of all axes": padded((0, 1, 2, 0, 1, 1, 0, 3), value=-1.0),
    "pad, reflect": padded((2, 1, 3, 4), "reflect"),
    "pad, replicate": padded((2, 1, 4, 5), "replicate"),
    "range_1d": ranged(0.5, 4.0, 0.75),
    "range_1d, downwards": ranged(5, -3, -2, "i4"),
    "shape": of(lambda x: x.shape, gives="i4"),
    "split": of(lambda x: np.split(x, 3, 1), (2, 6, 2), axis=1, num_splits=3),
    "split from the end": of(lambda x: np.split(x, 2, -1), (3, 4), axis=-1, num_splits=2),
    "split in sizes": of(lambda x: np.split(x, [1, 4], 1), (2, 6), axis=1, split_sizes=[1, 3, 2]),
    "stack": joined(lambda v: np.stack(v, 1), *[(2, 3)] * 3, axis=1),
    "stack at the end": joined(lambda v: np.stack(v, -1), *[(2, 3)] * 2, axis=-1, dtype="i4"),
    "tile": of(lambda x: np.tile(x, (2, 1, 3)), (2, 3, 2), reps=[2, 1, 3]),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", CASES)
def test_operations_on_tensors_are_numpys(name, seed):
    check(name, CASES[name], seed)


def test_an_exclusive_sum_is_no_difference():
    """The last element of 1e8, 1, ∞ is in no sum, and the sum before the 1 is not 1e8 + 1 - 1."""
    x = np.array([2**24, 1, np.inf], np.float32)
    expected = np.array([0, 2**24, 2**24], np.float32)
    check("cumsum", lambda rng: Case({"x": x}, expected, {"axis": 0, "exclusive": True}), 0)


def test_scalars_are_joined_to_a_vector():
    x = np.array([[1, 5], [2, 3]], np.float32)
    (found,) = evaluated(
        lambda mb, x: mb.concat(values=[mb.reduce_sum(x=x), mb.reduce_max(x=x)], axis=0), x
    )
    assert found.tolist() == [11, 5]
