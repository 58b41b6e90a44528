"""Run the original module in float64, and in each precision that an artifact will be judged by."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .emulation import Precision
from .errors import InputError
from .preprocess import Preprocess
from .program import outputs_of
from .reference import COUNT, Arrays, Reference, inputs_like, spread

# Of an input: noise, ten times what rounding does, in parts of its largest value; how far out of
# the usual it moves the outputs where it decides a tie; what the input then becomes, how often.
NOISE, TIE, SOFTER, TRIES = 1e-5, 30, 0.97, 6


def compute(
    module: nn.Module,
    examples: Sequence[Tensor],
    *,
    preprocess: Preprocess | None,
    precisions: Sequence[str],
    decides: bool = False,
    usual: Sequence[Arrays] = (),
) -> Reference:
    """Run `module` on sixteen inputs in float64 and in each of `precisions`.

    usual: of these, spread over them, where there are any. decides: whether it compares what it
    computed, as token merging does, so that at a tie a rounding error is enough for it to compute
    something else, and none of both is wrong.
    """
    inputs = inputs_like([e.numpy() for e in examples], preprocess)
    if usual:
        inputs = tuple(usual[i] for i in spread(len(usual), COUNT))
    if decides:
        inputs = _decided(module, inputs)
    exact = _run(module, inputs, torch.float64)
    bad = sum(not np.isfinite(a).all() for row in exact for a in row)
    if bad:
        raise InputError(f"the model itself gives NaN or infinity in float64 on {bad} inputs")
    errors = {}
    for precision in precisions:
        eager = _run(module, inputs, torch.float32, precision)
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


def _run(
    module: nn.Module, inputs: Sequence[Arrays], dtype: torch.dtype, precision: str = "fp32"
) -> tuple[Arrays, ...]:
    """Outputs, as float64 arrays, of a copy of `module` in `dtype`, rounded on the way."""
    emulated = Precision(copy.deepcopy(module).to(dtype), precision)

    def fed(array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(array.copy())  # a module may write into its input
        if not tensor.is_floating_point():
            return tensor
        return tensor.half().float() if emulated.half else tensor.to(dtype)

    try:
        with emulated.rounding():
            found = [
                tuple(
                    t.double().numpy() for t in outputs_of(emulated.module, [fed(a) for a in row])
                )
                for row in emulated.passes(inputs)
            ]
    except Exception as e:  # whatever the module's code leads to
        reason = (str(e).strip() or type(e).__name__).splitlines()[0]
        raise InputError(
            f"the model does not run in {dtype}, which verifying needs: {reason}"
        ) from e
    return tuple(found[-len(inputs) :])
