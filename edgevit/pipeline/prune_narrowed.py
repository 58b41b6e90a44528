"""narrowed(): of the nets that cost so much, the one that answers most like the whole one.

for no block left out, the cheapest for what it saves, that and the next, ...
    widths for the rest of the budget ── rebuild
until one block more answers worse
"""

import copy
from collections.abc import Iterator, Sequence

from torch import nn

from ..errors import InputError
from ..transforms.prune_budget import Costs, Layer, allocate, strongest
from ..transforms.prune_depth import divergence, left_of, shallower
from ..transforms.prune_narrow import without
from ..transforms.prune_rebuild import rebuild
from .make import Watch
from .prune_study import Study


def narrowed(
    found: Study, layers: Sequence[Layer], share: float, tile: int, watch: Watch
) -> nn.Module:
    """`share`: of the whole model's costs, that may stay. InputError where no widths are so cheap.

    Without images, by widths alone.
    """
    best, least, refused = None, float("inf"), None
    for gone in _depths(found, layers):
        try:
            net, lost = _of_depth(found, layers, share, tile, gone, watch)
        except InputError as e:  # fewer blocks may do
            refused = refused or e
            continue
        if best is not None and lost >= least:
            break
        best, least = net, lost
    if best is None:
        assert refused
        raise refused
    return best


def _depths(found: Study, layers: Sequence[Layer]) -> Iterator[tuple[str, ...]]:
    """Blocks to leave out: none, and one more each time, by what is lost for what is saved."""
    whole = _costs(found, layers, ()).most
    saved = {block: whole - _costs(found, layers, [block]).most for block in found.blocks}
    order = sorted(
        (block for block in saved if saved[block] > 0),
        key=lambda block: found.blocks[block] / saved[block],
    )
    for count in range(len(order) + 1):
        yield tuple(order[:count])


def _costs(found: Study, layers: Sequence[Layer], gone: Sequence[str]) -> Costs:
    return Costs(found.model.module, left_of(found.groups, gone), layers, gone)


def _of_depth(
    found: Study,
    layers: Sequence[Layer],
    share: float,
    tile: int,
    gone: Sequence[str],
    watch: Watch,
) -> tuple[nn.Module, float]:
    """The net, and what is lost of the whole one's answers to images it was not fitted to."""
    whole = found.model.module
    groups, budget = left_of(found.groups, gone), share * _costs(found, layers, ()).most
    counts = allocate(groups, found.scores, _costs(found, layers, gone), budget, tile=tile)
    kept = [
        (g, strongest(found.scores[g.name], counts[g.name]))
        for g in groups
        if counts[g.name] < g.units
    ]
    net = without(shallower(whole, gone), kept)
    if found.images is None:
        return net, 0.0
    seen, others = found.images
    watch("rebuild", f"least squares, without {len(gone)} blocks" if gone else "least squares")
    made = copy.deepcopy(net)
    rebuild(made, whole, kept, seen)
    lost, net = min(((divergence(n, whole, others), n) for n in (net, made)), key=lambda r: r[0])
    watch("rebuild", "done")
    return net, lost
