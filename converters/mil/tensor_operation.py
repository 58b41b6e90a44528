"""Tensors joined, split, filled, padded, sorted and searched."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .operators import Ints, Tensors, one_liners, operator

ZERO = torch.zeros(())
OFF, ON = torch.arange(2, dtype=torch.int32)

one_liners(
    {
        "stack": lambda values, axis: torch.stack(values, axis),
        "tile": lambda x, reps: x.tile(reps),
        "fill": lambda shape, value=ZERO: value.expand(shape),
        "fill_like": lambda ref_tensor, value=ZERO: value.expand(ref_tensor.shape),
        "shape": lambda x: torch.tensor(x.shape, dtype=torch.int32),
        "non_zero": lambda x: x.nonzero().int(),
        "range_1d": lambda start, end, step: torch.arange(
            start.item(), end.item(), step.item(), dtype=start.dtype
        ),
        "argsort": lambda x, axis=-1, ascending=False: x.argsort(
            dim=axis, descending=not ascending, stable=True
        ).int(),
    }
)


@operator
def concat(values: Tensors, axis: int, interleave: bool = False) -> Tensor:
    """One after the other along the axis, or by turns."""
    if not interleave:
        return torch.cat(torch.atleast_1d(values), axis)
    axis %= values[0].dim()
    return torch.stack(values, axis + 1).flatten(axis, axis + 1)


@operator
def split(x: Tensor, axis: int, num_splits: int = 0, split_sizes: Ints = ()) -> Tensors:
    """Into parts of these sizes, or so many equal ones."""
    return x.split(list(split_sizes) or x.shape[axis] // num_splits, axis)


@operator
def pad(x: Tensor, pad: Ints, mode: str = "constant", constant_val: float = 0.0) -> Tensor:
    """[before, after] of each of the last axes: a constant, the reflected or the edge elements."""
    pairs = list(zip(pad[::2], pad[1::2], strict=True))
    if mode == "constant":
        return F.pad(x, [n for pair in reversed(pairs) for n in pair], value=constant_val)
    for axis, (before, after) in enumerate(pairs, start=x.dim() - len(pairs)):
        last = x.shape[axis] - 1
        i = torch.arange(-before, last + 1 + after)
        i = i.clamp(0, last) if mode == "replicate" else last - (last - i.abs()).abs()
        x = x.index_select(axis, i)
    return x


@operator
def band_part(x: Tensor, lower: int = -1, upper: int = -1) -> Tensor:
    """Zero but for so many diagonals below and above the main one; -1 keeps all."""
    x = x if upper < 0 else x.tril(upper)
    return x if lower < 0 else x.triu(-lower)


@operator
def cumsum(x: Tensor, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Sums of all elements up to each, itself counted unless exclusive."""
    x = x.flip(axis) if reverse else x
    y = x.cumsum(axis, dtype=x.dtype)
    y = y.roll(1, axis).index_fill(axis, torch.tensor([0]), 0) if exclusive else y
    return y.flip(axis) if reverse else y


@operator
def one_hot(
    indices: Tensor,
    one_hot_vector_size: int,
    on_value: Tensor = ON,
    off_value: Tensor = OFF,
    axis: int = -1,
) -> Tensor:
    """on where the new axis has the index, off elsewhere."""
    hot = indices.unsqueeze(-1) == torch.arange(one_hot_vector_size)
    return torch.where(hot.movedim(-1, axis), on_value, off_value)


@operator
def topk(
    x: Tensor,
    k: int = 1,
    axis: int = -1,
    ascending: bool = False,
    sort: bool = True,
    return_indices: bool = True,
    output_indices_dtype: str = "int32",
) -> Tensors:
    """The k largest (smallest if ascending) along the axis, and where they are."""
    values, indices = x.topk(k, axis, not ascending, sort)
    return (values, indices.int()) if return_indices else (values,)


@operator
def non_maximum_suppression(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    max_boxes: int,
    score_threshold: float | None = None,
    per_class_suppression: bool = False,
) -> Tensors:
    """Boxes [N, B, 4] (x, y of the centre, width, height) in order of their best score [N, B, K],
    without those that overlap a chosen one by more than the threshold (within a class, if asked).

    Gives boxes [N, M, 4], scores [N, M, K], indices [N, M] (-1: no more are left), counts [N]. From
    iOS 17 on boxes and scores are columns, and there are neither score threshold nor counts.
    """
    if score_threshold is None:
        given = (boxes.mT, scores.mT, iou_threshold, max_boxes, -torch.inf, per_class_suppression)
        rows = non_maximum_suppression(*given)
        return rows[0].mT, rows[1].mT, rows[2]
    best, kinds = scores.max(-1)
    half = boxes[..., 2:] / 2
    corners = torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], -1)
    indices = torch.full((len(boxes), max_boxes), -1)
    for n in range(len(boxes)):
        kept: list[int] = []
        for i in best[n].argsort(descending=True, stable=True).tolist():
            if best[n, i] < score_threshold or len(kept) == max_boxes:
                break
            same = [j for j in kept if not per_class_suppression or kinds[n, j] == kinds[n, i]]
            if not (_iou(corners[n, i], corners[n, same]) > iou_threshold).any():
                kept.append(i)
        indices[n, : len(kept)] = torch.tensor(kept, dtype=torch.long)
    there = indices >= 0
    chosen = [t.take_along_dim(indices.clamp(0)[..., None], 1) for t in (boxes, scores)]
    chosen = [t * there[..., None] for t in chosen]
    return chosen[0], chosen[1], indices.int(), there.sum(1).int()


def _iou(one: Tensor, many: Tensor) -> Tensor:
    """Intersection over union of corners [4] with [n, 4]."""
    low, high = one[:2].maximum(many[:, :2]), one[2:].minimum(many[:, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    areas = (many[:, 2:] - many[:, :2]).prod(-1) + (one[2:] - one[:2]).prod()
    return common / (areas - common)
