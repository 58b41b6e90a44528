"""Compressed weights: what stands for a constant and is decoded before the program runs.

Formats of iOS 16 hold a flat array and its shape, those of iOS 18 arrays of the weight's own shape,
scaled or looked up in blocks. Each is decoded in the weight's own number format, step by step as
coremltools does, so that the results are the same bits.
"""

import math

import torch
from torch import Tensor

from .operators import Ints, along, exact
from .values import unpacked


@exact
def constexpr_affine_dequantize(
    quantized_data: Tensor, zero_point: Tensor, scale: Tensor, axis: int
) -> Tensor:
    """scale · (data - zero point), one of each per tensor or per slice of the axis."""
    zero, factor = (along(v, quantized_data, axis) for v in (zero_point, scale))
    return factor * (quantized_data.float() - zero.float()).to(scale.dtype)


@exact
def constexpr_blockwise_shift_scale(
    data: Tensor, scale: Tensor, offset: Tensor | None = None
) -> Tensor:
    """scale · (data - offset), one of each per block; blocks divide each axis evenly."""
    levels = data.to(scale.dtype)
    if offset is not None:
        levels = levels - _to_blocks(offset, data.shape).to(scale.dtype)
    return _to_blocks(scale, data.shape) * levels


@exact
def constexpr_lut_to_dense(
    indices: Tensor, lut: Tensor, shape: Ints = (), vector_axis: int | None = None
) -> Tensor:
    """lut[indices]: a table for all (iOS 16, packed), or per block, of numbers or vectors."""
    if shape:
        bits = int(math.log2(lut.numel()))
        flat = torch.from_numpy(unpacked(indices.numpy(), bits, math.prod(shape)))
        return lut[flat.long()].reshape(shape)
    tables = lut.shape[:-2]
    block = torch.arange(math.prod(tables)).reshape(tables)
    found = lut.flatten(0, -3)[_to_blocks(block, indices.shape), indices.long()]
    if vector_axis is None or lut.shape[-1] == 1:
        return found.squeeze(-1)
    axis = vector_axis % indices.dim()
    return found.movedim(-1, axis + 1).flatten(axis, axis + 1)


@exact
def constexpr_sparse_to_dense(nonzero_data: Tensor, mask: Tensor, shape: Ints = ()) -> Tensor:
    """Zero but where the mask has a bit; the values there, in order."""
    if shape:
        bits = unpacked(mask.numpy(), 1, math.prod(shape))
        mask = torch.from_numpy(bits).reshape(shape)
    dense = torch.zeros(mask.shape, dtype=nonzero_data.dtype)
    dense[mask.bool()] = nonzero_data
    return dense


@exact
def constexpr_lut_to_sparse(
    indices_mask: Tensor,
    indices_nonzero_data: Tensor,
    lut: Tensor,
    vector_axis: int | None = None,
) -> tuple[Tensor, Tensor]:
    """constexpr_lut_to_dense of what the mask leaves: a mask and values."""
    places = constexpr_sparse_to_dense(indices_nonzero_data, indices_mask)
    dense, mask = constexpr_lut_to_dense(places, lut, vector_axis=vector_axis), indices_mask
    if vector_axis is not None:
        mask = mask.repeat_interleave(lut.shape[-1], vector_axis)
    return mask, dense[mask.bool()]


@exact
def constexpr_sparse_blockwise_shift_scale(
    data_mask: Tensor, nonzero_data: Tensor, scale: Tensor, offset: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """constexpr_blockwise_shift_scale of what the mask leaves: a mask and values."""
    levels = constexpr_sparse_to_dense(nonzero_data, data_mask)
    dense = constexpr_blockwise_shift_scale(levels, scale, offset)
    return data_mask, dense[data_mask.bool()]


@exact
def constexpr_cast(source_val: Tensor, output_dtype: str) -> Tensor:
    """fp16 to fp32."""
    return source_val.float()


def _to_blocks(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """One value a block, repeated over its block of a tensor of `shape`."""
    for axis, (few, many) in enumerate(zip(values.shape, shape, strict=True)):
        if few != many:
            values = values.repeat_interleave(many // few, axis)
    return values
