"""A program with products of few bits by the methods of papers, computed by torch.

Every product is rounded in what it reads, those of two activations in attention, too; fused
attention is taken apart for that where it can be, and rounded in q, k and v where not. Weights are
uniform, each output channel over its own range. The first and the last product have no fewer than
8 bits, which is usual but not in every paper. LayerNorm, softmax, GELU and sums are in fp32.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from edgevit import calibration
from edgevit.errors import InputError
from edgevit.program import Program
from edgevit.reference import CALIBRATION, Arrays

from .parameters import value_of
from .quantizers import METHODS, Method, Quantizer, Seen, evenly, grid, on_grid, reparameterized
from .rewrites.graph import aten
from .rewrites.rule import rewrite, rules
from .sensitivity import answers_db
from .simulate import CONV, LINEAR, Answers, learnt

FUSED = aten.scaled_dot_product_attention.default
# The places of what is multiplied.
OPERANDS: dict[Any, tuple[int, ...]] = {
    CONV: (0, 1),
    LINEAR: (0, 1),
    aten.matmul.default: (0, 1),
    aten.bmm.default: (0, 1),
    aten.mm.default: (0, 1),
    aten.addmm.default: (1, 2),
    FUSED: (0, 1, 2),
}
WRITERS: dict[Any, str] = {
    aten.softmax.int: "softmax",
    aten._softmax.default: "softmax",
    aten.gelu.default: "gelu",
    aten.layer_norm.default: "norm",
}
# What leaves values as they are, and a norm's channels last.
PASSES = (
    aten.view.default,
    aten.reshape.default,
    aten.expand.default,
    aten.flatten.using_ints,
    aten.clone.default,
    aten.contiguous.default,
    aten.dropout.default,
    aten.permute.default,
    aten.transpose.int,
    aten.slice.Tensor,
    aten.select.int,
)
VALUES = 512  # of an activation, for each input of the calibration, that a search looks at
OUTER_BITS = 8


def study(
    *,
    program: str,
    method: str,
    bits: Sequence[int],
    counted: str | None,
    labels: Sequence[int] | None,
) -> dict[str, Any]:
    """`right`: the share of the `counted` inputs, or of those that calibrate, whose class is right
    in fp32; None without labels. `rows`: for each of `bits` the answers' `snr_db`, the share `kept`
    of inputs with fp32's class, None of a model that names none, and `right`. `fused`: how many
    attentions could not be taken apart.
    """
    net, rows, clean = opened(program, counted)
    named = clean[0].shape[1] if clean[0].dim() == 2 else 0
    if labels and max(labels) >= named:
        raise InputError(
            f"the pictures are in {max(labels) + 1} folders, the model's first output is "
            f"{[*clean[0].shape]}: give --data one folder for each of its classes"
        )
    plain = torch.cat(clean).argmax(-1) if named > 1 else None
    right = None if labels is None else torch.tensor(labels)
    found = []
    for count in bits:
        net.put(METHODS[method], count)
        answers = [net.answer(row) for row in rows]
        classes = None if plain is None else torch.cat(answers).argmax(-1)
        found.append(
            {
                "bits": count,
                "snr_db": answers_db(clean, answers),
                "kept": _share(classes, plain),
                "right": _share(classes, right),
            }
        )
    fused = sum(n.target is FUSED for n in net.places)
    return {"right": _share(plain, right), "rows": found, "fused": fused}


@lru_cache(maxsize=1)
def opened(program: str, counted: str | None) -> tuple["FewBits", list[Arrays], list[Tensor]]:
    """The net, which has seen what calibrates; the inputs to count, and fp32's answers to them."""
    loaded = Program.load(Path(program))
    usual = calibration.load(Path(program).with_name(CALIBRATION))
    net = FewBits(apart(loaded.exported).module())
    if not net.places:
        raise InputError(f"{loaded.facts.name} multiplies nothing that could have fewer bits")
    net.watch(usual)
    rows = calibration.load(Path(counted)) if counted else usual
    return net, rows, [net.answer(row) for row in rows]


def apart(exported: ExportedProgram) -> ExportedProgram:
    """With a softmax between two products for each fused attention."""
    return rewrite(exported, rules(["views", "attention_by_products"]))[0]


def _share(a: Tensor | None, b: Tensor | None) -> float | None:
    return None if a is None or b is None else float((a == b).double().mean())


class FewBits(Answers):
    """places: of each product, what is multiplied there: a weight, or who wrote it, else ""."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.places = {
            n: {i: _operand(module, n, i) for i in OPERANDS[n.target]}
            for n in module.graph.nodes
            if n.target in OPERANDS
        }
        self.seen: dict[tuple[Node, int], Seen] = {}
        self.rounded: dict[Node, dict[int, Quantizer | Tensor]] = {}
        self._watched: dict[tuple[Node, int], list[Seen]] | None = None

    def watch(self, rows: Sequence[Arrays]) -> None:
        """See in fp32 what is multiplied."""
        self.rounded, self._watched = {}, {}
        torch.manual_seed(0)
        for row in rows:
            self.answer(row)
        self.seen = {
            place: Seen(
                torch.stack([s.low for s in found]).amin(0),
                torch.stack([s.high for s in found]).amax(0),
                torch.cat([s.values for s in found]),
            )
            for place, found in self._watched.items()
        }
        self._watched = None

    def put(self, method: Method, bits: int) -> None:
        """Round by `method` from now on."""
        outer = [*self.places][:: max(len(self.places) - 1, 1)]
        self.rounded = {
            n: self._rounded(n, method, max(bits, OUTER_BITS) if n in outer else bits)
            for n in self.places
        }

    def _rounded(self, n: Node, method: Method, bits: int) -> dict[int, Quantizer | Tensor]:
        found: dict[int, Quantizer | Tensor] = {}
        for i, operand in self.places[n].items():
            if isinstance(operand, Tensor):
                found[i] = _weight(n, i, operand, bits)
            else:
                fit = {"softmax": method.softmax, "gelu": method.gelu}.get(operand, evenly)
                found[i] = fit(self.seen[n, i], bits)
        weight = self.places[n][1] if n.target is LINEAR else None
        if method.norms and isinstance(weight, Tensor) and self.places[n][0] == "norm":
            bias = n.args[2] if len(n.args) > 2 else None
            plain = value_of(self.module, bias) if isinstance(bias, Node) else None
            found[0], turned, found[2] = reparameterized(self.seen[n, 0], weight, plain, bits)
            found[1] = _weight(n, 1, turned, bits)
        return found

    def run_node(self, n: Node) -> Any:
        if n not in self.places:
            return super().run_node(n)
        given, kwargs = self.fetch_args_kwargs_from_env(n)
        args = [*given]
        if self._watched is not None:
            for i, operand in self.places[n].items():
                if not isinstance(operand, Tensor):
                    self._watched.setdefault((n, i), []).append(_look(args[i]))
        for i, by in self.rounded.get(n, {}).items():
            args[i : i + 1] = [by if isinstance(by, Tensor) else by(args[i])]
        return n.target(*args, **kwargs)  # type: ignore[operator]


def _operand(module: Any, n: Node, place: int) -> Tensor | str:
    node = n.args[place]
    weight = learnt(module, node) if n.target is not FUSED else None
    if weight is not None:
        return weight
    while isinstance(node, Node) and node.target in PASSES:
        node = node.args[0]
    return WRITERS.get(node.target, "") if isinstance(node, Node) else ""


def _weight(n: Node, place: int, weight: Tensor, bits: int) -> Tensor:
    """Uniform, over the range of each output channel and 0."""
    summed: tuple[int, ...] = tuple(range(1, weight.dim()))
    if n.target not in (CONV, LINEAR):
        summed = (-1,) if place == OPERANDS[n.target][0] else (-2,)
    low, high = weight.amin(summed, keepdim=True), weight.amax(summed, keepdim=True)
    return on_grid(weight, *grid(low.clamp(max=0), high.clamp(min=0), bits), bits)


def _look(x: Tensor) -> Seen:
    rows, flat = x.reshape(-1, x.shape[-1]), x.reshape(-1)
    return Seen(rows.amin(0), rows.amax(0), flat[torch.randint(len(flat), (VALUES,))])
