"""Elements read from and written to places that a tensor names, against loops over the places."""

import itertools

import numpy as np
import pytest
from cases import Case, Maker, check
from test_mil_elementwise import random

pytestmark = pytest.mark.needs("coremltools")


def places(rng, n, shape, *, negative=False, dtype="i4"):
    """negative ones count from the end, as iOS 15 and 16 have it."""
    return rng.integers(-n if negative else 0, n, shape).astype(dtype)


def gather(axis=0, shape=(4, 5, 6), of=(3,), ios=17, batch_dims=0, indices="i4") -> Maker:
    def make(rng):
        x = random(rng, shape)
        i = places(rng, shape[axis], of, negative=ios < 17, dtype=indices)
        if batch_dims:  # of each batch by itself
            rows = [
                np.take(x[b], i[b], (axis % x.ndim) - batch_dims)
                for b in itertools.product(*map(range, shape[:batch_dims]))
            ]
            found = np.reshape(rows, shape[:batch_dims] + rows[0].shape)
        else:
            found = np.take(x, i, axis)
        attributes = {"axis": axis} | ({"batch_dims": batch_dims} if batch_dims else {})
        return Case({"x": x, "indices": i}, found, attributes, ios=ios)

    return make


def along_axis(axis, ios=17) -> Maker:
    def make(rng):
        x, of = random(rng, (4, 5, 6)), [4, 5, 6]
        of[axis] = 3
        i = places(rng, x.shape[axis], of, negative=ios < 17)
        return Case({"x": x, "indices": i}, np.take_along_axis(x, i, axis), {"axis": axis}, ios=ios)

    return make


def vectors(rng, shape, count, *, negative=False):
    """Index vectors [*count] of as many leading axes as `shape` has."""
    return np.stack([places(rng, n, count, negative=negative) for n in shape], -1)


def gather_nd(depth, batch_dims=0, ios=17) -> Maker:
    def make(rng):
        x = random(rng, (2, 3, 4, 5))
        of = (2, 6) if batch_dims else (2, 3)
        i = vectors(rng, x.shape[batch_dims : batch_dims + depth], of)
        if batch_dims:
            found = np.stack([x[b][tuple(np.moveaxis(i[b], -1, 0))] for b in range(2)])
        else:
            found = x[tuple(np.moveaxis(i, -1, 0))]
        attributes = {"batch_dims": batch_dims} if ios > 15 else {}
        return Case({"x": x, "indices": i}, found, attributes, ios=ios)

    return make


COMBINE = {
    "update": lambda old, new: new,
    "add": lambda old, new: old + new,
    "sub": lambda old, new: old - new,
    "mul": lambda old, new: old * new,
    "div": lambda old, new: old / new,
    "max": np.maximum,
    "min": np.minimum,
}


def written(data, updates, mode, places):
    """data with each update combined into the element whose place is named."""
    found = data.astype("f8")
    for source, place in places:
        found[place] = COMBINE[mode](found[place], updates[source].astype("f8"))
    return found.astype(data.dtype)


def scattered(mode, where, dtype="f4", ios=17) -> Maker:
    """Places are named more than once; but of updates that replace, nothing says which is last."""

    def make(rng):
        data = random(rng, (4, 5, 6), 0.5, 3, dtype)
        indices, shape, places, attributes = where(rng, data, mode == "update", ios < 17)
        updates = random(rng, shape, 1, 3, dtype)
        found = written(data, updates, mode, places)
        arrays = {"data": data, "indices": indices, "updates": updates}
        return Case(arrays, found, {"mode": mode, **attributes}, ios=ios)

    return make


def to_slices(axis):
    def where(rng, data, once, negative):
        n = data.shape[axis]
        i = rng.permutation(n)[:3] if once else rng.integers(0, n, 7)
        i = i - n * (rng.random(len(i)) < 0.5) if negative else i
        before = (slice(None),) * (axis % data.ndim)
        shape = list(data.shape)
        shape[axis] = len(i)
        pairs = [((*before, k), (*before, int(j))) for k, j in enumerate(i)]
        return i.astype("i4"), shape, pairs, {"axis": axis}

    return where


def to_elements(axis):
    """Along an axis: each element of the indices names the place of one update."""

    def where(rng, data, once, negative):
        shape, n = list(data.shape), data.shape[axis]
        shape[axis] = 3
        order = np.argsort(rng.random(data.shape), axis).take(range(3), axis)
        i = order if once else rng.integers(0, n, shape)
        i = i - n * (rng.random(i.shape) < 0.5) if negative else i
        pairs = []
        for at in np.ndindex(*shape):
            place = list(at)
            place[axis] = int(i[at])
            pairs.append((at, tuple(place)))
        return i.astype("i4"), shape, pairs, {"axis": axis}

    return where


def to_vectors(depth):
    def where(rng, data, once, negative):
        i = vectors(rng, data.shape[:depth], (2, 8))
        if once:
            flat = rng.permutation(int(np.prod(data.shape[:depth])))[:4]
            i = np.stack(np.unravel_index(flat.reshape(2, 2), data.shape[:depth]), -1)
        count = i.shape[:-1]
        pairs = [(at, tuple(i[at].tolist())) for at in np.ndindex(*count)]
        return i.astype("i4"), (*count, *data.shape[depth:]), pairs, {}

    return where


WAYS = {
    "scatter": to_slices(1),
    "scatter from the end": to_slices(-1),
    "scatter_along_axis": to_elements(1),
    "scatter_along_axis 0": to_elements(0),
    "scatter_nd": to_vectors(2),
    "scatter_nd of elements": to_vectors(3),
}
CASES: dict[str, Maker] = {
    "gather": gather(),
    "gather on iOS 15": gather(1, ios=15),
    "gather along the last axis": gather(-1, of=(2, 3)),
    "gather by uint16": gather(1, indices="u2"),
    "gather by int8": gather(1, indices="i1"),
    "gather by uint8": gather(0, indices="u1"),
    "gather of batches on iOS 16": gather(1, of=(4, 2, 3), batch_dims=1, ios=16),
    "gather of two batch axes": gather(-1, of=(4, 5, 3), batch_dims=2),
    "gather of batches along the last axis": gather(2, of=(4, 2), batch_dims=1),
    "gather_along_axis": along_axis(1),
    "gather_along_axis -1": along_axis(-1),
    "gather_along_axis on iOS 15": along_axis(0, ios=15),
    "gather_nd": gather_nd(2),
    "gather_nd of elements": gather_nd(4),
    "gather_nd on iOS 15": gather_nd(1, ios=15),
    "gather_nd of batches": gather_nd(2, batch_dims=1, ios=16),
    **{f"{way}, {m}": scattered(m, where) for way, where in WAYS.items() for m in COMBINE},
    **{f"{way} on iOS 15": scattered("add", where, ios=15) for way, where in WAYS.items()},
    "scatter of fp16": scattered("add", to_slices(0), "f2"),
    "scatter of int32": scattered("sub", to_slices(0), "i4"),
}


@pytest.mark.parametrize("name", CASES)
def test_places_that_a_tensor_names(name):
    check(name, CASES[name], 0)
