"""Elements read from, and written to, places that a tensor names; negative ones from the end."""

import torch
from torch import Tensor

from .operators import operator


def _along(x: Tensor, axis: int, indices: Tensor) -> Tensor:
    indices = indices.long()
    return torch.where(indices < 0, indices + x.shape[axis], indices)


@operator
def gather(
    x: Tensor, indices: Tensor, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False
) -> Tensor:
    """x[..., indices, ...] at the axis, for each of the leading batch axes by itself."""
    axis %= x.dim()
    if not batch_dims:
        return x[(slice(None),) * axis + (_along(x, axis, indices),)]
    pairs = zip(x, indices, strict=True)
    return torch.stack([gather(a, i, axis - 1, batch_dims - 1) for a, i in pairs])


@operator
def gather_along_axis(
    x: Tensor, indices: Tensor, axis: int = 0, validate_indices: bool = False
) -> Tensor:
    """Element by element, the one whose place on the axis the index names."""
    return x.take_along_dim(_along(x, axis, indices), axis)


@operator
def gather_nd(
    x: Tensor, indices: Tensor, batch_dims: int = 0, validate_indices: bool = False
) -> Tensor:
    """x at the index vectors along the last axis of indices."""
    if not batch_dims:
        return x[tuple(indices.long().unbind(-1))]
    pairs = zip(x, indices, strict=True)
    return torch.stack([gather_nd(a, i, batch_dims - 1) for a, i in pairs])


@operator
def scatter(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: int = 0,
    mode: str = "add",
    validate_indices: bool = False,
) -> Tensor:
    """Slices of updates combined into those of data that the indices name."""
    axis %= data.dim()
    places = _places(data)[(slice(None),) * axis + (_along(data, axis, indices),)]
    return _written(data, places, updates, mode)


@operator
def scatter_along_axis(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: int = 0,
    mode: str = "add",
    validate_indices: bool = False,
) -> Tensor:
    """Elements of updates combined into the places on the axis that the indices name."""
    places = _places(data).take_along_dim(_along(data, axis, indices), axis)
    return _written(data, places, updates, mode)


@operator
def scatter_nd(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    mode: str = "add",
    validate_indices: bool = False,
) -> Tensor:
    """Slices of updates combined into data at the index vectors."""
    return _written(data, _places(data)[tuple(indices.long().unbind(-1))], updates, mode)


def _places(data: Tensor) -> Tensor:
    return torch.arange(data.numel()).reshape(data.shape)


def _written(data: Tensor, places: Tensor, updates: Tensor, mode: str) -> Tensor:
    """data with updates combined into its elements of these numbers; of equal ones each counts."""
    at, values, flat = places.reshape(-1), updates.reshape(-1), data.reshape(-1)
    if mode == "update":
        return flat.index_put((at,), values).reshape(data.shape)
    values = {"sub": -values, "div": 1 / values}.get(mode, values)
    how = {"add": "sum", "sub": "sum", "mul": "prod", "div": "prod", "max": "amax", "min": "amin"}
    return flat.scatter_reduce(0, at, values, how[mode]).reshape(data.shape)
