"""The same elements in another shape or order, and slices of them, against numpy and torch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from cases import Case, Maker, check
from programs import evaluated
from test_mil_elementwise import random

pytestmark = pytest.mark.needs("coremltools")


def of(function, shape, /, dtype="f4", ios=17, **attributes) -> Maker:
    def make(rng):
        x = random(rng, shape, dtype=dtype)
        return Case({"x": x}, np.array(function(x)), attributes, ios=ios)

    return make


def in_torch(function, shape, /, **attributes) -> Maker:
    return of(lambda x: function(torch.from_numpy(x)).numpy(), shape, **attributes)


def reshaped(shape, asked, expected, **kw) -> Maker:
    return of(lambda x: x.reshape(expected), shape, shape=np.array(asked, np.int32), **kw)


def like(rng):
    """[2, 12, 5] as the first two sizes of one tensor and the last two of another."""
    x, a, b = (random(rng, s) for s in ((2, 12, 5), (2, 3, 7), (9, 4, 5)))
    ends = {"begins": (0, 1), "ends": (2, 0), "end_masks": (False, True)}
    return Case({"x": x, "ref_tensors": [a, b]}, x.reshape(2, 3, 4, 5), ends, ios=16)


def sliced(*index, shape=(4, 5, 6), dtype="f4", ios=17) -> Maker:
    """x[index]: a slice is masked where an end of it is open, a number is an index of its own."""
    whole = [*index, *[slice(None)] * (len(shape) - len(index))]
    slices = [slice(i, i + 1) if isinstance(i, int) else i for i in whole]

    def mask(which):
        return [getattr(s, which) is None for s in slices]

    given = {
        "begin": [s.start or 0 for s in slices],
        "end": [s.stop or 0 for s in slices],
        "stride": [s.step or 1 for s in slices],
        "begin_mask": mask("start"),
        "end_mask": mask("stop"),
        "squeeze_mask": [isinstance(i, int) for i in whole],
    }
    return of(lambda x: x[index], shape, dtype, ios, **given)


def random_slices(rng):
    """Ends of all signs, some beyond the tensor; strides of all signs; no axis is left empty."""
    shape, index = (5, 6, 7), []
    while len(index) < 3:
        n = shape[len(index)]
        step = int(rng.choice([-3, -2, -1, 1, 2, 3]))
        first, last = sorted(rng.integers(-n, n, 2).tolist(), key=lambda i: i % n)
        first, last = (first, last) if step > 0 else (last, first)
        chosen = slice(*(None if rng.random() < 0.3 else end for end in (first, last)), step)
        if len(range(n)[chosen]) > 1:
            index.append(chosen)
    return sliced(*index, shape=shape)(rng)


def space_to_depth(r):
    def function(x):
        """Each channel of the result is one place in the block, the place varying slowest."""
        rows = [x[:, :, i::r, j::r] for i in range(r) for j in range(r)]
        return np.concatenate(rows, 1)

    return function


def depth_to_space(r):
    def function(x):
        n, c, h, w = x.shape
        y = np.empty((n, c // r**2, h * r, w * r), x.dtype)
        for k, part in enumerate(np.split(x, r * r, 1)):
            y[:, :, k // r :: r, k % r :: r] = part
        return y

    return function


CASES: dict[str, Maker] = {
    "depth_to_space": of(depth_to_space(2), (2, 12, 2, 3), block_size=2),
    "space_to_depth": of(space_to_depth(3), (2, 2, 6, 9), block_size=3),
    "pixel_shuffle": in_torch(lambda x: F.pixel_shuffle(x, 2), (2, 12, 2, 3), upscale_factor=2),
    "pixel_unshuffle": in_torch(
        lambda x: F.pixel_unshuffle(x, 2), (2, 3, 4, 6), downscale_factor=np.uint32(2), ios=16
    ),
    "expand_dims": of(lambda x: x[:, None, :, None], (2, 3), axes=[1, 3]),
    "expand_dims from the end": of(lambda x: x[:, None, :, None], (2, 3), axes=[-1, 1]),
    "flatten2d": of(lambda x: x.reshape(2, 12), (2, 3, 4)),
    "flatten2d at axis 2": of(lambda x: x.reshape(6, 4), (2, 3, 4), axis=2),
    "flatten2d from the end": of(lambda x: x.reshape(6, 4), (2, 3, 4), axis=-1),
    "reshape": reshaped((2, 3, 4), (4, 6), (4, 6)),
    "reshape, the rest": reshaped((2, 3, 4), (3, -1, 2), (3, 4, 2)),
    "reshape, one as it was": reshaped((2, 3, 4), (0, 4, 3), (2, 4, 3), ios=15),
    "reshape, counted from the right": reshaped((2, 50), (1, 0, -1, 0), (1, 1, 2, 50)),
    "reshape to fewer axes, counted from the right": reshaped((2, 3, 4), (-1, 0), (6, 4)),
    "reshape_like": like,
    "reverse": of(lambda x: np.flip(x, (0, 2)), (2, 3, 4), axes=[0, -1]),
    "reverse of all axes": of(np.flip, (2, 3, 4)),
    "squeeze": of(lambda x: x[0, :, :, 0], (1, 3, 1, 1), axes=[0, -1]),
    "squeeze of what is no 1": of(lambda x: x[0], (1, 3, 2), axes=[0, 1]),
    "squeeze of all that is 1": of(lambda x: x.reshape(3, 4), (1, 3, 1, 4)),
    "transpose": of(lambda x: x.transpose(2, 0, 3, 1), (2, 3, 4, 5), perm=[2, 0, 3, 1]),
    "transpose from the end": of(lambda x: x.transpose(0, 2, 1), (2, 3, 4), perm=[0, -1, -2]),
    "transpose of int32": of(lambda x: x.T, (2, 3), "i4", perm=[1, 0]),
    "slice_by_index": sliced(slice(1, 3), slice(0, 5, 2), slice(-3, -1)),
    "slice_by_index on iOS 15": sliced(slice(1, 3), slice(None, 4), slice(2, None), ios=15),
    "slice_by_index beyond the end": sliced(slice(1, 9), slice(-9, 2)),
    "slice_by_index backwards": sliced(slice(None, None, -1), slice(4, 0, -2), slice(3, None, -1)),
    "slice_by_index backwards from the end": sliced(slice(-1, -4, -1), slice(-2, None, -2)),
    "slice_by_index of one index": sliced(2, slice(None), -1),
    "slice_by_index of one element": sliced(1, 2, 3),
    "slice_by_index of bool": sliced(slice(1, 3), dtype="?"),
    "slice_by_index at random": random_slices,
    "slice_by_size": of(lambda x: x[1:3, :, 2:], (4, 5, 6), begin=[1, 0, 2], size=[2, -1, 4]),
    "slice_by_size from the end": of(
        lambda x: x[-2:, 1:], (4, 5), begin=[-2, 1], size=[2, -1], ios=15
    ),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", CASES)
def test_elements_only_move(name, seed):
    check(name, CASES[name], seed)


@pytest.mark.parametrize("seed", range(20))
def test_slices_at_random(seed):
    check("slice_by_index", random_slices, 100 + seed)


def test_a_shape_and_ends_computed_by_the_program():
    """None of them is a constant, and so nothing but the rank of the result is declared."""

    def build(mb, x, n):
        corner = mb.slice_by_index(x=x, begin=mb.sub(x=n, y=np.int32([2, 2])), end=n)
        rows = mb.reduce_max(x=n, axes=[0], keep_dims=True)
        return [mb.reshape(x=corner, shape=mb.concat(values=[rows, np.int32([-1])], axis=0))]

    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    (found,) = evaluated(build, x, np.array([4, 3], np.int32))
    assert found.tolist() == [[7], [8], [10], [11]]
