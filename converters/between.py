"""Which operators are in 8 bits: those that gain by themselves, and those between such.

A product with learnt weights gains wherever it is. An operator that does little with each number it
reads – a depthwise convolution, one of few channels, a product of two activations, a SiLU,
padding – loses as much to conversions, unless what it reads was written in 8 bits and what it
writes is read in 8 bits.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch.fx import Node

from .rewrites.graph import argument, aten, module_path
from .simulate import CLIPS, CONV, LINEAR, learnt

MUL = aten.mul.Tensor
# MACs for each number read or written. MobileNetV2's 32 → 16 channels have 10.7 and are slower in 8
# bits on every runtime, 16 → 96 have 13.7 and are as fast, 24 → 144 have 20.6 and are faster.
LITTLE = 12
PADS = (aten.pad.default, aten.constant_pad_nd.default)
LIGHT = (aten.silu.default, *PADS, *CLIPS, aten.relu_.default, aten.hardtanh_.default)


@dataclass(frozen=True)
class Operator:
    """reads, writes: activations by any name. gains: by itself; None is only between others."""

    reads: Sequence[Hashable]
    writes: Sequence[Hashable]
    gains: bool | None


def in_integers(operators: Sequence[Operator]) -> set[int]:
    """The places of those to be in 8 bits."""
    found = {i for i, o in enumerate(operators) if o.gains is not False}
    writer = {tensor: i for i, o in enumerate(operators) for tensor in o.writes}
    readers = defaultdict(list)
    for i, o in enumerate(operators):
        for tensor in o.reads:
            readers[tensor].append(i)
    while True:
        alone = {
            i
            for i in found
            if operators[i].gains is None
            and not (
                any(writer.get(t) in found for t in operators[i].reads)
                and any(r in found for t in operators[i].writes for r in readers[t])
            )
        }
        if not alone:
            return found
        found -= alone


def nodes_in_integers(module: Any, kept: Callable[[str], bool]) -> set[Node]:
    """Of a program's module; kept: asked whether a module stays in fp32."""
    nodes = [*module.graph.nodes]
    found = in_integers([Operator(n.all_input_nodes, [n], _gains(module, n, kept)) for n in nodes])
    return {nodes[i] for i in found}


def does_little(node: Node) -> bool:
    """Whether it is a depthwise convolution, or one of few MACs for the numbers that it moves."""
    if node.target is not CONV:
        return False
    x, kernel, *_ = node.args
    read, weight, written = (cast(Node, n).meta["val"] for n in (x, kernel, node))
    depthwise = 1 < argument(node, "groups") == read.shape[1]
    macs = written.numel() * weight[0].numel()
    return bool(depthwise or macs < LITTLE * (read.numel() + written.numel()))


def _gains(module: Any, node: Node, kept: Callable[[str], bool]) -> bool | None:
    if node.target in LIGHT:
        return None
    if node.target is MUL:
        of_activations = [n for n in node.all_input_nodes if n.op != "get_attr"]
        return None if len(of_activations) == 2 else False
    if node.target not in (CONV, LINEAR) or kept(module_path(node)):
        return False
    if learnt(module, node.args[1]) is None:
        return False
    return None if does_little(node) else True
