"""Sorting and the largest few, against numpy: how they are asked for differs from iOS to iOS."""

import numpy as np
import pytest
from cases import Case, Maker, check

pytestmark = pytest.mark.needs("coremltools")


def distinct(rng, dtype="f4"):
    """No two elements are equal, as nothing says which of them would come first."""
    return rng.permutation(60).reshape(3, 4, 5).astype(dtype)


def argsort(ascending) -> Maker:
    def make(rng):
        x, axis = distinct(rng), int(rng.integers(-3, 3))
        found = np.argsort(x if ascending else -x, axis).astype("i4")
        return Case({"x": x}, found, {"axis": axis, "ascending": ascending})

    return make


def topk(k=2, ascending=False, indices="i4", ios=17, dtype="f4", **attributes) -> Maker:
    """indices: their format, or None where only the values are asked for."""

    def make(rng):
        x, axis = distinct(rng, dtype), int(rng.integers(-3, 3))
        order = np.argsort(x if ascending else -x.astype("f8"), axis)
        order = order.take(range(k), axis)
        found = [np.take_along_axis(x, order, axis)] + ([order.astype(indices)] if indices else [])
        given = {"k": k, "axis": axis, "ascending": ascending, **attributes}
        return Case({"x": x}, found, given, ios=ios)

    return make


CASES: dict[str, Maker] = {
    "argsort": argsort(True),
    "argsort, descending": argsort(False),
    "topk": topk(),
    "topk on iOS 15": topk(ios=15),
    "topk on iOS 16, values alone": topk(3, indices=None, ios=16, return_indices=False),
    "topk of the least": topk(2, True),
    "topk to uint16": topk(indices="u2", output_indices_dtype="uint16"),
    "topk of int32": topk(dtype="i4"),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CASES)
def test_the_order_of_elements(name, seed):
    check(name, CASES[name], seed)
