"""An ML Program in 8-bit integers, w8a8: convolutions and linear layers between int8 tensors.

    before   x ── conv W ── relu ── y
    after    x ── quantize ── dequantize ── conv (int8 W) ── relu ── quantize ── dequantize ── y

The pattern of coremltools' linear_quantize_activations, which takes its ranges by Core ML itself
and so on a Mac only; here they are taken by torch. All else stays in fp16. Levels have no zero
point, which Core ML computes faster (coremltools 9.0, nullify_redundant_quantization_zero_point):
0..255 for what is never negative, as far below 0 as above it for the rest. What leaves the model is
not rounded. Weights have a scale for each output channel.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.ao.quantization.fx import _decomposed  # noqa: F401  (it defines the operators below)
from torch.fx import Interpreter, Node

from edgevit import calibration
from edgevit.reference import Arrays

from .rewrites.graph import module_path
from .simulate import CLIPS, CONV, LINEAR, around_zero, learnt

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from edgevit.program import Program

Range = tuple[float, float]
pairs = torch.ops.quantized_decomposed
QUANTIZE, DEQUANTIZE = pairs.quantize_per_tensor.default, pairs.dequantize_per_tensor.default
LEAST = 2.0**-24  # of a step: fp16 has nothing smaller


def quantized(exported: "ExportedProgram", program: "Program") -> "ExportedProgram":
    """Over the program's calibration, but for the products that it keeps."""
    module: Any = exported.module()
    products = [
        n
        for n in module.graph.nodes
        if n.target in (CONV, LINEAR)
        and not program.kept(module_path(n))
        and learnt(module, n.args[1]) is not None
    ]
    written = [w for w in map(_written, products) if all(u.op != "output" for u in w.users)]
    assert program.calibration
    rows = calibration.load(program.calibration)
    found = ranges(module, [*written, *(n.args[0] for n in products)], rows)
    for n in products:
        for x, end in ((n.args[0], False), (_written(n), True)):
            narrow = program.ranges.get((module_path(n), end))
            if narrow and x in found:
                found[x] = max(found[x][0], narrow.low), min(found[x][1], narrow.high)
    pair_of = {x: _pair(x, *found[x]) for x in found}
    for n in products:
        n.update_arg(0, pair_of[n.args[0]])
        n.update_arg(1, _weight(module, n))
    for x in written:
        for user in [*x.users]:
            if user is not pair_of[x].args[0]:
                user.replace_input_with(x, pair_of[x])
    module.recompile()
    return torch.export.export(module, program.inputs)


def ranges(module: Any, nodes: Iterable[Node], rows: Sequence[Arrays]) -> dict[Node, Range]:
    """From the least to the largest value that each gives over the rows, 0 among them."""
    watched = _Watched(module, nodes)
    with torch.no_grad():
        for row in rows:
            watched.run(*map(torch.from_numpy, row))
    return watched.ranges


class _Watched(Interpreter):
    def __init__(self, module: Any, nodes: Iterable[Node]) -> None:
        super().__init__(module)
        self.ranges = dict.fromkeys(nodes, (0.0, 0.0))

    def run_node(self, n: Node) -> Any:
        found = super().run_node(n)
        if n in self.ranges:
            (low, high), (least, most) = self.ranges[n], around_zero(found)
            self.ranges[n] = min(low, least), max(high, most)
        return found


def _written(product: Node) -> Node:
    """What is there once it is clipped, where it is clipped at once."""
    users = [*product.users]
    return users[0] if len(users) == 1 and users[0].target in CLIPS else product


def _pair(x: Node, low: float, high: float) -> Node:
    """x, rounded to the levels of its range."""
    levels: tuple[Any, ...] = (0, 255, torch.uint8) if low == 0 else (-128, 127, torch.int8)
    step = float(_in_half(torch.tensor(high / 255 if low == 0 else max(-low, high) / 127)))
    with x.graph.inserting_after(x):
        integers = x.graph.call_function(QUANTIZE, (x, step, 0, *levels))
    with x.graph.inserting_after(integers):
        return x.graph.call_function(DEQUANTIZE, (integers, step, 0, *levels))


def _weight(module: Any, product: Node) -> Node:
    """The product's weight as integers with a scale for each output channel."""
    weight = learnt(module, product.args[1])
    assert weight is not None
    step = _in_half(weight.flatten(1).abs().amax(1) / 127)
    each = step.reshape(-1, *[1] * (weight.dim() - 1))
    integers = (weight / each).round().clamp(-127, 127).to(torch.int8)
    held = {"integers": integers, "step": step, "zero": torch.zeros(len(step), dtype=torch.int64)}
    graph = product.graph
    with graph.inserting_before(product):
        made = []
        for what, value in held.items():
            name = f"{product.name}_{what}"
            module.register_buffer(name, value)
            made.append(graph.get_attr(name))
        return graph.call_function(
            pairs.dequantize_per_channel.default, (*made, 0, -127, 127, torch.int8)
        )


def _in_half(step: Tensor) -> Tensor:
    """As fp16 holds it, so that levels are of the step that the file has."""
    return step.half().float().clamp(min=LEAST)
