"""Products, normalizations and reductions."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .operators import Function, Ints, one_liners, operator

one_liners(
    {
        "linear": lambda x, weight, bias=None: F.linear(x, weight, bias),
        "einsum": lambda values, equation: torch.einsum(equation, *values),
        # softmax(Q Kᵀ / √E + mask) V; a boolean mask says who takes part
        "scaled_dot_product_attention": lambda query, key, value, attn_mask=None: (
            F.scaled_dot_product_attention(
                query, key, value, None if attn_mask is None else torch.atleast_2d(attn_mask)
            )
        ),
        # x / √(Σx² + ε) over the last three axes
        "l2_norm": lambda x, epsilon=1e-6: (
            x * ((x * x).sum((-3, -2, -1), keepdim=True) + epsilon).rsqrt()
        ),
    }
)


@operator
def matmul(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    """Product over the last two axes, the others broadcast."""
    return (x.mT if transpose_x else x) @ (y.mT if transpose_y else y)


@operator
def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    """γ (x - mean) / √(variance + ε) + β, per channel (axis 1)."""
    return F.batch_norm(x, mean, variance, gamma, beta, eps=epsilon)


@operator
def instance_norm(
    x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: float = 1e-5
) -> Tensor:
    """batch_norm by each image's and channel's own mean and variance."""
    return torch.group_norm(x, x.shape[1], gamma, beta, epsilon)


@operator
def layer_norm(
    x: Tensor,
    axes: Ints = (),
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    """γ (x - mean) / √(variance + ε) + β, by the mean and variance over the axes."""
    over = sorted(a % x.dim() for a in axes or range(x.dim()))
    variance, mean = torch.var_mean(x, over, correction=0, keepdim=True)
    y = (x - mean) * (variance + epsilon).rsqrt()
    size = [n if d in over else 1 for d, n in enumerate(x.shape)]
    y = y if gamma is None else y * gamma.reshape(size)
    return y if beta is None else y + beta.reshape(size)


def over(function: Function) -> Function:
    """A reduction over the given axes or all."""
    return lambda x, axes=(), keep_dims=False: function(x, axes or (*range(x.dim()),), keep_dims)


def place(function: Function) -> Function:
    return lambda x, axis=-1, keep_dims=False, output_dtype="int32": function(
        x, axis, keep_dims
    ).int()


def _sum(x: Tensor, *over: Any) -> Tensor:
    return x.sum(*over, dtype=x.dtype)


def _product(x: Tensor, axes: Ints, keep_dims: bool) -> Tensor:
    for axis in sorted((a % x.dim() for a in axes), reverse=True):
        x = x.prod(axis, keep_dims, dtype=x.dtype)
    return x


one_liners(
    {
        "reduce_l1_norm": over(lambda x, *over: _sum(x.abs(), *over)),
        "reduce_l2_norm": over(lambda x, *over: _sum(x * x, *over).sqrt()),
        "reduce_log_sum": over(lambda x, *over: _sum(x, *over).log()),
        "reduce_log_sum_exp": over(torch.logsumexp),
        "reduce_max": over(torch.amax),
        "reduce_mean": over(torch.mean),
        "reduce_min": over(torch.amin),
        "reduce_prod": over(_product),
        "reduce_sum": over(_sum),
        "reduce_sum_square": over(lambda x, *over: _sum(x * x, *over)),
        "reduce_argmax": place(torch.argmax),
        "reduce_argmin": place(torch.argmin),
    }
)
