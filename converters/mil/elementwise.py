"""Activations, and what is done to each element or pair of elements."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .operators import exact, one_liners, operator
from .values import TYPES


def _along(channels: Tensor, x: Tensor) -> Tensor:
    """[C] as [C, 1, ...], to be used on axis 1 of x."""
    return channels.reshape(-1, *[1] * (x.dim() - 2))


one_liners(
    {
        "clamped_relu": lambda x, alpha, beta: torch.where(x >= 0, x, alpha * x).minimum(beta),
        "elu": lambda x, alpha: torch.where(x > 0, x, alpha * torch.expm1(x)),
        "leaky_relu": lambda x, alpha: torch.where(x >= 0, x, alpha * x),
        "linear_activation": lambda x, alpha, beta: alpha * x + beta,
        "prelu": lambda x, alpha: torch.where(x > 0, x, _along(alpha, x) * x),
        "relu": lambda x: x.clamp(min=0),
        "relu6": lambda x: x.clamp(0, 6),
        "scaled_tanh": lambda x, alpha, beta: alpha * torch.tanh(beta * x),
        "sigmoid": lambda x: torch.sigmoid(x),
        "sigmoid_hard": lambda x, alpha, beta: (alpha * x + beta).clamp(0, 1),
        "silu": lambda x: F.silu(x),
        "softplus": lambda x: F.softplus(x),
        "softplus_parametric": lambda x, alpha, beta: (
            _along(alpha, x) * F.softplus(_along(beta, x) * x)
        ),
        "softmax": lambda x, axis=-1: x.softmax(axis),
        "inverse": lambda x, epsilon=1e-4: 1 / (x + epsilon),
        "log": lambda x, epsilon=1e-45: (x + epsilon).log(),
        "rsqrt": lambda x, epsilon=1e-12: (x + epsilon).rsqrt(),
        "softsign": lambda x: x / (1 + x.abs()),
        "thresholded_relu": lambda x, alpha: torch.where(x >= alpha, x, torch.zeros_like(x)),
        "abs": lambda x: x.abs(),
        "acos": lambda x: x.acos(),
        "asin": lambda x: x.asin(),
        "atan": lambda x: x.atan(),
        "atanh": lambda x: x.atanh(),
        "ceil": lambda x: x.ceil(),
        "clip": lambda x, alpha, beta: x.maximum(alpha).minimum(beta),
        "cos": lambda x: x.cos(),
        "cosh": lambda x: x.cosh(),
        "erf": lambda x: x.erf(),
        "exp": lambda x: x.exp(),
        "exp2": lambda x: x.exp2(),
        "floor": lambda x: x.floor(),
        "identity": lambda x: x,
        "logical_not": lambda x: x.logical_not(),
        "round": lambda x: x.round(),
        "sign": lambda x: x.sign(),
        "sin": lambda x: x.sin(),
        "sinh": lambda x: x.sinh(),
        "sqrt": lambda x: x.sqrt(),
        "square": lambda x: x * x,
        "tan": lambda x: x.tan(),
        "tanh": lambda x: x.tanh(),
        "threshold": lambda x, alpha: x.maximum(alpha),
        "add": lambda x, y: x + y,
        "sub": lambda x, y: x - y,
        "mul": lambda x, y: x * y,
        "real_div": lambda x, y: torch.div(
            x, y, rounding_mode=None if x.is_floating_point() else "trunc"
        ),
        "floor_div": lambda x, y: torch.div(x, y, rounding_mode="floor"),
        "mod": lambda x, y: torch.remainder(x, y),
        "pow": lambda x, y: x**y,
        "maximum": lambda x, y: x.maximum(y),
        "minimum": lambda x, y: x.minimum(y),
        "equal": lambda x, y: x == y,
        "not_equal": lambda x, y: x != y,
        "greater": lambda x, y: x > y,
        "greater_equal": lambda x, y: x >= y,
        "less": lambda x, y: x < y,
        "less_equal": lambda x, y: x <= y,
        "logical_and": lambda x, y: x.logical_and(y),
        "logical_or": lambda x, y: x.logical_or(y),
        "logical_xor": lambda x, y: x.logical_xor(y),
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


def _spread(vector: Tensor, x: Tensor, axis: int) -> Tensor:
    """A scalar as it is, a vector along `axis` of x."""
    size = [-1 if d == axis % x.dim() else 1 for d in range(x.dim())]
    return vector.reshape(size) if vector.dim() else vector


@exact
def quantize(
    input: Tensor, scale: Tensor, output_dtype: str, zero_point: Tensor | None = None, axis: int = 0
) -> Tensor:
    """clip(round(input / scale) + zero point)"""
    levels = (input.float() / _spread(scale, input, axis).float()).round()
    if zero_point is not None:
        levels = levels + _spread(zero_point, input, axis)
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
        levels = levels - _spread(zero_point, input, axis).float()
    return (levels * _spread(scale, input, axis).float()).to(scale.dtype)
