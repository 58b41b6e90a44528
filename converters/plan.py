"""Which modules of a model stay in fp32 while 8-bit integers compute the others, and what for.

A plan is a small file that can be read, changed by hand, and used for every target:

    {"model": "mobilenetv2_100", "precision": "w8a8", "keep": ["conv_stem", "blocks.1.0"]}
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from edgevit.errors import InputError
from edgevit.recipe import Recipe
from edgevit.staging import write_text


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
            return cls(str(d["model"]), str(d["precision"]), tuple(map(str, d["keep"])))
        except (OSError, ValueError, TypeError, KeyError) as e:
            raise InputError(f"{file} is no plan of `edgevit quantize`: {e!r}") from None

    def write(self, file: Path) -> None:
        write_text(file, json.dumps(asdict(self), indent=2) + "\n")

    def applied(self, recipe: Recipe, precisions: Sequence[str]) -> Recipe:
        """The recipe with what stays in fp32; InputError for another model or precision."""
        if self.model != recipe.title:
            raise InputError(f"the plan is for {self.model}, not for {recipe.title}")
        if self.precision not in precisions:
            raise InputError(f"the plan is for {self.precision}, which was not asked for")
        return replace(recipe, keep=self.keep)


@dataclass(frozen=True)
class Product:
    """A convolution or linear layer. low, high: of what it reads, over the calibration.

    outlier: the largest channel of what it reads over the median one. own_db: signal to noise of
    what it writes, it alone in 8 bits; here_db: all of them.
    """

    path: str
    op: str
    shape: tuple[int, ...]
    low: float
    high: float
    outlier: float
    own_db: float
    here_db: float


@dataclass(frozen=True)
class Block:
    """macs: its share of all products'. snr_db: of the answers, it alone in 8 bits."""

    path: str
    macs: float
    snr_db: float
    products: tuple[Product, ...]

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        return cls(**d | {"products": tuple(Product(**p) for p in d["products"])})


def by_noise(found: Sequence[Block]) -> list[Block]:
    """The noisiest first."""
    return sorted(found, key=lambda b: b.snr_db)
