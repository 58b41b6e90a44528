"""Channels of one tensor brought to like ranges, so that one range of 8 bits serves them all.

    before   conv W, b ── relu ── conv V          layer_norm γ, β ── linear V
    after    conv W/s, b/s ── relu ── conv V·s    layer_norm γ/s, β/s ── linear V·s

    s_j = √(largest |x_j| over the calibration / largest |V_j|), to the nearest power of two

What is added up has one s: a residual stream is scaled as a whole, in all that write or read it.
Cross-layer equalization (Nagel et al., ICCV 2019, arXiv 1906.04721, section 4.1) by the scale of
SmoothQuant (Xiao et al., ICML 2023, arXiv 2211.10438, equation 4, α = ½). Powers of two change no
digit: the program computes the same. Not when: something else writes or reads the tensor, a weight
is shared, what lies between does not leave a factor as it is (GELU, ReLU6), or 8 bits hardly err
less: on balanced channels other scales only cost.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, cast

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Interpreter, Node

from edgevit.emulation import on_steps
from edgevit.reference import Arrays

from .parameters import keeps_state, own, put, value_of
from .rewrites.graph import argument, aten
from .simulate import CONV, LINEAR, around_zero, on_levels

NORM, ADD = aten.layer_norm.default, aten.add.Tensor
# By the axis of channels: what writes them, what may read them, and between f(c·x) = c·f(x), c > 0.
WRITERS: dict[int, tuple[Any, ...]] = {1: (CONV,), -1: (LINEAR, NORM)}
READER: dict[int, Any] = {1: CONV, -1: LINEAR}
BETWEEN: dict[int, tuple[Any, ...]] = {
    1: (aten.relu.default, aten.max_pool2d.default, aten.avg_pool2d.default),
    -1: (aten.relu.default,),
}
FURTHEST = 12  # of a scale from 1, in powers of two
WORTH = 0.5  # of the noise of 8 bits, at most this is left where channels are scaled
TRIED = 4  # inputs on which 8 bits are held against 8 bits without the scales


@dataclass
class _Group:
    """tensors: whose channels are scaled alike. writers: divided; readers, with what they read."""

    axis: int
    tensors: list[Node] = field(default_factory=list)
    writers: list[Node] = field(default_factory=list)
    readers: list[tuple[Node, Node]] = field(default_factory=list)


def equalized(exported: ExportedProgram, rows: Sequence[Arrays]) -> tuple[ExportedProgram, int]:
    """The program, and how many tensors, or streams, of it were equalized."""
    module = cast(Any, exported.module())
    if keeps_state(exported, module):
        return exported, 0
    alone = own(module)
    groups: list[_Group] = []
    for axis, writers in WRITERS.items():
        for n in module.graph.nodes:
            if n.target in writers and not any(n in g.tensors for g in groups):
                groups += _group(n, axis, alone)
    if not groups:
        return exported, 0
    ranges = _Ranges(module, {t: g.axis for g in groups for _, t in g.readers})
    with torch.no_grad():
        for row in rows:
            ranges.run(*map(torch.from_numpy, row))
        count = sum(_scale(module, group, ranges) for group in groups)
    if not count:
        return exported, 0
    return torch.export.export(module, exported.example_inputs[0]), count


def _group(first: Node, axis: int, own: Callable[[Any], bool]) -> list[_Group]:
    """What is scaled together with what `first` writes; nothing if that cannot be."""
    group, left = _Group(axis), [first]
    while left:
        tensor = left.pop()
        if tensor in group.tensors:
            continue
        group.tensors.append(tensor)
        if tensor.target is ADD:
            if not _like(tensor, *tensor.args) or argument(tensor, "alpha") != 1:
                return []
            left += tensor.args  # type: ignore[arg-type]
        elif tensor.target in BETWEEN[axis]:
            left.append(cast(Node, tensor.args[0]))
        elif _writes(tensor, axis, own):
            group.writers.append(tensor)
        else:
            return []
        for user in tensor.users:
            if user.target is ADD or user.target in BETWEEN[axis]:
                left.append(user)
            elif _reads(user, tensor, axis, own):
                group.readers.append((user, tensor))
            else:
                return []
    return [group] if group.readers else []


def _like(tensor: Node, *others: Any) -> bool:
    """Whether all are tensors of one shape: what is broadcast has channels of its own."""
    shapes = [n.meta["val"].shape for n in (tensor, *others) if isinstance(n, Node)]
    return len(shapes) == 3 and len({*shapes}) == 1


def _writes(n: Node, axis: int, own: Callable[[Any], bool]) -> bool:
    if n.target not in WRITERS[axis]:
        return False
    if n.target is NORM and len(cast(Any, argument(n, "normalized_shape"))) != 1:
        return False
    if n.target is CONV and n.meta["val"].dim() != 4:
        return False  # without a batch, channels are another axis
    weight, bias = argument(n, "weight"), argument(n, "bias")
    return own(weight) and (bias is None or own(bias))


def _reads(n: Node, tensor: Node, axis: int, own: Callable[[Any], bool]) -> bool:
    """Each channel by weights of its own."""
    if n.target is not READER[axis] or n.args[0] is not tensor or not own(n.args[1]):
        return False
    groups = argument(n, "groups") if axis == 1 else 1
    return groups == 1 or groups == n.meta["val"].shape[1] == tensor.meta["val"].shape[1]


class _Ranges(Interpreter):
    """largest: of each channel of the tensors `wanted`, so far; first: some of their values."""

    def __init__(self, module: Any, wanted: dict[Node, int]) -> None:
        super().__init__(module)
        self._wanted = wanted
        self.largest: dict[Node, Tensor] = {}
        self.first: dict[Node, list[Tensor]] = {n: [] for n in wanted}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n in self._wanted:
            channels = result.movedim(self._wanted[n], 0).flatten(1)
            found = channels.abs().amax(1)
            before = self.largest.get(n, found)
            self.largest[n] = torch.maximum(found, before)
            if len(self.first[n]) < TRIED:
                self.first[n].append(result)
        return result


def _scale(module: Any, group: _Group, ranges: _Ranges) -> bool:
    """Divide what writes the channels, and multiply what reads them, if 8 bits then err less."""
    weights = [_by_channel(value_of(module, r.args[1]), r) for r, _ in group.readers]
    read = torch.stack([w.flatten(1).abs().amax(1) for w in weights]).amax(0)
    largest = torch.stack([ranges.largest[t] for _, t in group.readers]).amax(0)
    known = (largest > 0) & (read > 0)
    if not known.any():
        return False
    wanted = torch.log2(largest / read) / 2
    middle = wanted[known].median()  # a factor of all channels gains nothing
    steps = torch.where(known, wanted - middle, 0).round().clamp(-FURTHEST, FURTHEST)
    before, after = (_noise(module, group, ranges, s) for s in (0 * steps, steps))
    if after > WORTH * before:
        return False
    for writer, name in product(group.writers, ("weight", "bias")):
        if (parameter := argument(writer, name)) is not None:
            value = value_of(module, parameter)
            put(module, parameter, value / torch.exp2(_along(steps, value)))
    for reader, _ in group.readers:  # one may be a writer, too
        weight = _by_channel(value_of(module, reader.args[1]), reader)
        scaled = weight * torch.exp2(_along(steps, weight))
        put(module, reader.args[1], _by_channel(scaled, reader).contiguous())
    return True


def _noise(module: Any, group: _Group, ranges: _Ranges, steps: Tensor) -> float:
    """Of what readers write in 8 bits, in parts of each channel, with those read / 2^steps."""
    found = 0.0
    for reader, tensor in group.readers:
        weight, function = value_of(module, reader.args[1]), cast(Any, reader.target)
        channels = _by_channel(weight, reader)
        scaled = _by_channel(channels * torch.exp2(_along(steps, channels)), reader)
        for x in ranges.first[tensor]:
            clean = function(x, weight, None, *reader.args[3:])
            divided = (x.movedim(group.axis, 0) / torch.exp2(_along(steps, x))).movedim(
                0, group.axis
            )
            read = on_steps(divided, *around_zero(divided))
            noisy = function(read, on_levels(scaled), None, *reader.args[3:])
            noise, signal = (
                t.movedim(group.axis, 0).flatten(1).square().sum(1) for t in (noisy - clean, clean)
            )
            found += float((noise / signal.clamp(min=1e-30)).mean())
    return found


def _along(steps: Tensor, value: Tensor) -> Tensor:
    """Broadcast along the first axis of `value`."""
    return steps.reshape(-1, *[1] * (value.dim() - 1))


def _by_channel(weight: Tensor, reader: Node) -> Tensor:
    """The weight with the channel that it reads first, or back."""
    depthwise = reader.target is CONV and argument(reader, "groups") != 1
    return weight if depthwise else weight.transpose(0, 1)
