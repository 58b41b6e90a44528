"""Which modules of a model stay in fp32 while 8-bit integers compute the others, and what for.

A plan is a small file that can be read, changed by hand, and used for every target:

    {"model": "mobilenetv2_100", "precision": "w8a8", "keep": ["blocks.1.0", "classifier"]}
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from edgevit.errors import InputError
from edgevit.recipe import INTEGER, Recipe
from edgevit.staging import write_text

WIDEST = "least to largest"  # what chose a range that clips nothing


@dataclass(frozen=True)
class Plan:
    """keep: modules that stay in fp32, by path, in a model of this title in this precision."""

    model: str
    precision: str
    keep: tuple[str, ...]

    @classmethod
    def read(cls, file: Path) -> Self:
        try:
            d = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(d["keep"], list):
                raise TypeError("keep is no list")
            return cls(str(d["model"]), str(d["precision"]), tuple(map(str, d["keep"])))
        except (OSError, ValueError, TypeError, KeyError) as e:
            raise InputError(f"{file} is no plan of `edgevit quantize`: {e!r}") from None

    def write(self, file: Path) -> None:
        write_text(file, json.dumps(asdict(self), indent=2) + "\n")

    def applied(self, recipe: Recipe, precisions: Sequence[str]) -> Recipe:
        """The recipe with what stays in fp32; InputError for another model or precision."""
        if self.model != recipe.title:
            raise InputError(f"the plan is for {self.model}, not for {recipe.title}")
        if recipe.tome or recipe.embed_preprocess:
            raise InputError("a plan names modules that merging and --embed-preprocess move")
        if [p for p in precisions if p in INTEGER] != [self.precision]:
            raise InputError(f"the plan is for {self.precision}: ask for it, and no other 8 bits")
        return replace(recipe, keep=self.keep)


@dataclass(frozen=True)
class Product:
    """A convolution or linear layer. low, high: of what it reads, over the calibration.

    read, written: the range of that in 8 bits, `low`, `high`, and what it was chosen `by`; None
    where nothing is rounded to one. outlier: the largest channel of what it reads over the median
    one. own_db: signal to noise of what it writes, it alone in 8 bits; here_db: all of them.
    """

    path: str
    op: str
    shape: tuple[int, ...]
    low: float
    high: float
    outlier: float
    own_db: float
    here_db: float
    read: dict[str, Any] | None
    written: dict[str, Any] | None

    @property
    def clipped(self) -> str:
        """ "-1 .. 2 (OCTAV), writes 0 .. 3 (entropy)": ranges that leave something out."""
        ranges = (("", self.read), ("writes ", self.written))
        return ", ".join(
            f"{what}{r['low']:.3g} .. {r['high']:.3g} ({r['by']})"
            for what, r in ranges
            if r and r["by"] != WIDEST
        )


@dataclass(frozen=True)
class Block:
    """macs: its share of all products'. snr_db: of the answers, it alone in 8 bits."""

    path: str
    macs: float
    snr_db: float
    products: tuple[Product, ...]

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        products = (Product(**p | {"shape": tuple(p["shape"])}) for p in d["products"])
        return cls(**d | {"products": tuple(products)})


def lost(before: np.ndarray, after: np.ndarray, labels: Sequence[int] | None) -> float:
    """The share of classes that changed; with labels, of those that are right no more."""
    if labels is None:
        return float((before != after).mean())
    return float((before == labels).mean() - (after == labels).mean())


def by_noise(found: Sequence[Block]) -> list[Block]:
    """The noisiest first."""
    return sorted(found, key=lambda b: b.snr_db)
