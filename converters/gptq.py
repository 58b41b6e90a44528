"""Weights rounded one by one, so that what a layer computes of its inputs changes least.

GPTQ (Frantar et al., ICLR 2023, arXiv 2210.17323, algorithm 1): column j of W is rounded, and the
columns after it take up its error, each as its inputs go with those of j:

    W[:, k] −= (W[:, j] − Q[:, j]) / U[j, j] · U[j, k],   k > j,   Uᵀ·U = (X·Xᵀ + λ)⁻¹

Columns are taken by falling [X·Xᵀ]jj, on steps that were fixed before: what errs most has most
others left to take it up.
"""

import torch
from torch import Tensor

from .grid import Steps

DAMPING = 0.01  # λ, in parts of the mean of the diagonal
LAZY = 128  # columns whose errors are added to those after them at once


def rounded(weights: Tensor, steps: Steps, inputs: Tensor) -> Tensor:
    """weights: [G, N, K], of G groups of N output channels each; inputs: X·Xᵀ, [G, K, K]. On the
    steps, in float64.
    """
    order = inputs.diagonal(dim1=-2, dim2=-1).argsort(-1, descending=True)
    back = order.argsort(-1)

    def taken(rows: Tensor, by: Tensor) -> Tensor:
        return rows.gather(-1, by.unsqueeze(-2).expand_as(rows))

    left = taken(weights.double(), order)
    its = Steps(*(taken(t, order) for t in (steps.step, steps.low, steps.high, steps.pinned)))
    upper = _factor(taken(taken(inputs.double(), order).mT, order))
    found = torch.empty_like(left)
    count = left.shape[-1]
    for start in range(0, count, LAZY):
        end = min(start + LAZY, count)
        errors = torch.empty_like(left[..., start:end])
        for j in range(start, end):
            found[..., j] = its.column(j).nearest(left[..., j])
            error = (left[..., j] - found[..., j]) / upper[:, None, j, j]
            left[..., j + 1 : end] -= error[..., None] * upper[:, None, j, j + 1 : end]
            errors[..., j - start] = error
        left[..., end:] -= errors @ upper[:, start:end, end:]
    return taken(found, back)


def _factor(inputs: Tensor) -> Tensor:
    """U of Uᵀ·U = (inputs + λ)⁻¹."""
    diagonal = inputs.diagonal(dim1=-2, dim2=-1)
    damping = DAMPING * diagonal.mean(-1, keepdim=True) + 1e-12
    damped = inputs + torch.diag_embed(damping.expand_as(diagonal))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.linalg.cholesky(inverse, upper=True)
