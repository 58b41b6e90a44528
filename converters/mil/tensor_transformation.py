"""The same elements in another shape or order, and slices of them."""

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from .operators import Ints, Tensors, one_liners, operator

one_liners(
    {
        "squeeze": lambda x, axes=(): x.squeeze(axes) if axes else x.squeeze(),
        "transpose": lambda x, perm: x.permute(perm),
        "flatten2d": lambda x, axis=1: x.reshape(prod(x.shape[:axis]), -1),
        "reverse": lambda x, axes=(): x.flip(axes or tuple(range(x.dim()))),
        "pixel_shuffle": lambda x, upscale_factor: F.pixel_shuffle(x, upscale_factor),
        "pixel_unshuffle": lambda x, downscale_factor: F.pixel_unshuffle(x, downscale_factor),
    }
)


@operator
def reshape(x: Tensor, shape: Ints) -> Tensor:
    """0 stands for the input's size, counted from the right where ranks differ; -1 for the rest."""
    more = x.dim() - len(shape)
    sizes = [n or (x.shape[i + more] if i + more >= 0 else 1) for i, n in enumerate(shape)]
    return x.reshape(sizes)


@operator
def reshape_like(
    x: Tensor, ref_tensors: Tensors, begins: Ints, ends: Ints, end_masks: Ints
) -> Tensor:
    """To the shapes [begin:end] of the tensors, one after the other."""
    rows = zip(ref_tensors, begins, ends, end_masks, strict=True)
    return x.reshape([n for t, b, e, m in rows for n in t.shape[b : None if m else e]])


@operator
def expand_dims(x: Tensor, axes: Ints) -> Tensor:
    """Axes of size 1, at these places of the result."""
    for axis in sorted(a % (x.dim() + len(axes)) for a in axes):
        x = x.unsqueeze(axis)
    return x


@operator
def slice_by_index(
    x: Tensor,
    begin: Ints,
    end: Tensor,
    stride: Ints = (),
    begin_mask: Ints = (),
    end_mask: Ints = (),
    squeeze_mask: Ints = (),
) -> Tensor:
    """x[begin:end:stride] as numpy has it; a mask leaves an end open or takes one index."""
    for d, n in enumerate(x.shape):
        first = None if begin_mask and begin_mask[d] else begin[d]
        last = None if end_mask and end_mask[d] else int(end[d])
        index = range(n)[first : last : stride[d] if stride else 1]
        if squeeze_mask and squeeze_mask[d]:
            index = range(begin[d] % n, begin[d] % n + 1)
        if index != range(n):
            x = x.index_select(d, torch.tensor(index, dtype=torch.long))
    return x.squeeze([d for d, one in enumerate(squeeze_mask) if one])


@operator
def slice_by_size(x: Tensor, begin: Ints, size: Ints) -> Tensor:
    """`size` elements from `begin` on along each axis; -1 all that follow."""
    for d, (b, n) in enumerate(zip(begin, size, strict=True)):
        x = x.narrow(d, b, x.shape[d] - b if n == -1 else n)
    return x


@operator
def depth_to_space(x: Tensor, block_size: int) -> Tensor:
    """[N, r² C, H, W] → [N, C, H r, W r], the block's place varying slowest among channels."""
    (n, c, h, w), r = x.shape, block_size
    split = x.reshape(n, r, r, c // r**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return split.reshape(n, c // r**2, h * r, w * r)


@operator
def space_to_depth(x: Tensor, block_size: int) -> Tensor:
    """The inverse of depth_to_space."""
    (n, c, h, w), r = x.shape, block_size
    split = x.reshape(n, c, h // r, r, w // r, r).permute(0, 3, 5, 1, 2, 4)
    return split.reshape(n, c * r**2, h // r, w // r)
