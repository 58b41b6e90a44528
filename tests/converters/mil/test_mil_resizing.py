"""Resizing by each sampling mode, against a reading of each pixel by itself; and against torch."""

from math import floor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from cases import Case, Maker, check
from test_mil_elementwise import random

from edgevit.errors import ArtifactError

pytestmark = pytest.mark.needs("coremltools")

MODES = ("DEFAULT", "STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "OFFSET_CORNERS", "UNALIGN_CORNERS")


def place(i: int, n: int, m: int, mode: str) -> float:
    """Where pixel i of m is read in n, clamped, by Apple's formulas for each mode."""
    if mode == "ALIGN_CORNERS" and m == 1:
        found = (n - 1) / 2
    elif mode in ("ALIGN_CORNERS", "STRICT_ALIGN_CORNERS"):
        found = i * (n - 1) / max(m - 1, 1)
    elif mode == "DEFAULT":
        found = i * (n - n / m) / max(m - 1, 1)
    elif mode == "OFFSET_CORNERS":
        delta = max(1, n - 1) / m
        found = 0.5 * delta + i * delta
    else:
        found = i * n / m + 0.5 * n / m - 0.5
    return min(n - 1.0, max(0.0, found))


def linear(x, sizes, mode):
    """Along each of the last axes: the two pixels beside a place, by how near they are."""
    x = x.astype("f8")
    for axis, m in enumerate(sizes, start=x.ndim - len(sizes)):
        n, rows = x.shape[axis], []
        for i in range(m):
            at = place(i, n, m, mode)
            low = floor(at)
            pair = [x.take(min(k, n - 1), axis) for k in (low, low + 1)]
            rows.append(pair[0] * (1 - at + low) + pair[1] * (at - low))
        x = np.stack(rows, axis)
    return x


def nearest(x, sizes, shift=0.5):
    """The pixel that has the output pixel's centre in it, or with no shift its first corner."""
    for axis, m in enumerate(sizes, start=x.ndim - len(sizes)):
        x = x.take([int((i + shift) * x.shape[axis] / m) for i in range(m)], axis)
    return x


def bilinear(mode, height, width, shape=(2, 3, 5, 4)) -> Maker:
    def make(rng):
        x = random(rng, shape)
        attributes = {"target_size_height": height, "target_size_width": width}
        found = linear(x, (height, width), mode).astype("f4")
        return Case({"x": x}, found, {**attributes, "sampling_mode": mode})

    return make


def resize(asked, dims, *, shape=(2, 3, 5, 4), mode="LINEAR", sampling="UNALIGN_CORNERS") -> Maker:
    """iOS 17: the last `dims` axes to the last sizes asked for, 0 for what there is."""

    def make(rng):
        x = random(rng, shape)
        last = zip(asked[len(asked) - dims :], shape[len(shape) - dims :], strict=True)
        sizes = [n or old for n, old in last]
        found = linear(x, sizes, sampling) if mode == "LINEAR" else nearest(x, sizes)
        attributes = {
            "shape": np.array(asked, np.int32),
            "resized_dims": np.uint32(dims),
            "interpolation_mode": mode,
            "sampling_mode": sampling,
        }
        return Case({"x": x}, found.astype("f4"), attributes)

    return make


def upsample(scales, *, shape=(2, 3, 10, 4), ios=17, align=None, half=None) -> Maker:
    """By torch, where corners are aligned or pixels are areas, and else as `linear` has it."""

    def make(rng):
        x = random(rng, shape)
        sizes = [int(np.float32(s) * np.float32(n)) for s, n in zip(scales, shape[2:], strict=True)]
        aligned = align is None or align
        if aligned or half is not False:
            y = F.interpolate(
                torch.from_numpy(x).double(), sizes, mode="bilinear", align_corners=aligned
            ).numpy()
        else:
            y = linear(x, sizes, "DEFAULT")
        given = {"scale_factor_height": scales[0], "scale_factor_width": scales[1]}
        given |= {} if align is None else {"align_corners": align}
        given |= {} if half is None else {"half_pixel_centers": half}
        return Case({"x": x}, y.astype("f4"), given, ios=ios)

    return make


def upsample_nearest(scales, shape=(2, 3, 10, 4)) -> Maker:
    def make(rng):
        x = random(rng, shape)
        given = {"scale_factor_height": scales[0], "scale_factor_width": scales[1]}
        sizes = [int(s * n) for s, n in zip(scales, shape[2:], strict=True)]
        return Case({"x": x}, nearest(x, sizes, shift=0), given)

    return make


def resize_nearest(height, width) -> Maker:
    def make(rng):
        x = random(rng, (2, 3, 5, 4))
        given = {"target_size_height": height, "target_size_width": width}
        return Case({"x": x}, nearest(x, (height, width)), given)

    return make


def crop(rng):
    x = random(rng, (2, 3, 7, 8))
    return Case({"x": x}, x[..., 1:-2, 0:-3].copy(), {"crop_height": [1, 2], "crop_width": [0, 3]})


CASES: dict[str, Maker] = {
    "crop": crop,
    **{f"resize_bilinear, {m}": bilinear(m, 9, 7) for m in MODES},
    **{f"resize_bilinear to less, {m}": bilinear(m, 3, 2) for m in MODES},
    **{f"resize_bilinear to one pixel, {m}": bilinear(m, 1, 1) for m in MODES},
    **{f"resize_bilinear from one pixel, {m}": bilinear(m, 3, 2, (1, 2, 1, 1)) for m in MODES},
    **{f"resize, {m}": resize((9, 7), 2, sampling=m) for m in MODES},
    "resize of one axis": resize((6,), 1),
    "resize by the last of more sizes": resize((1, 9, 7), 2),
    "resize, an axis kept": resize((1, 0, 7), 2),
    "resize of rank 3": resize((9, 7), 2, shape=(3, 5, 4)),
    "resize, nearest": resize((9, 7), 2, mode="NEAREST_NEIGHBOR"),
    "resize, nearest of fewer": resize((3, 2), 2, mode="NEAREST_NEIGHBOR", sampling="DEFAULT"),
    "resize_nearest_neighbor": resize_nearest(9, 7),
    "resize_nearest_neighbor to less": resize_nearest(3, 2),
    "upsample_nearest_neighbor": upsample_nearest((2, 3)),
    "upsample_nearest_neighbor by a fraction": upsample_nearest((np.float32(1.5), np.float32(2.5))),
    "upsample_bilinear": upsample((2, 3)),
    "upsample_bilinear on iOS 15": upsample((2, 3), ios=15, align=False),
    "upsample_bilinear of areas": upsample((2, 3), align=False),
    "upsample_bilinear of areas, said twice": upsample((2, 3), align=False, half=True),
    "upsample_bilinear of first corners": upsample((2, 3), align=False, half=False),
    "upsample_bilinear to one pixel": upsample((np.float32(0.1), np.float32(0.25))),
    # 2.3 in fp32 is a little less; 10 rows become 23 all the same, as coremltools counts them.
    "upsample_bilinear by 2.3": upsample((np.float32(2.3), np.float32(1.5)), align=False),
}


@pytest.mark.parametrize("name", CASES)
def test_pixels_are_read_where_the_mode_says(name):
    check(name, CASES[name], 0)


def test_nothing_says_which_pixel_is_nearest_where_corners_are_aligned():
    make = resize((9, 7), 2, mode="NEAREST_NEIGHBOR", sampling="ALIGN_CORNERS")
    with pytest.raises(ArtifactError, match="nearest pixels by ALIGN_CORNERS"):
        check("resize", make, 0)
