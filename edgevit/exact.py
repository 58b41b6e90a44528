"""Run the original module in float64, and in each precision that an artifact will be judged by."""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .errors import InputError
from .preprocess import Preprocess
from .program import outputs_of
from .reference import Arrays, Reference, inputs_like

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


def compute(
    module: nn.Module,
    examples: Sequence[Tensor],
    *,
    preprocess: Preprocess | None,
    precisions: Sequence[str],
) -> Reference:
    """Run `module` on sixteen inputs in float64 and in each of `precisions`."""
    inputs = inputs_like([e.numpy() for e in examples], preprocess)
    exact = _run(module, inputs, torch.float64)
    bad = sum(not np.isfinite(a).all() for row in exact for a in row)
    if bad:
        raise InputError(f"the model itself gives NaN or infinity in float64 on {bad} inputs")
    errors = {}
    for precision in precisions:
        eager = _run(module, inputs, _DTYPES[precision])
        errors[precision] = tuple(
            max(
                float(np.abs(e[j] - x[j]).max(initial=0)) for e, x in zip(eager, exact, strict=True)
            )
            for j in range(len(exact[0]))
        )
    return Reference(inputs, exact, errors)


def _run(module: nn.Module, inputs: Sequence[Arrays], dtype: torch.dtype) -> tuple[Arrays, ...]:
    """Outputs as float64 arrays of a copy of `module` computed in `dtype`."""
    module = copy.deepcopy(module).to(dtype)

    def fed(array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor.to(dtype) if tensor.is_floating_point() else tensor

    try:
        return tuple(
            tuple(t.double().numpy() for t in outputs_of(module, [fed(a) for a in row]))
            for row in inputs
        )
    except RuntimeError as e:
        reason = str(e).strip().splitlines()[0]
        raise InputError(
            f"the model does not run in {dtype}, which verifying needs: {reason}"
        ) from e
