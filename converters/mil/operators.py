"""The table of operators: MIL's name → a function of torch tensors that computes it.

An input is handed over as the plain value that its name has in all of MIL, as listed here, or as a
tensor. Half-precision tensors arrive widened to float32 and what comes back is rounded to half
again: fp16 storage with fp32 accumulation, a model of Apple's hardware and not its truth. `exact`
functions take and give tensors as they are.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edgevit.errors import ArtifactError

Ints = tuple[int, ...]
Tensors = tuple[Tensor, ...]
Function = Callable[..., Any]

VARIADIC = ("values", "ref_tensors")
LEADING = {"x", "query", "data"}  # where an operator has one, its results are of that format
_NAMES: dict[Any, str] = {
    int: "axis batch_dims block_size downscale_factor groups k lower max_boxes num_splits upper "
    "one_hot_vector_size resized_dims target_height target_size_height target_size_width "
    "target_width upscale_factor vector_axis",
    float: "constant_val epsilon iou_threshold pad_value padding_value scale_factor_height "
    "scale_factor_width score_threshold spatial_scale",
    bool: "align_corners ascending ceil_mode exclude_padding_from_average exclusive interleave "
    "half_pixel_centers keep_dims normalized_coordinates per_class_suppression return_indices "
    "reverse sort transpose_x transpose_y validate_indices",
    str: "box_coordinate_mode coordinates_mode dtype equation interpolation_mode mode "
    "output_dtype output_indices_dtype pad_type padding_mode sampling_mode",
    Ints: "axes begin begin_mask begins crop_height crop_width dilations end_mask end_masks "
    "ends kernel_sizes output_shape pad perm reps shape size split_sizes squeeze_mask stride "
    "strides",
}
KINDS = {name: kind for kind, names in _NAMES.items() for name in names.split()}


@dataclass(frozen=True)
class Operator:
    function: Function
    takes: frozenset[str]
    exact: bool

    def __call__(self, given: Mapping[str, Sequence[Any]]) -> Tensors:
        """Outputs for inputs, each a list of the values bound to it."""
        half = False
        plain: dict[str, Any] = {}
        for name, values in given.items():
            if name not in self.takes:
                raise ArtifactError(f"has an input {name!r} that edgevit does not know")
            kind = KINDS.get(name)
            if kind is Ints:
                plain[name] = tuple(int(n) for v in values for n in v.reshape(-1).tolist())
            elif kind is not None:
                (value,) = values
                plain[name] = kind(value.item() if isinstance(value, Tensor) else value)
            else:
                if name in LEADING or LEADING.isdisjoint(given):
                    half |= any(v.dtype == torch.float16 for v in values)
                wide = tuple(v if self.exact else _wide(v) for v in values)
                plain[name] = wide if name in VARIADIC else wide[0]
        found = self.function(**plain)
        found = found if isinstance(found, tuple) else (found,)
        if self.exact or not half:
            return found
        return tuple(f.half() if f.dtype == torch.float32 else f for f in found)


def _wide(value: Tensor) -> Tensor:
    return value.float() if value.dtype == torch.float16 else value


OPERATORS: dict[str, Operator] = {}


def define(name: str, function: Function, *, exact: bool = False) -> Function:
    takes = frozenset(inspect.signature(function).parameters)
    OPERATORS[name] = Operator(function, takes, exact)
    return function


def operator(function: Function) -> Function:
    """Define what the function is named after."""
    return define(function.__name__, function)


def exact(function: Function) -> Function:
    """Define what minds its own number formats."""
    return define(function.__name__, function, exact=True)


def one_liners(functions: dict[str, Function]) -> None:
    for name, function in functions.items():
        define(name, function)


def along(vector: Tensor, x: Tensor, axis: int) -> Tensor:
    """A vector along `axis` of x, to be broadcast against it; a scalar as it is."""
    size = [-1 if d == axis % x.dim() else 1 for d in range(x.dim())]
    return vector.reshape(size) if vector.dim() else vector
