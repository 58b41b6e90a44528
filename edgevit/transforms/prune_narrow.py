"""A model with fewer channels and heads.

What shrinks a tensor shrinks the numbers that its module keeps of it: a convolution's
`out_channels`, a layer norm's `normalized_shape`. What else a module counts by, its group names.
"""

import copy
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

# What a layer keeps of its weight's shape, by axis.
_SHAPES: dict[type[nn.Module], dict[int, str]] = {
    nn.Conv2d: {0: "out_channels", 1: "in_channels"},
    nn.Linear: {0: "out_features", 1: "in_features"},
    nn.BatchNorm2d: {0: "num_features"},
    nn.GroupNorm: {0: "num_channels"},
}
_Convolution = nn.Conv2d | nn.ConvTranspose2d
Rows = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Cut:
    """One axis of a tensor: rows[u] are the places along it that go with unit u."""

    tensor: str
    axis: int
    rows: Rows

    @cached_property
    def places(self) -> Tensor:
        """The rows, [units, places]."""
        return torch.tensor(self.rows)


@dataclass(frozen=True)
class Group:
    """name: the module whose units these are. counts: attributes (module, name) that shrink, too.

    kind: "channels", "heads", or the "width" of all heads of an attention.
    """

    name: str
    cuts: tuple[Cut, ...]
    counts: tuple[tuple[str, str], ...] = ()
    kind: str = "channels"

    def sharpened(self, units: Sequence[int]) -> float:
        """By how much queries shrink: of narrower heads all products are scaled by 1/√d, of less.

        1 for what is no width of heads, which has the name of the layer that writes the queries.
        """
        return (len(units) / self.units) ** 0.5 if self.kind == "width" else 1.0

    @property
    def units(self) -> int:
        return len(self.cuts[0].rows)


Kept = Sequence[tuple[Group, Sequence[int]]]  # groups, and the units of each that stay


def gone_of(kept: Kept) -> dict[str, dict[int, set[int]]]:
    """By tensor, by axis: the places that go."""
    gone: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for group, units in kept:
        stay = set(units)
        for cut in group.cuts:
            rows = (row for u, row in enumerate(cut.rows) if u not in stay)
            gone[cut.tensor][cut.axis].update(i for row in rows for i in row)
    return gone


def without(net: nn.Module, kept: Kept) -> nn.Module:
    """A copy of `net` with only these units of each of these groups."""
    made = copy.deepcopy(net)
    tensors = dict(made.named_parameters()) | dict(made.named_buffers())
    for group, units in kept:
        if group.kind == "width":
            _sharpen(made, group.name, group.sharpened(units))
    for name, axes in gone_of(kept).items():
        tensor = tensors[name].detach()
        for axis, places in axes.items():
            stay = [i for i in range(tensor.shape[axis]) if i not in places]
            tensor = tensor.index_select(axis, torch.tensor(stay, dtype=torch.long))
        put(made, name, tensor)
    for group, units in kept:
        for path, name in group.counts:
            module = made.get_submodule(path)
            setattr(module, name, getattr(module, name) * len(units) // group.units)
    return made.train(net.training)  # which makes modules forget what they took from weights


def _sharpen(net: nn.Module, path: str, factor: float) -> None:
    """Shrink the queries that layer `path` writes; whoever scales products by a number of its own
    gets a larger one, and fused attention takes it from the width.
    """
    layer: Any = net.get_submodule(path)
    attention: Any = net.get_submodule(path.rpartition(".")[0])
    with torch.no_grad():
        for tensor in layer.parameters(recurse=False):
            tensor[: len(tensor) // 3] *= factor
    if isinstance(getattr(attention, "scale", None), float):
        attention.scale /= factor


def put(net: nn.Module, name: str, tensor: Tensor) -> None:
    """Set a parameter or buffer, and what its module keeps of the shape."""
    path, _, own = name.rpartition(".")
    module: Any = net.get_submodule(path)
    old: Any = getattr(module, own)
    parameter = isinstance(old, nn.Parameter)
    setattr(module, own, nn.Parameter(tensor, old.requires_grad) if parameter else tensor)
    if own == "weight" and (m := multiplier(module)):
        module.groups = module.in_channels = tensor.shape[0] // m
        module.out_channels = tensor.shape[0]
    elif own == "weight":
        for axis, attribute in _kept(module).items():
            setattr(module, attribute, tensor.shape[axis])
    if old.dim() == 1 and not _kept(module):  # a layer norm's normalized_shape, a scale's shape
        for attribute, value in [*vars(module).items()]:
            if type(value) is tuple and [v for v in value if v != 1] == [len(old)]:
                setattr(module, attribute, tuple(len(tensor) if v != 1 else 1 for v in value))


def multiplier(module: nn.Module) -> int:
    """How many channels a depthwise convolution writes for each that it reads; 0 for all else.

    Transposed ones, whose weights have their axes the other way round, write one.
    """
    if not isinstance(module, _Convolution) or not module.groups == module.in_channels > 1:
        return 0
    times = module.out_channels // module.in_channels
    return times if isinstance(module, nn.Conv2d) or times == 1 else 0


def _kept(module: nn.Module) -> dict[int, str]:
    """By axis of its weight, the attribute of a layer that follows from it."""
    return next((names for kind, names in _SHAPES.items() if isinstance(module, kind)), {})


def follows(module: nn.Module) -> set[str]:
    """All such attributes, of whatever weight."""
    return {*_kept(module).values(), "groups"} if _kept(module) else set()
