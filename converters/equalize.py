"""Channels of one tensor brought to like ranges, so that one range of 8 bits serves them all.

    before   conv W, b ── relu ── conv V          layer_norm γ, β ── linear V
    after    conv W/s, b/s ── relu ── conv V·s    layer_norm γ/s, β/s ── linear V·s

    s_j = √(largest |x_j| over the calibration / largest |V_j|), to the nearest power of two

Cross-layer equalization (Nagel et al., ICCV 2019, arXiv 1906.04721, section 4.1) by the scale of
SmoothQuant (Xiao et al., ICML 2023, arXiv 2211.10438, equation 4, α = ½). Powers of two change no
digit: the program computes the same. Not when: something else reads the tensor, a weight is shared,
or what lies between does not leave a factor as it is (GELU, ReLU6).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Interpreter, Node

from edgevit.reference import Arrays

from .rewrites.graph import argument, aten

CONV, LINEAR, NORM = aten.conv2d.default, aten.linear.default, aten.layer_norm.default
READS: dict[Any, Any] = {CONV: CONV, LINEAR: LINEAR, NORM: LINEAR}  # who may read what it writes
# f(c·x) = c·f(x) for c > 0, channel by channel.
BETWEEN: dict[Any, tuple[Any, ...]] = {
    CONV: (aten.relu.default, aten.max_pool2d.default, aten.avg_pool2d.default),
    LINEAR: (aten.relu.default,),
    NORM: (),
}
FURTHEST = 12  # of a scale from 1, in powers of two


@dataclass
class _Pair:
    """writer: the operator that is divided. tensors: what its channels run through, last first."""

    writer: Node
    tensors: list[Node] = field(default_factory=list)
    readers: list[Node] = field(default_factory=list)


def equalized(exported: ExportedProgram, rows: Sequence[Arrays]) -> tuple[ExportedProgram, int]:
    """The program, and how many tensors of it were equalized."""
    if exported.graph_signature.buffers_to_mutate:
        return exported, 0  # the calibration would leave its traces in them
    module = cast(Any, exported.module())
    readers: Counter[Any] = Counter()
    for n in module.graph.find_nodes(op="get_attr"):
        readers[n.target] += len(n.users)

    def own(node: Any) -> bool:
        return isinstance(node, Node) and node.op == "get_attr" and readers[node.target] == 1

    pairs = [p for n in module.graph.nodes if n.target in READS if (p := _pair(n, own))]
    if not pairs:
        return exported, 0
    ranges = _Ranges(module, {p.tensors[0]: p.writer.target is CONV for p in pairs})
    with torch.no_grad():
        for row in rows:
            ranges.run(*map(torch.from_numpy, row))
        for pair in pairs:
            _scale(module, pair, ranges.largest[pair.tensors[0]])
    return torch.export.export(module, exported.example_inputs[0]), len(pairs)


def _pair(writer: Node, own: Any) -> _Pair | None:
    """What can be equalized behind `writer`."""
    parameters = [argument(writer, name) for name in ("weight", "bias")]
    if parameters[0] is None or not all(p is None or own(p) for p in parameters):
        return None
    if writer.target is NORM and len(cast(Any, argument(writer, "normalized_shape"))) != 1:
        return None
    pair = _Pair(writer, [writer])
    while len(pair.tensors[0].users) == 1:
        (user,) = pair.tensors[0].users
        if user.target not in BETWEEN[writer.target]:
            break
        pair.tensors.insert(0, user)
    for user in pair.tensors[0].users:
        reads = user.target is READS[writer.target] and user.args[0] is pair.tensors[0]
        if not reads or not own(user.args[1]) or user.args[1] in parameters:
            return None
        groups = argument(user, "groups") if user.target is CONV else 1
        if groups != 1 and not groups == user.meta["val"].shape[1] == writer.meta["val"].shape[1]:
            return None
        pair.readers.append(user)
    return pair if pair.readers else None


class _Ranges(Interpreter):
    """largest: of each tensor of `wanted`, the largest value of each channel so far."""

    def __init__(self, module: Any, wanted: dict[Node, bool]) -> None:
        super().__init__(module)
        self._wanted = wanted
        self.largest: dict[Node, Tensor] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n in self._wanted:
            channels = result.movedim(1 if self._wanted[n] else -1, 0).flatten(1)
            found = channels.abs().amax(1)
            before = self.largest.get(n, found)
            self.largest[n] = torch.maximum(found, before)
        return result


def _scale(module: Any, pair: _Pair, largest: Tensor) -> None:
    """Divide what writes the channels, and multiply what reads them."""
    reads = [(r.args[1], r) for r in pair.readers]
    read = torch.stack(
        [_by_channel(_value(module, w), r).flatten(1).abs().amax(1) for w, r in reads]
    ).amax(0)
    known = (largest > 0) & (read > 0)
    if not known.any():
        return
    wanted = torch.log2(largest / read) / 2
    middle = wanted[known].median()  # a factor of all channels gains nothing
    steps = torch.where(known, wanted - middle, 0).round().clamp(-FURTHEST, FURTHEST)
    for name in ("weight", "bias"):
        if (parameter := argument(pair.writer, name)) is not None:
            value = _value(module, parameter)
            _set(module, parameter, value / torch.exp2(_along(steps, value)))
    for weight, reader in reads:
        channels = _by_channel(_value(module, weight), reader)
        scaled = channels * torch.exp2(_along(steps, channels))
        _set(module, weight, _by_channel(scaled, reader).contiguous())


def _along(steps: Tensor, value: Tensor) -> Tensor:
    """Broadcast along the first axis of `value`."""
    return steps.reshape(-1, *[1] * (value.dim() - 1))


def _by_channel(weight: Tensor, reader: Node) -> Tensor:
    """The weight with the channel that it reads first, or back."""
    depthwise = reader.target is CONV and argument(reader, "groups") != 1
    return weight if depthwise else weight.transpose(0, 1)


def _value(module: Any, node: Any) -> Tensor:
    return cast(Tensor, attrgetter(node.target)(module))


def _set(module: Any, node: Any, value: Tensor) -> None:
    """A tensor of its own: the old one may belong to another program too."""
    owner, _, name = str(node.target).rpartition(".")
    place = module.get_submodule(owner)
    learnt = isinstance(getattr(place, name), nn.Parameter)
    setattr(place, name, nn.Parameter(value, requires_grad=False) if learnt else value)
