"""Which widths a budget leaves: the units that matter least for what they cost go first.

    cost(widths)    Σ over layers of curve(share of its weights that stay), a latency in seconds
    lost(widths)    Σ over groups of what their removed units matter

A layer's cost hangs on two groups, of what it reads and of what it writes, so that this is no
knapsack of independent items: step by step, the group gives up channels whose step loses least for
each second that it saves (as HALP, Shen et al., NeurIPS 2022, but with costs taken anew after each
step). Steps are multiples of the width that kernels compute at once; larger ones are tried too,
since the next may save nothing.
"""

import math
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from edgevit.errors import InputError
from edgevit.program import within

from .prune_narrow import Group

TILE = 8  # channels that a kernel computes at once on ARM; 16 are two of those
STEPS = (1, 2, 4, 8)
LEAST = 0.1  # of a group's units stay


@dataclass(frozen=True)
class Layer:
    """tensors: its weights, none for what no width changes.

    shares, seconds: points of a curve, by rising share of the weights' numbers that stay.
    """

    tensors: tuple[str, ...]
    shares: tuple[float, ...]
    seconds: tuple[float, ...]

    def at(self, share: float) -> float:
        """On straight lines between the points; level outside them."""
        i = bisect(self.shares, share)
        if not 0 < i < len(self.shares):
            return self.seconds[0 if i == 0 else -1]
        (x, end), (y, last) = self.shares[i - 1 : i + 1], self.seconds[i - 1 : i + 1]
        return y + (last - y) * (share - x) / (end - x)


class Costs:
    """What any widths cost, by the layers' curves. gone: blocks of `net` that are left out.

    most: with all units that `groups` have.
    """

    def __init__(
        self,
        net: nn.Module,
        groups: Sequence[Group],
        layers: Sequence[Layer],
        gone: Sequence[str] = (),
    ) -> None:
        shapes = {name: t.shape for name, t in net.state_dict().items()}
        left = {name for name in shapes if not any(within(name, b) for b in gone)}
        self.units = {g.name: g.units for g in groups}
        self.layers = [la for la in layers if not la.tensors or not left.isdisjoint(la.tensors)]
        # Of each tensor, by axis: which groups take how much of it for each unit.
        axes: dict[str, dict[int, list[tuple[str, float]]]] = {name: {} for name in shapes}
        for group in groups:
            for cut in group.cuts:
                part = len(cut.rows[0]) / shapes[cut.tensor][cut.axis]
                axes[cut.tensor].setdefault(cut.axis, []).append((group.name, part))
        self._tensors = [
            [(shapes[t].numel(), [*axes[t].values()]) for t in layer.tensors if t in left]
            for layer in self.layers
        ]
        self._numbers = [sum(shapes[t].numel() for t in layer.tensors) for layer in self.layers]
        self.touched: dict[str, list[int]] = {name: [] for name in self.units}
        for i, tensors in enumerate(self._tensors):
            for name in {name for _, cuts in tensors for cut in cuts for name, _ in cut}:
                self.touched[name].append(i)
        self.most = self.of(self.units)

    def of(self, kept: Mapping[str, int], layers: Sequence[int] | None = None) -> float:
        """Seconds (or what the curves are of) with so many units of each group; of some layers."""
        chosen = range(len(self.layers)) if layers is None else layers
        return sum(self._of(i, kept) for i in chosen)

    def _of(self, i: int, kept: Mapping[str, int]) -> float:
        stay = 0.0
        for size, cuts in self._tensors[i]:
            part = float(size)
            for cut in cuts:
                part *= _staying([(each, self.units[g], kept[g]) for g, each in cut])
            stay += part
        return self.layers[i].at(stay / self._numbers[i] if stay else 1.0)


def _staying(groups: Sequence[tuple[float, int, int]]) -> float:
    """The share of an axis that stays: (share of each unit, units, those kept) by group.

    Groups that each take all of it, as heads and their width do, cross; others lie side by side.
    """
    crossing = [kept / units for each, units, kept in groups if each * units > 1 - 1e-9]
    beside = sum(each * (units - kept) for each, units, kept in groups if each * units <= 1 - 1e-9)
    return math.prod(crossing) * (1 - beside)


def steps_of(group: Group, tile: int) -> list[int]:
    """How many units may stay, falling, the whole group first."""
    least = max(1, math.ceil(LEAST * group.units))
    step = 1 if group.kind == "heads" else tile
    highest = (group.units - 1) // step * step
    return [group.units, *range(highest, max(least, step) - 1, -step)]


def allocate(
    groups: Sequence[Group],
    scores: Mapping[str, Tensor],
    costs: Costs,
    budget: float,
    *,
    tile: int = TILE,
) -> dict[str, int]:
    """Units that stay of each group, for a cost of at most `budget`.

    scores: [units] of each group that may be pruned. InputError for a budget below what the
    narrowest widths cost.
    """
    widths = {g.name: steps_of(g, tile) for g in groups if g.name in scores}
    lost = {n: np.append(0.0, np.cumsum(np.sort(scores[n].double()))) for n in widths}
    kept = dict(costs.units)
    steps: dict[str, _Step | None] = {}
    cost = whole = costs.of(kept)
    while cost > budget:
        for name in widths:
            if name not in steps:
                steps[name] = _best(name, widths[name], lost[name], costs, kept)
        step = min((s for s in steps.values() if s), key=lambda s: s.price, default=None)
        if step is None:
            raise InputError(
                f"the budget is {budget / whole:.2f}× of the whole model, and the narrowest widths "
                f"take {cost / whole:.2f}×: allow that, or merge tokens, too"
            )
        kept[step.name] = step.width
        cost -= step.saved
        near = {*costs.touched[step.name]}
        steps = {n: s for n, s in steps.items() if near.isdisjoint(costs.touched[n])}
    return kept


@dataclass(frozen=True)
class _Step:
    """price: what is lost for each second saved."""

    name: str
    width: int
    saved: float
    price: float


def _best(
    name: str, widths: list[int], lost: np.ndarray, costs: Costs, kept: dict[str, int]
) -> _Step | None:
    """The cheapest step of a group, where any saves time."""
    layers, now, units = costs.touched[name], kept[name], costs.units[name]
    before, found = costs.of(kept, layers), []
    for step in STEPS:
        for width in widths[widths.index(now) + step :][:1]:
            saved = before - costs.of(kept | {name: width}, layers)
            if saved > 0:
                price = float(lost[units - width] - lost[units - now]) / saved
                found.append(_Step(name, width, saved, price))
    return min(found, key=lambda s: s.price, default=None)


def strongest(scores: Tensor, count: int) -> list[int]:
    """The `count` units that matter most, in their order."""
    return sorted(scores.argsort(descending=True)[:count].tolist())
