"""Budget and Pruned: what is asked of a narrower model, and what its file keeps of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..converters.artifact import Artifact
from ..converters.target import TARGETS
from ..errors import InputError
from ..lookup import lookup
from ..page import page as html
from ..profiles.compare import Ratio
from ..profiles.report.bars import Bar, bars
from ..profiles.report.html import STYLE
from ..recipe import BUDGET, Recipe
from ..staging import write_text

# Asked for, and no budget: why, and what to take. MobileNetV2 at 224 pixels with the least of the
# weights of its 1×1 convolutions zero, beside itself with one thread: none is faster for sure.
ZEROS = re.compile(r"\d+:\d+|(sparsity|zeros)=.*")
NO_FASTER = (
    "zeros among the weights make no file faster here (MobileNetV2 with four fifths of them zero: "
    "1.04× [0.99, 1.09] in ONNX Runtime, 1.00× [0.97, 1.01] in TFLite; two of four: 1.00× and "
    "0.97×): take channels out, 0.6x; in Core ML they make it smaller, `edgevit convert MODEL "
    "--precision w4-sparse --to coreml`"
)
NEAR = 0.05  # how far from the budget the measured latency may be


@dataclass(frozen=True)
class Budget:
    """of: "latency", "macs" or "params". share: of the whole model's; or else a latency.

    target: whose runtime is meant, where the budget says so.
    """

    of: str
    share: float | None
    seconds: float | None = None
    target: str | None = None

    @classmethod
    def parse(cls, word: str) -> Self:
        """ "0.6x", "latency=0.6x", "latency=8ms@tflite", "macs=0.5x", "params=0.5x"."""
        if ZEROS.fullmatch(word):
            raise InputError(f"{word!r}: {NO_FASTER}")
        found = re.fullmatch(rf"{BUDGET}(?:@(\w+))?", word)
        of, number, unit, target = found.groups() if found else (None, "", "", None)
        of = of or "latency"
        if target:
            lookup("target", target, TARGETS)
        if not found or (unit == "ms" and of != "latency"):
            raise InputError(
                f"the budget {word!r} is none: latency=0.6x (or 0.6x), latency=8ms, macs=0.5x or "
                "params=0.5x, behind any of them @onnx or another target"
            )
        value = float(number)
        if unit == "x" and not 0 < value < 1:
            raise InputError(f"the budget {word!r} is to lie between 0 and 1 of the whole model")
        if not value:
            raise InputError(f"the budget {word!r} is nothing at all: give more than 0 ms")
        share, seconds = (value, None) if unit == "x" else (None, value / 1e3)
        return cls(of, share, seconds, target)

    @property
    def amount(self) -> str:
        return f"{self.share:g}x" if self.seconds is None else f"{self.seconds * 1e3:g}ms"

    @property
    def stem(self) -> str:
        """For names of files."""
        return f"{self.of}{self.amount}"

    def __str__(self) -> str:
        return f"{self.of}={self.amount}" + (f"@{self.target}" if self.target else "")


@dataclass(frozen=True)
class Pruned:
    """recipe: of the pruned weights, for `target`. asked, got: parts of what the whole model takes
    of the budget's kind.

    widths: channels that a layer writes, [before, now]. faster: measured beside the whole one,
    where the runtime is here. macs, params: parts that stay. The classes of the pictures held out:
    whole, before training, after; None without pictures, or training.
    """

    budget: Budget
    target: str
    recipe: Recipe
    artifact: Artifact
    asked: float
    got: float
    faster: Ratio | None
    macs: float
    params: float
    widths: dict[str, list[int]]
    whole: np.ndarray | None
    before: np.ndarray | None
    after: np.ndarray | None
    truth: np.ndarray | None

    @property
    def met(self) -> bool:
        return abs(self.got / self.asked - 1) <= NEAR

    @property
    def measured(self) -> str:
        """As the budget is given: a part of the whole model's, or milliseconds."""
        if self.budget.seconds:
            return f"{self.got / self.asked * self.budget.seconds * 1e3:.3g} ms"
        return f"{self.got:.2f}×"

    def taken(self, recipe: Recipe) -> Recipe:
        """Another recipe of the same model, with these weights."""
        return replace(recipe, weights=self.recipe.weights, pretrained=False)

    def right(self, answers: np.ndarray | None) -> float | None:
        """Share of the pictures held out: right, or where nobody knows, as the whole model says."""
        aim = self.whole if self.truth is None else self.truth
        return None if answers is None else float((answers == aim).mean())

    def as_dict(self) -> dict[str, Any]:
        named = {"whole": self.whole, "pruned": self.before, "trained": self.after}
        return {
            "budget": str(self.budget),
            "target": self.target,
            "asked": self.asked,
            "got": self.got,
            "met": self.met,
            "faster": self.faster and vars(self.faster),
            "macs": self.macs,
            "params": self.params,
            "widths": self.widths,
            "labelled": self.truth is not None,
            "accuracy": {name: self.right(answers) for name, answers in named.items()},
            "weights": self.recipe.weights,
            "path": str(self.artifact.path),
        }


def page(file: Path, title: str, rows: Sequence[Pruned]) -> None:
    """Widths of the layers, and what each budget costs, as plots."""
    parts = []
    for row in rows:
        said = f"{row.measured} in place of {row.budget.amount} of {row.budget.of}"
        bars_ = [
            Bar(n, now / b, now / b, now / b, f"{now} of {b}") for n, (b, now) in row.widths.items()
        ]
        parts.append(f"<h2>{escape(str(row.budget))}</h2><p>{escape(said)}</p>")
        parts.append(bars(bars_, title=f"{row.budget}, widths", described=said, unit=""))
    counted = [
        Bar(f"{row.budget}, {when}", 100 * share, 100 * share, 100 * share, f"{share:.1%}")
        for row in rows
        for when, answers in (("pruned", row.before), ("trained", row.after))
        if (share := row.right(answers)) is not None
    ]
    if counted:
        whole = rows[0].right(rows[0].whole)
        said = f"share of pictures held out that are right; the whole model: {whole:.1%}"
        parts.append(f"<h2>What it costs</h2><p>{escape(said)}</p>")
        parts.append(bars(counted, title="Accuracy", described=said, unit=" %"))
    write_text(file, html(title, parts, style=STYLE))
