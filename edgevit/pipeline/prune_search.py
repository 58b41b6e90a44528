"""searched(): the share of the layers' costs to ask for, so that the file keeps the budget."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from torch import nn

from ..errors import InputError
from ..profiles.compare import Ratio
from ..transforms.prune_budget import Layer
from .prune_bench import Bench
from .prune_narrowed import narrowed
from .prune_study import Study
from .pruned import NEAR

TRIES = 6


class Try(NamedTuple):
    """at: the share of the costs that was asked for. got: the share of the budget that came."""

    at: float
    net: nn.Module
    faster: Ratio | None
    got: float


def searched(
    found: Study,
    layers: Sequence[Layer],
    bench: Bench,
    asked: float,
    tried: Callable[[float, nn.Module], Try],
) -> Try:
    """The first that is near the budget, or else the nearest."""
    tries: list[Try] = []
    while len(tries) < TRIES:
        at = _aimed(asked, [(t.at, t.got) for t in tries])
        try:
            net = narrowed(found, layers, at, bench.tile, bench.watch)
        except InputError:
            if not tries:
                raise
            break  # what is needed lies below the narrowest widths
        tries.append(tried(at, net))
        got = tries[-1].got
        bench.watch("budget", f"{got:.3f}× of the whole model's, asked {asked:.3f}×")
        if abs(got / asked - 1) <= NEAR:
            return tries[-1]
    return min(tries, key=lambda t: abs(t.got / asked - 1))


def _aimed(asked: float, tries: Sequence[tuple[float, float]]) -> float:
    """The share of the costs to try next: on straight lines between those tried."""
    at, got = zip(*sorted([(0.0, 0.0), *tries, (1.0, 1.0)]), strict=True)
    return float(np.interp(asked, np.maximum.accumulate(got), at))
