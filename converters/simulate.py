"""A program with products of 8-bit integers, computed by torch, operator by operator.

Weights are rounded to 255 even steps of each output channel; what is read, and in w8a8 what is
written, to 255 steps of its range, over the calibration (w8a8) or as it comes (dyn8). It is a
little worse than the targets' files, of which some leave depthwise convolutions in fp32, or take
ranges row by row, and knows conv2d and linear alone.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.fx import Interpreter, Node
from torch.utils._pytree import tree_leaves

from edgevit.emulation import on_steps
from edgevit.program import Range, within
from edgevit.reference import Arrays

from .parameters import value_of
from .plan import WIDEST
from .rewrites.graph import aten, module_path

CONV, LINEAR = aten.conv2d.default, aten.linear.default
PRODUCTS = {"dyn8": (LINEAR,), "w8a8": (LINEAR, CONV)}
CLIPS = (aten.relu.default, aten.hardtanh.default, aten.clamp.default)
PARTS = 6  # a block holds no more than one in so many of the products, or is one

Seen = Callable[[Node, Sequence[Any], Tensor], None]  # its arguments, and what it writes


class Answers(Interpreter):
    """A program, node by node."""

    def answer(self, row: Arrays) -> Tensor:
        """The first output."""
        with torch.no_grad():
            found: Tensor = tree_leaves(self.run(*map(torch.from_numpy, row)))[0]
        return found


class Simulation(Answers):
    """rounded: blocks whose products are in 8 bits now. seen: told what products read and write.

    products: those that a runtime has in 8 bits, and their weights then; kept: asked whether a
    module is in fp32 in any case. ranges: of tensors, by what writes them.
    """

    def __init__(self, module: Any, precision: str, kept: Callable[[str], bool]) -> None:
        super().__init__(module)
        self.static = precision == "w8a8"
        nodes = [n for n in module.graph.nodes if n.target in PRODUCTS[precision]]
        nodes = [n for n in nodes if not kept(module_path(n))]
        weights = {n: learnt(module, n.args[1]) for n in nodes}
        self.products = {n: on_levels(w) for n, w in weights.items() if w is not None}
        self.blocks = blocks([module_path(n) for n in self.products])
        self.rounded: Collection[str] = ()
        self.seen: Seen | None = None
        self.ranges: dict[Node, Range] = {}

    def watch(self, rows: Sequence[Arrays]) -> None:
        """Take the ranges of w8a8, in fp32."""

        def seen(n: Node, args: Sequence[Any], written: Tensor) -> None:
            for x, tensor in ((args[0], read_by(n)), (written, n)):
                before = self.ranges.get(tensor, Range(0.0, 0.0, WIDEST))
                low, high = min(before.low, float(x.min())), max(before.high, float(x.max()))
                self.ranges[tensor] = Range(low, high, WIDEST)

        self.rounded, self.seen = (), seen
        for row in rows:
            self.answer(row)
        self.seen = None

    def narrow(self, ranges: Mapping[tuple[str, bool], Range]) -> None:
        """Clip what modules read and write, as in a Program."""
        for n in self.products:
            for tensor, written in ((read_by(n), False), (n, True)):
                if found := ranges.get((module_path(n), written)):
                    self.ranges[tensor] = found

    def run_node(self, n: Node) -> Any:
        if n not in self.products:
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        rounding = any(within(module_path(n), block) for block in self.rounded)
        found = self.in_integers(n, args) if rounding else n.target(*args, **kwargs)  # type: ignore[operator]
        if self.seen:
            self.seen(n, args, found)
        return found

    def in_integers(self, n: Node, args: Sequence[Any]) -> Tensor:
        """What the product then writes."""
        read = self._on_steps(args[0], read_by(n))
        found: Tensor = n.target(read, self.products[n], *args[2:])  # type: ignore[operator]
        return self._on_steps(found, n) if self.static and rounded_as_written(n) else found

    def _on_steps(self, x: Tensor, tensor: Node) -> Tensor:
        if not self.static:
            return on_steps(x, *around_zero(x))
        return on_steps(x, self.ranges[tensor].low, self.ranges[tensor].high)


def read_by(product: Node) -> Node:
    """The tensor that is not the weight."""
    return cast(Node, product.args[0])


def rounded_as_written(product: Node) -> bool:
    """And not what is left of it after ReLU or the like, if something in 8 bits reads that."""
    return not all(user.target in CLIPS for user in product.users)


def blocks(paths: Sequence[str]) -> list[str]:
    """Modules that hold all of these between them, in order, each at most a sixth of them.

    Whole blocks, so that what stays in fp32 is in few pieces; a module without parts is one.
    """
    most = max(len(paths) // PARTS, 1)

    def cut(inside: str, own: Sequence[str]) -> list[str]:
        depth = inside.count(".") + 1 if inside else 0
        found = []
        for part in dict.fromkeys(".".join(p.split(".")[: depth + 1]) for p in own):
            held = [p for p in own if within(p, part)]
            found += [part] if len(held) <= most or part in held else cut(part, held)
        return found

    return cut("", paths)


def learnt(module: Any, weight: Any) -> Tensor | None:
    """None where they are the graph's own, or computed."""
    if not isinstance(weight, Node) or weight.op != "get_attr":
        return None
    value = value_of(module, weight)
    return None if of_the_graph(value.detach().numpy()) else value


def of_the_graph(weight: np.ndarray) -> bool:
    """Whether it is the graph's own and no model's, as the 1/C of a norm: one value, or two."""
    return len(np.unique(weight.reshape(-1)[:4096])) <= 2


def around_zero(x: Tensor) -> tuple[float, float]:
    """From its least to its largest value, 0 among them."""
    return min(0.0, float(x.min())), max(0.0, float(x.max()))


def on_levels(weight: Tensor) -> Tensor:
    """Rounded to 255 even steps of each output channel, as many below 0 as above."""
    step = weight.flatten(1).abs().amax(1).clamp(min=1e-12) / 127
    step = step.reshape(-1, *[1] * (weight.dim() - 1))
    return (weight / step).round() * step
