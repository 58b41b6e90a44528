"""From what a classifier computed to the names of its most probable classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError


@dataclass(frozen=True)
class Score:
    """label: the class's name, or None where nobody gave it one."""

    number: int
    label: str | None
    probability: float


def best(scores: np.ndarray, names: Sequence[str], *, count: int = 5) -> list[Score]:
    """The most probable classes of one picture; of equal ones the first.

    names: of all classes in their order, or none; InputError for another count.
    """
    flat = scores.astype(np.float64).reshape(-1)
    check_names(names, flat.size)
    odds = np.exp(flat - flat.max())
    odds /= odds.sum()
    order = np.argsort(-odds, kind="stable")[:count]
    return [Score(int(i), names[i] if names else None, float(odds[i])) for i in order]


def check_names(names: Sequence[str], classes: int) -> None:
    """InputError for names that are not one for each class."""
    if names and len(names) != classes:
        raise InputError(
            f"{len(names)} labels for {classes} classes; the labels file belongs to another model"
        )
