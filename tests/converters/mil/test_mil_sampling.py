"""Boxes and coordinates read out of an image, against a reading of each pixel by itself."""

from math import floor

import numpy as np
import pytest
from cases import Case, Maker, check
from test_mil_elementwise import random
from test_mil_resizing import MODES

pytestmark = pytest.mark.needs("coremltools")


def read(image, y, x, outside):
    """image [C, H, W] between pixels; `outside` maps a row or column that is not there."""
    total = 0
    for i, j in ((i, j) for i in (floor(y), floor(y) + 1) for j in (floor(x), floor(x) + 1)):
        share = (1 - abs(y - i)) * (1 - abs(x - j))
        if share > 0:
            total = total + share * outside(image, i, j)
    return total


def clamped(image, i, j):
    return image[:, min(max(i, 0), image.shape[1] - 1), min(max(j, 0), image.shape[2] - 1)]


def constant(value):
    def outside(image, i, j):
        there = 0 <= i < image.shape[1] and 0 <= j < image.shape[2]
        return image[:, i, j] if there else np.full(len(image), value)

    return outside


def periodic(order):
    """order(n): the indices of one period."""

    def outside(image, i, j):
        rows, columns = order(image.shape[1]), order(image.shape[2])
        return image[:, rows[i % len(rows)], columns[j % len(columns)]]

    return outside


REFLECTION = periodic(lambda n: [*range(n), *range(n - 2, 0, -1)])
SYMMETRIC = periodic(lambda n: [*range(n), *range(n - 1, -1, -1)])


def box_place(i, first, last, m, mode) -> float:
    """As in resizing, of a box from pixel `first` to pixel `last`."""
    n = last - first + 1
    if mode == "ALIGN_CORNERS" and m == 1:
        return (first + last) / 2
    if mode in ("ALIGN_CORNERS", "STRICT_ALIGN_CORNERS"):
        return first + i * (n - 1) / max(m - 1, 1)
    if mode == "DEFAULT":
        return first + i * (n - n / m) / max(m - 1, 1)
    if mode == "OFFSET_CORNERS":
        return first + (i + 0.5) * max(1, n - 1) / m
    return first + (i + 0.5) * n / m - 0.5


def crop_resize(*, mode="CORNERS_HEIGHT_FIRST", sampling="ALIGN_CORNERS", normalized=False,
                scale=1.0, target=(3, 4), indices=True, beyond=0.0) -> Maker:  # fmt: skip
    """beyond: by how many pixels a box may leave the image; what is read there is 5."""

    def make(rng):
        x = random(rng, (3, 2, 8, 9))
        first = rng.uniform(-beyond, 3, (3, 2))
        last = first + rng.uniform(1, 4 + beyond, (3, 2))
        which = rng.integers(0, 3, 3).astype("i4") if indices else np.arange(3)
        found = np.empty((3, 2, *target))
        for b in range(3):
            for at in np.ndindex(*target):
                y, z = (
                    box_place(at[d], first[b, d], last[b, d], target[d], sampling) for d in (0, 1)
                )
                inside = 0 <= y <= 7 and 0 <= z <= 8
                found[(b, slice(None), *at)] = read(x[which[b]], y, z, clamped) if inside else 5
        size = np.array([7.0, 8.0]) if normalized else 1
        first, last = first / size / scale, last / size / scale
        corners = mode.startswith("CORNERS")
        pair = (first, last) if corners else ((first + last) / 2, last - first)
        if mode.endswith("WIDTH_FIRST"):
            pair = tuple(p[:, ::-1] for p in pair)
        arrays = {"x": x, "boxes": np.concatenate(pair, 1).astype("f4")}
        attributes = {
            "target_height": target[0],
            "target_width": target[1],
            "normalized_coordinates": normalized,
            "spatial_scale": np.float32(scale),
            "box_coordinate_mode": mode,
            "sampling_mode": sampling,
            "pad_value": np.float32(5),
        } | ({"box_indices": which} if indices else {})
        return Case(arrays, found.astype("f4"), attributes, tolerance=1e-4)

    return make


def resample(outside, padding, *, align=True, coordinates="unnormalized", spread=4.0) -> Maker:
    def make(rng):
        image = random(rng, (2, 3, 5, 6))
        places = rng.uniform(-spread, 6 + spread, (2, 4, 3, 2))  # x before y, in pixels
        found = np.empty((2, 3, 4, 3))
        for b, i, j in np.ndindex(2, 4, 3):
            x, y = places[b, i, j]
            found[b, :, i, j] = read(image[b].astype("f8"), y, x, outside)
        size = np.array([6.0, 5.0])
        share = places / (size - 1) if align else (places + 0.5) / size
        given = {
            "unnormalized": places,
            "normalized_zero_to_one": share,
            "normalized_minus_one_to_one": 2 * share - 1,
        }[coordinates]
        attributes = {
            "sampling_mode": "bilinear",
            "padding_mode": padding,
            "padding_value": np.float32(2.5),
            "coordinates_mode": coordinates,
            "align_corners": align,
        }
        arrays = {"x": image, "coordinates": given.astype("f4")}
        return Case(arrays, found.astype("f4"), attributes, tolerance=1e-4)

    return make


BOXES = [f"{a}_{b}_FIRST" for a in ("CORNERS", "CENTER_SIZE") for b in ("HEIGHT", "WIDTH")]
ONE, TWO = "normalized_zero_to_one", "normalized_minus_one_to_one"
CASES: dict[str, Maker] = {
    **{f"crop_resize, {m}": crop_resize(mode=m) for m in BOXES},
    **{f"crop_resize, {m}": crop_resize(sampling=m) for m in MODES},
    **{f"crop_resize to one pixel, {m}": crop_resize(sampling=m, target=(1, 1)) for m in MODES},
    "crop_resize, normalized": crop_resize(normalized=True),
    "crop_resize, scaled": crop_resize(scale=0.25),
    "crop_resize, each image its own": crop_resize(indices=False),
    "crop_resize beyond the image": crop_resize(beyond=6.0, target=(5, 6)),
    "resample, constant": resample(constant(2.5), "constant"),
    "resample, constant, areas": resample(constant(2.5), "constant", align=False, coordinates=ONE),
    "resample, border": resample(clamped, "border"),
    "resample, border, areas": resample(clamped, "border", align=False, coordinates=TWO),
    "resample, reflection": resample(REFLECTION, "reflection", coordinates=TWO, spread=9.0),
    "resample, symmetric": resample(
        SYMMETRIC, "symmetric", align=False, coordinates=ONE, spread=9.0
    ),
    "resample from zero to one": resample(clamped, "border", coordinates=ONE),
    "resample from minus one to one": resample(clamped, "border", coordinates=TWO),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", CASES)
def test_places_between_pixels(name, seed):
    check(name, CASES[name], seed)
