"""Groups as torch-pruning's dependency graph has them, each root's channels in units."""

import copy
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor, nn

from edgevit.errors import InputError, first_line
from edgevit.program import line_of

from .prune_layouts import repeats
from .prune_narrow import Cut, Group, multiplier

_Channel = tuple[int, int]  # which group's root, and which channel of it
_Cuts = dict[tuple[str, int], list[tuple[int, _Channel]]]  # by tensor, axis: places, whose they are


MANY = 4  # times as many places as the longest axis has: the library then goes round in circles


def traced(net: nn.Module, inputs: Sequence[Tensor], refused: dict[str, str]) -> Iterator[Group]:
    """Each convolution and linear layer is a root once. refused: gets those of which nothing ends.

    InputError for a net through which no gradients can be traced.
    """
    from torch_pruning import DependencyGraph

    net = copy.deepcopy(net).requires_grad_(True)
    paths = {id(m): path for path, m in net.named_modules()}
    longest = max((max(p.shape, default=1) for p in net.parameters()), default=1)
    try:
        with warnings.catch_warnings(), _maps_that_end(MANY * longest):
            warnings.simplefilter("ignore")
            graph = DependencyGraph().build_dependency(net, example_inputs=[*inputs], verbose=False)
            all_of = [*_all_of(graph, paths, refused)]
    except Exception as e:
        raise InputError(
            f"what hangs together cannot be traced{line_of(e)}: {first_line(e)}"
        ) from e
    own = {id(p): path for path, p in net.named_parameters()}
    axes = {id(p): (own[id(p)], axis) for p, axis in graph.unwrapped_parameters}
    again = [
        (place, channels, net.get_parameter(place[0]).shape[place[1]])
        for place, channels in repeats(net).items()
    ]

    def cuts_of(group: int, items: Any) -> _Cuts:
        cuts: _Cuts = defaultdict(list)
        for item in items.items:
            module = item.dep.target.module
            pairs = [(i, (group, unit)) for i, unit in zip(item.idxs, item.root_idxs, strict=True)]
            if isinstance(module, nn.Parameter):
                cuts[axes[id(module)]] += pairs
            elif id(module) in paths:  # the rest only moves numbers
                reads, m = graph.is_in_channel_pruning_fn(item.dep.handler), multiplier(module)
                if reads and m > 1:
                    pairs = [(m * i + k, unit) for i, unit in pairs for k in range(m)]
                for place in _tensors(module, paths[id(module)], reads=reads):
                    cuts[place] += pairs
        for place, channels, long in again:
            if place in cuts:
                cuts[place] = [(at, (group, at % channels)) for at in range(long)]
        return cuts

    found = {
        i: (paths[id(items[0].dep.target.module)], cuts_of(i, items))
        for i, items in enumerate(all_of)
    }
    # What a convolution writes m of for each channel that it reads hangs together with that.
    for path, module in net.named_modules():
        if multiplier(module) > 1:
            same = [i for i, (_, cuts) in found.items() if (f"{path}.weight", 0) in cuts]
            for other in same[1:]:
                for place, pairs in found.pop(other)[1].items():
                    found[same[0]][1][place] += pairs
    for root, cuts in found.values():
        yield _joined(root, cuts)


def _all_of(graph: Any, paths: dict[int, str], refused: dict[str, str]) -> Iterator[Any]:
    """The library's group of each layer that is not in another one's."""
    seen: set[nn.Module] = set()
    for layer in [m for m in graph.module2node if isinstance(m, nn.Conv2d | nn.Linear)]:
        if layer in seen:
            continue
        pruner = graph.get_pruner_of_module(layer)
        channels = [*range(pruner.get_out_channels(layer))]
        try:
            group = graph.get_pruning_group(layer, pruner.prune_out_channels, channels)
        except _Endless:
            refused[paths[id(layer)]] = "torch-pruning finds no end to what hangs together with it"
            continue
        writes = graph.is_out_channel_pruning_fn
        seen |= {dep.target.module for dep, _ in group if writes(dep.handler)}
        yield group


class _Endless(Exception):
    """More places than any tensor has."""


@contextmanager
def _maps_that_end(most: int) -> Iterator[None]:
    """The library divides by the channels that reach a reshape, 0 after SHViT's products; and where
    one reshape leads back into another, as in EfficientFormerV2, multiplies them without end.
    """
    from torch_pruning.dependency import index_mapping as maps

    update, called = maps.update_reshape_index_mapping, maps._FlattenIndexMapping.__call__

    def updated(*arguments: Any) -> None:
        with suppress(ZeroDivisionError):
            update(*arguments)

    def mapped(self: Any, places: Any) -> Any:
        if len(places) > most:
            raise _Endless
        return called(self, places)

    maps.update_reshape_index_mapping, maps._FlattenIndexMapping.__call__ = updated, mapped
    try:
        yield
    finally:
        maps.update_reshape_index_mapping, maps._FlattenIndexMapping.__call__ = update, called


def _tensors(module: nn.Module, path: str, *, reads: bool) -> Iterator[tuple[str, int]]:
    """The axes of a layer's tensors that count the channels it reads, or writes."""
    inner = reads and isinstance(module, nn.Conv2d | nn.Linear) and not multiplier(module)
    tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    for name, tensor in tensors:
        if tensor.dim() and not (inner and name != "weight"):
            yield f"{path}.{name}" if path else name, int(inner)


def _joined(name: str, cuts: _Cuts) -> Group:
    """Channels that share a place anywhere are one unit."""
    head = {root: root for pairs in cuts.values() for _, root in pairs}

    def first(i: _Channel) -> _Channel:
        while head[i] != i:
            i = head[i]
        return i

    for pairs in cuts.values():
        at: dict[int, _Channel] = {}
        for place, root in pairs:
            if place in at:
                a, b = sorted((first(at[place]), first(root)))
                head[b] = a
            at[place] = root
    order = {unit: u for u, unit in enumerate(sorted({first(i) for i in head}))}
    made = []
    for (tensor, axis), pairs in cuts.items():
        rows: list[set[int]] = [set() for _ in order]
        for place, root in pairs:
            rows[order[first(root)]].add(place)
        made.append(Cut(tensor, axis, tuple(tuple(sorted(row)) for row in rows)))
    return Group(name, tuple(made))
