"""Hold an artifact's outputs against the float64 model.

Tolerance. Rounding to a precision of unit roundoff u gives every implementation of a model some
error against float64. How much depends on the model and cannot be guessed, but it can be measured:
torch computes the same model on the same inputs in the same precision, and its largest error is
one draw of that round-off. Another summation order is another draw: XNNPACK sums serially what
torch sums in blocks (a factor of 4 for some hundred terms), and mobile kernels approximate exp, erf
and rsqrt to a few units in the last place instead of half of one (another 2); doubled:

    tolerance = 16 · max(eager error, u · largest |output|)

Weights in fewer bits err by design, far more than by round-off. torch computes the model with its
weights on as many evenly spaced levels, and a file may err twice as much: a palette is fitted to
the weights and should do better. 8-bit products have their activations on such levels too
(emulation.py) and may err five times as much: what a file has folded has wider channels than its
parts had (MobileOne: 4.2). Where that is more than the outputs themselves, the file is rejected all
the same. What it costs on real images no tolerance tells; measure it.

The second term is for outputs that torch happens to compute exactly. The largest ratio to the eager
error seen in the agreement table is 12 (FasterNet-T0 in XNNPACK); kernels at fault had 22 and more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from edgevit.recipe import INTEGER
from edgevit.reference import Arrays, Reference

FACTOR, FACTOR_OF_COMPRESSED, FACTOR_OF_INTEGERS = 16, 2, 5
UNIT_ROUNDOFF = {"fp32": 2.0**-24}  # of the others 2⁻¹¹, fp16's
AGREES, REJECTED, SKIPPED = "agrees", "rejected", "skipped"


@dataclass(frozen=True)
class OutputAgreement:
    """One output over all inputs. errors are absolute; cosine is the smallest over the inputs.

    snr_db: 10·log10 of the outputs' energy over the error's, None when there is no error at all.
    top1: share of inputs whose largest entry is the model's, None for outputs that are no scores.
    fault: what no number tells, as "holds NaN or infinity"; "" where there is no such thing.
    """

    name: str
    max_abs_error: float
    tolerance: float
    eager_error: float
    snr_db: float | None
    cosine: float
    top1: float | None
    fault: str = ""

    @property
    def ok(self) -> bool:
        return not self.fault and self.max_abs_error <= self.tolerance


@dataclass(frozen=True)
class Agreement:
    """status: one of the words above. inputs: how many were compared."""

    status: str
    inputs: int = 0
    outputs: tuple[OutputAgreement, ...] = ()

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        return cls(d["status"], d["inputs"], tuple(OutputAgreement(**o) for o in d["outputs"]))

    @property
    def worst(self) -> OutputAgreement | None:
        """The output that uses most of its tolerance."""
        return max(
            self.outputs, key=lambda o: (bool(o.fault), o.max_abs_error / o.tolerance), default=None
        )

    def __str__(self) -> str:
        worst = self.worst
        if worst is None:
            return self.status
        if worst.fault:
            return f"{self.status}: output {worst.name!r} {worst.fault}"
        return (
            f"{self.status}: error {worst.max_abs_error:.1e} of {worst.tolerance:.1e} allowed "
            f"in {worst.name!r}"
        )


def agreement(
    reference: Reference, found: Sequence[Arrays], *, precision: str, names: Sequence[str]
) -> Agreement:
    """Compare what an artifact computed from the reference's inputs with the reference."""
    outputs = []
    for j, name in enumerate(names):
        exact = np.stack([row[j] for row in reference.outputs])
        for row in found:
            if len(row) != len(names):
                fault = f"is one of {len(row)} outputs instead of {len(names)}"
            elif row[j].shape != exact.shape[1:]:
                fault = f"has shape {list(row[j].shape)} instead of {list(exact.shape[1:])}"
            else:
                continue
            nothing = OutputAgreement(name, 0.0, 1.0, 0.0, None, 0.0, None, fault)
            return Agreement(REJECTED, len(found), (nothing,))
        mine = np.stack([row[j] for row in found]).astype(np.float64)
        outputs.append(_compare(name, exact, mine, reference.eager_error[precision][j], precision))
    status = AGREES if all(o.ok for o in outputs) else REJECTED
    return Agreement(status, len(found), tuple(outputs))


def _compare(
    name: str, exact: np.ndarray, mine: np.ndarray, eager_error: float, precision: str
) -> OutputAgreement:
    fault = "" if np.isfinite(mine).all() else "holds NaN or infinity"
    if not np.isfinite(eager_error):
        fault = fault or f"cannot be judged: the model itself overflows in {precision}"
        eager_error = 0.0
    mine = np.nan_to_num(mine, posinf=0, neginf=0)
    error = mine - exact
    n = len(exact)
    flat_exact, flat_mine = exact.reshape(n, -1), mine.reshape(n, -1)
    norms = np.linalg.norm(flat_exact, axis=1) * np.linalg.norm(flat_mine, axis=1)
    dots = (flat_exact * flat_mine).sum(1)
    cosine = np.where(norms > 0, dots / np.where(norms > 0, norms, 1), 1.0)
    noise, signal = float((error**2).sum()), float((exact**2).sum())
    exactly = precision in ("fp32", "fp16")
    if noise >= signal > 0 and not exactly:
        fault = fault or "is more error than answer: `edgevit quantize` says what it comes from"
    scores = exact.ndim == 3 and exact.shape[2] > 1
    top1 = float((flat_exact.argmax(1) == flat_mine.argmax(1)).mean()) if scores else None
    floor = UNIT_ROUNDOFF.get(precision, 2.0**-11) * float(np.abs(exact).max(initial=0))
    factor = FACTOR if exactly else FACTOR_OF_COMPRESSED
    if precision in INTEGER:
        factor = FACTOR_OF_INTEGERS
    tolerance = max(factor * eager_error, FACTOR * floor, np.finfo(np.float64).tiny)
    return OutputAgreement(
        name=name,
        max_abs_error=float(np.abs(error).max(initial=0)),
        tolerance=tolerance,
        eager_error=eager_error,
        snr_db=10 * float(np.log10(signal / noise)) if noise and signal else None,
        cosine=float(cosine.min()),
        top1=top1,
        fault=fault,
    )
