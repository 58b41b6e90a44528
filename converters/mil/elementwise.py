"""Activations, and what is done to each element or pair of elements."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .operators import Function, along, exact, one_liners, operator
from .values import TYPES


def unary(function: Function) -> Function:
    return lambda x: function(x)


def binary(function: Function) -> Function:
    return lambda x, y: function(x, y)


# By torch's functions of the same name.
UNARY = "abs acos asin atan atanh ceil cos cosh erf exp exp2 floor logical_not relu round sigmoid "
UNARY += "sign sin sinh sqrt square tan tanh"
BINARY = "greater greater_equal less less_equal logical_and logical_or logical_xor maximum minimum "
BINARY += "mul not_equal pow sub"
one_liners({name: unary(getattr(torch, name)) for name in UNARY.split()})
one_liners({name: binary(getattr(torch, name)) for name in BINARY.split()})
one_liners(
    {
        "clamped_relu": lambda x, alpha, beta: torch.where(x >= 0, x, alpha * x).minimum(beta),
        "elu": lambda x, alpha: torch.where(x > 0, x, alpha * torch.expm1(x)),
        "leaky_relu": lambda x, alpha: torch.where(x >= 0, x, alpha * x),
        "linear_activation": lambda x, alpha, beta: alpha * x + beta,
        "prelu": lambda x, alpha: torch.where(x > 0, x, along(alpha, x, 1) * x),
        "relu6": unary(F.relu6),
        "scaled_tanh": lambda x, alpha, beta: alpha * torch.tanh(beta * x),
        "sigmoid_hard": lambda x, alpha, beta: (alpha * x + beta).clamp(0, 1),
        "silu": unary(F.silu),
        "softplus": unary(F.softplus),
        "softplus_parametric": lambda x, alpha, beta: (
            along(alpha, x, 1) * F.softplus(along(beta, x, 1) * x)
        ),
        "softmax": lambda x, axis=-1: x.softmax(axis),
        "inverse": lambda x, epsilon=1e-4: 1 / (x + epsilon),
        "log": lambda x, epsilon=1e-45: (x + epsilon).log(),
        "rsqrt": lambda x, epsilon=1e-12: (x + epsilon).rsqrt(),
        "softsign": unary(F.softsign),
        "thresholded_relu": lambda x, alpha: torch.where(x >= alpha, x, torch.zeros_like(x)),
        "clip": lambda x, alpha, beta: x.maximum(alpha).minimum(beta),
        "identity": lambda x: x,
        "threshold": lambda x, alpha: x.maximum(alpha),
        "add": binary(torch.add),
        "real_div": lambda x, y: torch.div(
            x, y, rounding_mode=None if x.is_floating_point() else "trunc"
        ),
        "floor_div": binary(torch.floor_divide),
        "mod": binary(torch.remainder),
        "equal": binary(torch.eq),
        "select": lambda cond, a, b: torch.where(cond, a, b),
    }
)


@operator
def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    """x·Φ(x): EXACT by erf, TANH_APPROXIMATION, or SIGMOID_APPROXIMATION, x·σ(1.702 x)."""
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate="none" if mode == "EXACT" else "tanh")


@exact
def cast(x: Tensor, dtype: str) -> Tensor:
    """x in another number format; towards zero to integers."""
    return x.to(TYPES[dtype].torch)


@exact
def quantize(
    input: Tensor, scale: Tensor, output_dtype: str, zero_point: Tensor | None = None, axis: int = 0
) -> Tensor:
    """clip(round(input / scale) + zero point)"""
    levels = (input.float() / along(scale, input, axis).float()).round()
    if zero_point is not None:
        levels = levels + along(zero_point, input, axis)
    kind = TYPES[output_dtype].torch
    limits = torch.iinfo(kind)
    return levels.clamp(limits.min, limits.max).to(kind)


@exact
def dequantize(
    input: Tensor, scale: Tensor, zero_point: Tensor | None = None, axis: int = 0
) -> Tensor:
    """scale · (input - zero point), computed in the format of the scale."""
    levels = input.float()
    if zero_point is not None:
        levels = levels - along(zero_point, input, axis).float()
    return (levels * along(scale, input, axis).float()).to(scale.dtype)
