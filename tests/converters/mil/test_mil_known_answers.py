"""Answers of Apple's own runtime where its documentation leaves a choice.

The numbers are those that coremltools' tests (9.0, converters/mil/mil/ops/tests) hold a Mac to.
"""

import numpy as np
import pytest
from cases import Case, check

pytestmark = pytest.mark.needs("coremltools")

SQUARE = np.array([11, 22, 33, 44], np.float32).reshape(1, 1, 2, 2)
PLACES = np.array([-1.0, -2.0, -3.7, -1.0, 0.0, 0.0, 3.5, 1.2], np.float32).reshape(1, 2, 2, 2)
RESAMPLED = {
    "constant": ("bilinear", 6.17, "normalized_minus_one_to_one", True, [8.585, 6.17, 27.5, 6.17]),
    "border": ("nearest", -1.0, "unnormalized", False, [11, 11, 11, 44]),
    "reflection": ("bilinear", -1.0, "normalized_zero_to_one", True, [22, 36.3, 11, 34.1]),
    "symmetric": ("nearest", -1.0, "normalized_zero_to_one", False, [22, 33, 11, 33]),
}


def same(name, arrays, expected, ios=17, **attributes):
    expected = np.array(expected, np.float32)
    check(name, lambda _: Case(arrays, expected, attributes, ios=ios, tolerance=1e-3), 0)


@pytest.mark.parametrize("padding", RESAMPLED)
def test_resample(padding):
    sampling, value, mode, align, expected = RESAMPLED[padding]
    same(
        "resample",
        {"x": SQUARE, "coordinates": PLACES},
        np.reshape(expected, (1, 1, 2, 2)),
        sampling_mode=sampling,
        padding_mode=padding,
        padding_value=np.float32(value),
        coordinates_mode=mode,
        align_corners=align,
    )


def test_the_nearest_pixel_is_that_of_the_centre():
    """Three rows of two: ⌊(i + ½) 2 / 3⌋, and not ⌊i 2 / 3⌋, as by scale factors."""
    x = np.array([-6.0, 9.0], np.float32).reshape(1, 1, 2, 1)
    rows = np.reshape([-6, -6, 9, 9, 9, 9], (1, 1, 3, 2))
    how = {"shape": [1, 1, 3, 2], "resized_dims": np.uint32(2)}
    same("resize", {"x": x}, rows, interpolation_mode="NEAREST_NEIGHBOR", **how)
    same("resize_nearest_neighbor", {"x": x}, rows, target_size_height=3, target_size_width=2)
    rows = np.reshape([-6, -6, -6, -6, 9, 9], (1, 1, 3, 2))
    by = {"scale_factor_height": np.float32(1.5), "scale_factor_width": np.float32(2)}
    same("upsample_nearest_neighbor", {"x": x}, rows, **by)


def test_pixels_of_a_box_outside_the_image_are_padding():
    """The second box is from right to left."""
    boxes = [[0.1, 0.3, 1.3, 1.0], [0.5, 1.8, 1.0, 0.3], [0.0, 0.4, 0.6, 0.7]]
    expected = [3.1, 5.2, 10.0, 10.0, 10.0, 7.9, 10.0, 13.9, 2.2, 3.1, 9.4, 10.3]
    same(
        "crop_resize",
        {
            "x": np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4),
            "boxes": np.array(boxes, np.float32),
        },
        np.reshape(expected, (3, 1, 2, 2)),
        box_indices=np.zeros(3, np.int32),
        target_width=2,
        target_height=2,
        normalized_coordinates=True,
        box_coordinate_mode="CORNERS_HEIGHT_FIRST",
        sampling_mode="ALIGN_CORNERS",
        pad_value=np.float32(10),
    )


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("STRICT_ALIGN_CORNERS", [0, 0.25, 0.5, 0.75, 1]),
        ("DEFAULT", [0, 0.4, 0.8, 1, 1]),
        ("OFFSET_CORNERS", [0.1, 0.3, 0.5, 0.7, 0.9]),
        ("UNALIGN_CORNERS", [0, 0.1, 0.5, 0.9, 1]),
    ],
)
def test_five_pixels_of_two(mode, expected):
    x = np.array([0, 1], np.float32).reshape(1, 1, 2)
    how = {"target_size_height": 1, "target_size_width": 5, "sampling_mode": mode}
    same("resize_bilinear", {"x": x}, np.reshape(expected, (1, 1, 5)), **how)


def test_a_fraction_of_a_pixel_is_no_pixel():
    """2 by 2.6 are 5; by as many pixels as there are, not by 2.6, the places are counted."""
    x = np.array([0, 1], np.float32).reshape(1, 1, 2)
    how = {"scale_factor_height": np.float32(1), "scale_factor_width": np.float32(2.6)}
    expected = np.reshape([0, 0.1, 0.5, 0.9, 1], (1, 1, 5))
    same("upsample_bilinear", {"x": x}, expected, align_corners=False, **how)
