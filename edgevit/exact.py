"""Run the original module in float64, and in each precision that an artifact will be judged by."""

import copy
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from .errors import InputError
from .preprocess import Preprocess
from .program import outputs_of
from .reference import Arrays, Reference, inputs_like

# Of an input: noise, ten times what rounding does, in parts of its largest value; how far out of
# the usual it moves the outputs where it decides a tie; what the input then becomes, how often.
NOISE, TIE, SOFTER, TRIES = 1e-5, 30, 0.97, 6
LEVELS = {"w8": 255, "w6": 63, "w4": 15, "w4-sparse": 15}  # of a precision's weights


class _RoundToHalf(TorchDispatchMode):
    """Round what every operator returns to fp16, computing it in fp32.

    This is fp16 storage with fp32 accumulation, as mobile kernels have it on most CPUs. torch's own
    fp16 kernels accumulate likewise on a CPU, a hundred times slower.
    """

    def __torch_dispatch__(
        self,
        function: OpOverload,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = function(*args, **kwargs or {})
        aliases = [r.alias_info for r in function._schema.returns]
        if any(a is not None and not a.is_write for a in aliases):
            return result  # a view: rounded already, and what is written to it must arrive
        return tree_map(_round, result)


def _round(value: Any) -> Any:
    """Round a float32 tensor where it lies: an operator in place returns its own input."""
    if isinstance(value, Tensor) and value.dtype == torch.float32:
        value.copy_(value.half())
    return value


def compute(
    module: nn.Module,
    examples: Sequence[Tensor],
    *,
    preprocess: Preprocess | None,
    precisions: Sequence[str],
    decides: bool = False,
) -> Reference:
    """Run `module` on sixteen inputs in float64 and in each of `precisions`.

    decides: whether it compares what it computed, as token merging does, so that at a tie a
    rounding error is enough for it to compute something else, and none of both is wrong.
    """
    inputs = inputs_like([e.numpy() for e in examples], preprocess)
    if decides:
        inputs = _decided(module, inputs)
    exact = _run(module, inputs, torch.float64)
    bad = sum(not np.isfinite(a).all() for row in exact for a in row)
    if bad:
        raise InputError(f"the model itself gives NaN or infinity in float64 on {bad} inputs")
    errors = {}
    for precision in precisions:
        half = precision != "fp32"
        rounded = _rounded_weights(module, precision) if half else module
        eager = _run(rounded, inputs, torch.float32, half=half)
        errors[precision] = tuple(
            _largest([_furthest(e, x) for e, x in zip(column, truth, strict=True)])
            for column, truth in zip(
                zip(*eager, strict=True), zip(*exact, strict=True), strict=True
            )
        )
    return Reference(inputs, exact, errors)


def _decided(module: nn.Module, inputs: tuple[Arrays, ...]) -> tuple[Arrays, ...]:
    """The inputs, softer where a little noise moves the outputs far more than it does elsewhere."""
    rng = np.random.default_rng(0)

    def noisy(a: np.ndarray) -> np.ndarray:
        return a + NOISE * np.abs(a).max(initial=0) * rng.standard_normal(a.shape)

    def moved(row: Arrays) -> float:
        rows = [row, *(_of_floats(noisy, row) for _ in range(6))]
        clean, *found = _run(module, rows, torch.float32)
        return max(_furthest(a, b) for other in found for a, b in zip(other, clean, strict=True))

    moves = [moved(row) for row in inputs]
    limit = TIE * float(np.median(moves))
    decided = []
    for row, move in zip(inputs, moves, strict=True):
        for _ in range(TRIES):
            if move <= limit:
                break
            row = _of_floats(lambda a: SOFTER * a, row)
            move = moved(row)
        decided.append(row)
    return tuple(decided)


def _of_floats(function: Callable[[np.ndarray], np.ndarray], row: Arrays) -> Arrays:
    """The row with its floating-point arrays changed."""
    return tuple(
        function(a).astype(a.dtype) if np.issubdtype(a.dtype, np.floating) else a for a in row
    )


def _furthest(a: np.ndarray, b: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):  # an infinity of fp16 is what is looked for
        return float(np.abs(a - b).max(initial=0))


def _largest(errors: Sequence[float]) -> float:
    """Over the inputs on which the model does not overflow in that precision; NaN without any."""
    finite = [e for e in errors if np.isfinite(e)]
    return max(finite, default=float("nan"))


def _rounded_weights(module: nn.Module, precision: str) -> nn.Module:
    """A copy with weights as a file of that precision stores them, on evenly spaced levels."""
    module = copy.deepcopy(module)
    for p in module.parameters():
        if precision in LEVELS and p.dim() > 1 and p.numel() > 2048:
            p.data = _on_levels(p.data, precision)
    return module.half().float()


def _on_levels(weight: Tensor, precision: str) -> Tensor:
    """Each channel, for w6 the tensor, on even steps from its least to its largest weight."""
    count = LEVELS[precision]
    rows = weight.reshape(1, -1) if precision == "w6" else weight.flatten(1)
    low, high = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)
    step = (high - low).clamp(min=1e-12) / count
    levels = low + ((rows - low) / step).round() * step
    if precision.endswith("sparse"):  # the smaller half is zero
        levels = torch.where(rows.abs() > rows.abs().median(), levels, 0)
    return levels.reshape(weight.shape)


def _run(
    module: nn.Module, inputs: Sequence[Arrays], dtype: torch.dtype, *, half: bool = False
) -> tuple[Arrays, ...]:
    """Outputs, as float64 arrays, of a copy of `module` in `dtype`; `half` rounds on the way."""
    module = copy.deepcopy(module).to(dtype)

    def fed(array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(array.copy())  # a module may write into its input
        if not tensor.is_floating_point():
            return tensor
        return tensor.half().float() if half else tensor.to(dtype)

    try:
        with _RoundToHalf() if half else nullcontext():  # type: ignore[no-untyped-call]
            return tuple(
                tuple(t.double().numpy() for t in outputs_of(module, [fed(a) for a in row]))
                for row in inputs
            )
    except Exception as e:  # whatever the module's code leads to
        reason = (str(e).strip() or type(e).__name__).splitlines()[0]
        raise InputError(
            f"the model does not run in {dtype}, which verifying needs: {reason}"
        ) from e
