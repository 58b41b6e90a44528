"""Resizing, cropping and sampling of the last two axes.

A sampling mode says which places of n input pixels the m output pixels are read from:
    (STRICT_)ALIGN_CORNERS   i (n - 1) / (m - 1)             both ends on both ends; of one pixel
                                                             the middle, if strict the first end
    UNALIGN_CORNERS          (i + ½) n / m - ½               pixels are areas
    DEFAULT                  i (n - n/m) / (m - 1)           areas' first corners
    OFFSET_CORNERS           (i + ½) max(1, n - 1) / m       areas of the ends' span
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .operators import Ints, along, one_liners, operator

CORNERS = ("ALIGN_CORNERS", "STRICT_ALIGN_CORNERS")


def _places(first: Tensor, last: Tensor, m: int, mode: str) -> Tensor:
    """[..., m] places between pixels `first` and `last` ([..., 1]), not yet clamped."""
    i = torch.arange(m, dtype=torch.float32)
    n = last - first + 1
    if mode in CORNERS:
        alone = (n - 1) / 2 if mode == CORNERS[0] else 0 * n
        return first + (i * (n - 1) / (m - 1) if m > 1 else alone)
    if mode == "UNALIGN_CORNERS":
        return first + (i + 0.5) * n / m - 0.5
    if mode == "OFFSET_CORNERS":
        return first + (i + 0.5) * (n - 1).clamp(min=1) / m
    return first + i * (n / m)


def _read(x: Tensor, axis: int, places: Tensor) -> Tensor:
    """Linear interpolation along one axis, the ends repeated."""
    n = x.shape[axis]
    places = places.clamp(0, n - 1)
    low = places.floor().long()
    share = along(places - low, x, axis)
    a, b = x.index_select(axis, low), x.index_select(axis, (low + 1).clamp(max=n - 1))
    return a + (b - a) * share


def _linear(x: Tensor, sizes: Ints, mode: str) -> Tensor:
    for axis, m in zip((-2, -1), sizes, strict=True):
        last = torch.tensor([x.shape[axis] - 1.0])
        x = _read(x, axis, _places(torch.zeros(1), last, m, mode))
    return x


def _nearest(x: Tensor, sizes: Ints, half: int) -> Tensor:
    """Output pixel i is input pixel ⌊i n / m⌋, or with a half ⌊(i + ½) n / m⌋."""
    for axis, m in zip((-2, -1), sizes, strict=True):
        places = (2 * torch.arange(m) + half) * x.shape[axis]
        x = x.index_select(axis, torch.div(places, 2 * m, rounding_mode="floor"))
    return x


def _scaled(x: Tensor, height: float, width: float) -> Ints:
    h, w = (int(n * np.float32(s)) for n, s in zip(x.shape[-2:], (height, width), strict=True))
    return h, w


one_liners(
    {
        "upsample_nearest_neighbor": lambda x, scale_factor_height=1, scale_factor_width=1: (
            _nearest(x, _scaled(x, scale_factor_height, scale_factor_width), half=0)
        ),
        "resize_nearest_neighbor": lambda x, target_size_height, target_size_width: _nearest(
            x, (target_size_height, target_size_width), half=1
        ),
    }
)


@operator
def upsample_bilinear(
    x: Tensor,
    scale_factor_height: float = 1,
    scale_factor_width: float = 1,
    align_corners: bool = True,
    half_pixel_centers: bool | None = None,
) -> Tensor:
    """Corners aligned, pixels as areas (the default without), or areas' first corners."""
    areas = not align_corners if half_pixel_centers is None else half_pixel_centers
    mode = CORNERS[1] if align_corners else "UNALIGN_CORNERS" if areas else "DEFAULT"
    return _linear(x, _scaled(x, scale_factor_height, scale_factor_width), mode)


@operator
def resize_bilinear(
    x: Tensor,
    target_size_height: int = 1,
    target_size_width: int = 1,
    sampling_mode: str = "DEFAULT",
) -> Tensor:
    """To a given size, by one of the modes above."""
    return _linear(x, (target_size_height, target_size_width), sampling_mode)


@operator
def resize(
    x: Tensor,
    shape: Ints,
    resized_dims: int,
    interpolation_mode: str = "LINEAR",
    sampling_mode: str = "DEFAULT",
) -> Tensor:
    """The last `resized_dims` axes to the last sizes of `shape`; 0 keeps an axis."""
    if resized_dims > 2:
        raise ValueError(f"{resized_dims} resized axes; two at most are supported")
    asked = shape[len(shape) - resized_dims :]
    sizes = (*x.shape[-2 : x.dim() - resized_dims], *asked)
    sizes = tuple(n or x.shape[d] for d, n in zip((-2, -1), sizes, strict=True))
    if interpolation_mode == "NEAREST_NEIGHBOR":
        if sampling_mode not in ("DEFAULT", "UNALIGN_CORNERS"):
            raise ValueError(f"nearest pixels by {sampling_mode}: Apple does not say which")
        return _nearest(x, sizes, half=1)
    return _linear(x, sizes, sampling_mode)


@operator
def crop(x: Tensor, crop_height: Ints, crop_width: Ints) -> Tensor:
    """Without so many rows above and below, and columns left and right."""
    (top, bottom), (left, right) = crop_height, crop_width
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


@operator
def crop_resize(
    x: Tensor,
    boxes: Tensor,
    box_indices: Tensor | None = None,
    target_height: int = 1,
    target_width: int = 1,
    normalized_coordinates: bool = False,
    spatial_scale: float = 1.0,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: float = 0.0,
) -> Tensor:
    """Each box [N, 4] of an image, resized, as iOS 17 has it: [N, C, height, width]."""
    a, b, c, d = (boxes * spatial_scale).unbind(1)
    if box_coordinate_mode.startswith("CENTER"):
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    if box_coordinate_mode.endswith("WIDTH_FIRST"):
        a, b, c, d = b, a, d, c
    high, wide = x.shape[2] - 1, x.shape[3] - 1
    up, along = (high, wide) if normalized_coordinates else (1, 1)
    ys = _places(a[:, None] * up, c[:, None] * up, target_height, sampling_mode)
    xs = _places(b[:, None] * along, d[:, None] * along, target_width, sampling_mode)
    indices = torch.arange(len(boxes)) if box_indices is None else box_indices
    found = []
    for i, row, column in zip(indices.tolist(), ys, xs, strict=True):
        patch = _read(_read(x[i], -2, row), -1, column)
        inside = ((row >= 0) & (row <= high))[:, None] & (column >= 0) & (column <= wide)
        found.append(torch.where(inside, patch, pad_value))
    return torch.stack(found)


PADDING = {"constant": "zeros", "border": "border", "symmetric": "reflection"}


@operator
def resample(
    x: Tensor,
    coordinates: Tensor,
    sampling_mode: str,
    padding_mode: str,
    padding_value: float,
    coordinates_mode: str,
    align_corners: bool,
) -> Tensor:
    """x [B, C, H, W] read at the (x, y) of coordinates [B, H', W', 2], as grid_sample does."""
    size = torch.tensor([x.shape[3], x.shape[2]], dtype=torch.float32)
    grid = coordinates.float()
    if coordinates_mode == "unnormalized":
        align_corners = True
        grid = grid * 2 / (size - 1).clamp(min=1) - 1
    elif coordinates_mode == "normalized_zero_to_one":
        grid = grid * 2 - 1
    mode = PADDING.get(padding_mode, "reflection")
    if mode == "reflection" and align_corners == (padding_mode == "symmetric"):
        raise ValueError(f"{padding_mode} padding with align_corners={align_corners}")
    shifted = x - padding_value if mode == "zeros" else x
    y = F.grid_sample(shifted, grid, sampling_mode, mode, align_corners)
    return y + padding_value if mode == "zeros" else y
