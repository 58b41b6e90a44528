"""Which tensors are clipped in w8a8: those that err less by it, if the answers do.

A range is of what a module reads or writes, so that each target finds it in its own graph. A tensor
errs less in a narrower range, but always to the same side, and some nets hang on the few values far
out: so ranges over half of the calibration are tried, by torch, on inputs of the other half.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from edgevit.program import Program, Range
from edgevit.reference import Arrays, spread

from .parameters import keeps_state
from .plan import WIDEST
from .ranges import Values, best
from .rewrites.graph import argument, module_path
from .simulate import CONV, Simulation, read_by, rounded_as_written

HELD = 64  # inputs at most, on which the answers are held against those without clipping
LEFT = (0.95, 0.5)  # of a tensor's error, at most, where it is clipped: the first that pays
Ranges = dict[tuple[str, bool], Range]


def clipped(program: Program, rows: Sequence[Arrays]) -> tuple[Ranges, Counter[str]]:
    """Ranges of what modules read (False) and write (True), where they clip; and how many tensors
    that are, by what chose them.
    """
    module = program.exported.module()
    if keeps_state(program.exported, module):
        return {}, Counter()
    net = Simulation(module, "w8a8", program.kept)
    paths = Counter(map(module_path, net.products))
    before, beside = (_values(net, rows[start::2]) for start in (0, 1))
    left = _worth(net, rows[1::2], before)
    if left is None:
        return {}, Counter()
    narrow = _narrower({t: before[t] + beside[t] for t in before}, left)
    return {
        (module_path(n), written): narrow[tensor]
        for n in net.products
        for tensor, written in ((read_by(n), False), (n, True))
        if tensor in narrow and paths[module_path(n)] == 1
    }, Counter(r.by for r in narrow.values())


def _values(net: Simulation, rows: Sequence[Arrays]) -> dict[Node, Values]:
    """Of all tensors that are rounded, weighted by the products that read them, if any do."""
    found: dict[Node, Values] = defaultdict(Values)
    heard = {n: _energies(n, w) for n, w in net.products.items()}
    read = {read_by(n) for n in net.products}

    def seen(n: Node, args: Sequence[Any], written: Tensor) -> None:
        found[read_by(n)].add(args[0], heard[n])
        if n not in read and rounded_as_written(n):
            found[n].add(written)

    net.rounded, net.seen = (), seen
    for row in rows:
        net.answer(row)
    net.seen = None
    return dict(found)


def _energies(product: Node, weight: Tensor) -> Tensor:
    """The sum of the squared weights of each channel that it reads, along that channel's axis."""
    if product.target is not CONV:
        return weight.square().sum(0)
    groups = argument(product, "groups")
    energies = weight.square().sum((2, 3)).unflatten(0, (groups, -1)).sum(1)
    return energies.reshape(-1, 1, 1)


def _narrower(values: dict[Node, Values], most: float) -> dict[Node, Range]:
    """Ranges that leave less than `most` of what least to largest errs."""
    found = {t: best(v) for t, v in values.items()}
    return {t: r for t, (r, left) in found.items() if left < most}


def _worth(net: Simulation, rows: Sequence[Arrays], values: dict[Node, Values]) -> float | None:
    """Which of LEFT makes the answers' noise less, by more than its own standard error, if any.

    In parts of each answer's noise, so that the few that err most do not decide alone.
    """
    options = {most: _narrower(values, most) for most in LEFT}
    if not options[LEFT[0]]:
        return None
    rows = [rows[i] for i in spread(len(rows), HELD)]
    net.rounded = ()
    clean = [net.answer(row) for row in rows]
    net.rounded = [module_path(n) for n in net.products]
    widest = {t: Range(v.low, v.high, WIDEST) for t, v in values.items()}

    def noise(narrow: dict[Node, Range]) -> Tensor:
        net.ranges = widest | narrow
        found = [net.answer(row) - true for row, true in zip(rows, clean, strict=True)]
        return torch.stack([f.square().sum() for f in found]).clamp(min=1e-30).log()

    before = noise({})
    for most, narrow in options.items():
        gain = before - noise(narrow) if narrow else 0 * before
        if gain.mean() > gain.std() / len(rows) ** 0.5:
            return most
    return None
