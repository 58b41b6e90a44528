"""What folding did to a model: its structure before and after, the errors, and what is left.

rep: 43 branches → 21 convolutions, max error 3e-14 in float64, 2e-6 in float32
"""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Structure:
    """sums: those of branches. macs: of convolutions and products, for the example inputs.

    batch_norms: those that stand as a scale and a shift too. parameters: numbers that the program
    stores, with statistics and constants.
    """

    branches: int
    sums: int
    convolutions: int
    linear_layers: int
    batch_norms: int
    parameters: int
    macs: int


@dataclass(frozen=True)
class Folding:
    """error_float64, error_float32: the largest error, relative to the largest of its output.

    left: (module's path, what is left there and why). own: what the model's own method makes of it.
    """

    before: Structure
    after: Structure
    error_float64: float
    error_float32: float
    left: tuple[tuple[str, str], ...]
    own: str | None = None

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        before, after = Structure(**d["before"]), Structure(**d["after"])
        left = tuple((path, why) for path, why in d["left"])
        return cls(before, after, d["error_float64"], d["error_float32"], left, d.get("own"))

    def __str__(self) -> str:
        before, after = self.before, self.after
        layers = [s.convolutions + s.linear_layers for s in (before, after)]
        made = before.sums - after.sums
        parts = []
        if before.sums:
            word = "convolution" if after.convolutions else "linear layer"
            parts.append(f"{_count(before.branches, 'branch')} → {_count(made, word)}")
        elif layers[1] < layers[0]:
            parts.append(f"{_count(layers[0], 'layer')} → {layers[1]}")
        if before.batch_norms:
            parts.append(f"{_count(before.batch_norms, 'batch norm')} → {after.batch_norms}")
        parts = parts or ["no branches and no batch norms"]
        parts.append(f"max error {self.error_float64:.0e} in float64")
        return f"rep: {', '.join(parts)}, {self.error_float32:.0e} in float32"


def _count(number: int, word: str) -> str:
    plural = "" if number == 1 else "es" if word.endswith("ch") else "s"
    return f"{number} {word}{plural}"
