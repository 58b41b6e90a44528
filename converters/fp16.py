"""What of a program fp16 cannot hold: each tensor's range on real inputs, operator by operator.

    overflow    a value beyond 65504 becomes infinity
    underflow   digits below 6·10⁻⁵ are lost: rounding moves the tensor by more than 4 units
    growth      the value fits, what a kernel sums up on the way does not, if it sums in fp16
    absorbed    adding it changes most elements not at all

The first two are certain; growth depends on the hardware, which documents nothing, and what is
absorbed may have been meant to be that small.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Interpreter, Node
from torch.utils._pytree import tree_leaves, tree_map

from edgevit.errors import InputError
from edgevit.preprocess import Preprocess
from edgevit.program import Program
from edgevit.reference import Arrays, Reference

from .rewrites import AFTER_FP16, BEFORE_FP16, NAMES
from .rewrites.fp16_weights import UNIT, rounding
from .rewrites.graph import argument, aten, axes, module_path
from .rewrites.merging import without_operator
from .rewrites.rule import rewrite, rules

OVERFLOW, UNDERFLOW, GROWTH, ABSORBED = "overflow", "underflow", "growth", "absorbed"
CERTAIN = (OVERFLOW, UNDERFLOW)
LARGEST = 65504.0
SUMS = (aten.add.Tensor, aten.sub.Tensor)
Rows = Sequence[Sequence[Tensor]]


@dataclass(frozen=True)
class Finding:
    """module, op: where. kind: one of the above. value: the largest seen (overflow, growth), the
    relative error of rounding (underflow), the share of elements (absorbed)."""

    module: str
    op: str
    kind: str
    value: float


class _Ranges(Interpreter):
    """Runs a program in fp32 and notes what each of its tensors would suffer in fp16."""

    def __init__(self, exported: ExportedProgram) -> None:
        super().__init__(cast(Any, exported.module()))
        self.worst: dict[tuple[str, str, str], float] = {}

    def _note(self, node: Node, kind: str, value: float, over: float) -> None:
        if value > over:
            if node.op == "get_attr":
                module, _, op = str(node.target).rpartition(".")
            else:
                module, op = module_path(node), cast(Any, node.target)._schema.name
            key = (module, op.removeprefix("aten::"), kind)
            self.worst[key] = max(value, self.worst.get(key, 0.0))

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n.op not in ("call_function", "get_attr") or not isinstance(result, Tensor):
            return result
        if not result.is_floating_point() or not result.numel():
            return result
        self._note(n, OVERFLOW, float(result.abs().max()), LARGEST)
        if float(result.abs().max()) <= LARGEST:
            self._note(n, UNDERFLOW, rounding(result), 4 * UNIT)
        if n.op == "call_function":
            given = [self.env.get(a) for a in n.all_input_nodes]
            tensors = [t for t in given if isinstance(t, Tensor) and t.is_floating_point()]
            self._note(n, GROWTH, _summed(n, tensors), LARGEST)
            if n.target in SUMS and len(tensors) == 2:
                self._note(n, ABSORBED, _absorbed(*tensors), 0.5)
        return result


def _summed(node: Node, given: Sequence[Tensor]) -> float:
    """The largest sum that a kernel forms on the way: of a mean's elements, a norm's squares."""
    if not given:
        return 0.0
    x = given[0]
    if node.target is aten.mean.dim:
        return float(x.abs().sum(axes(node.args[1], x.dim())).max())
    if node.target is aten.layer_norm.default:
        over = list(range(x.dim() - len(cast(Any, argument(node, "normalized_shape"))), x.dim()))
        return float((x - x.mean(over, keepdim=True)).square().sum(over).max())
    if node.target is aten.group_norm.default:
        grouped = x.reshape(x.shape[0], cast(int, argument(node, "num_groups")), -1)
        return float((grouped - grouped.mean(-1, keepdim=True)).square().sum(-1).max())
    return 0.0


def _absorbed(a: Tensor, b: Tensor) -> float:
    """The share of the smaller one's elements that the sum, rounded, shows nothing of."""
    large, small = (a, b) if a.abs().sum() >= b.abs().sum() else (b, a)
    counted = small != 0
    gone = ((large + small).half() == large.half()) & counted
    total = counted.expand_as(gone).sum()
    return float(gone.sum() / total) if total else 0.0


def scan(exported: ExportedProgram, inputs: Rows) -> list[Finding]:
    """The program's findings over all inputs, in order of execution, one a module and operator."""
    running = _Ranges(exported)
    with torch.no_grad():
        for row in inputs:
            running.run(*row)
    return [Finding(*key, value) for key, value in running.worst.items()]


class _Halves(Interpreter):
    """Runs a program with constants, inputs and every operator's result rounded to fp16."""

    def run_node(self, n: Node) -> Any:
        return tree_map(_rounded, super().run_node(n))


def _rounded(value: Any) -> Any:
    half = isinstance(value, Tensor) and value.dtype == torch.float32
    return value.half().float() if half else value


def emulated(exported: ExportedProgram, inputs: Rows) -> list[list[Tensor]]:
    """Outputs in fp16 with sums in fp32: a model of the hardware, which documents none."""
    running = _Halves(cast(Any, exported.module()))
    with torch.no_grad():
        return [tree_leaves(running.run(*row)) for row in inputs]


def cured(exported: ExportedProgram) -> ExportedProgram:
    """The program as the rewrites leave it, those for fp16 last."""
    return rewrite(rewrite(exported, rules([BEFORE_FP16, *NAMES]))[0], rules([AFTER_FP16]))[0]


def examine(
    *, program: str, reference: str, preprocess: dict[str, Any] | None, images: Sequence[str]
) -> dict[str, Any]:
    """What a child answers: findings and fp16 error before and after the cures.

    The error is the largest over inputs and outputs, relative to the largest value of the output in
    fp32; None where fp16 gives NaN or infinity.
    """
    torch.set_num_threads(1)  # two threads on a busy machine wait for each other
    exported = without_operator(Program.load(Path(program)).exported)
    rows = [*Reference.load(Path(reference)).inputs, *_prepared(preprocess, images)]
    inputs = [[torch.from_numpy(a) for a in row] for row in rows]
    after = cured(exported)
    with torch.no_grad():
        exact = [tree_leaves(exported.module()(*row)) for row in inputs]
    return {
        "before": [asdict(f) for f in scan(exported, inputs)],
        "after": [asdict(f) for f in scan(after, inputs)],
        "error_before": _error(exact, emulated(exported, inputs)),
        "error_after": _error(exact, emulated(after, inputs)),
        "images": len(inputs),
    }


def _prepared(preprocess: dict[str, Any] | None, images: Sequence[str]) -> list[Arrays]:
    """Pictures as the model takes them."""
    if images and preprocess is None:
        raise InputError("--images: the model says nothing of how its images are prepared")
    return [(Preprocess.from_dict(preprocess or {}).apply(Path(f)),) for f in images]


def _error(exact: Sequence[Sequence[Tensor]], found: Sequence[Sequence[Tensor]]) -> float | None:
    worst = 0.0
    for a, b in zip(zip(*exact, strict=True), zip(*found, strict=True), strict=True):
        true, mine = torch.stack(a).double(), torch.stack(b).double()
        if not mine.isfinite().all():
            return None
        worst = max(worst, float((mine - true).abs().max() / true.abs().max().clamp(min=1e-30)))
    return worst
