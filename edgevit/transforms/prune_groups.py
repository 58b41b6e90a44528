"""Groups: what of a model must go together when a channel or a head goes.

    conv1.weight [C, ...]   ┐
    bn.weight [C] ...       ├─ channel c of all of these is one unit; without it each is C - 1 long
    conv2.weight [_, C, ..] ┘

Which channels hang together is torch-pruning's dependency graph (Fang et al., "DepGraph", CVPR
2023, arXiv 2301.12900); what it cannot see through, a layout says (prune_layouts.py). Neither is
believed: a group counts only if, in float64, the model without half of its units computes what it
computes with their numbers set to zero.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from edgevit.errors import first_line
from edgevit.program import outputs_of

from .prune_layouts import laid_out
from .prune_narrow import Group, gone_of, without
from .prune_trace import traced

CLOSE = 1e-9  # of the largest output, in float64


def groups_of(net: nn.Module, inputs: Sequence[Tensor]) -> tuple[list[Group], dict[str, str]]:
    """Groups that hold, in the order of the modules, and for other modules why none does.

    net: in evaluation mode. InputError for one through which no gradients can be traced.
    """
    exact = copy.deepcopy(net).double().eval()
    arguments = [t.double() if t.is_floating_point() else t for t in inputs]
    (whole, *_) = outputs_of(exact, arguments)
    found: list[Group] = []
    refused: dict[str, str] = {}
    given = laid_out(net)
    claimed = {(c.tensor, c.axis) for g in given for c in g.cuts}
    others = [g for g in traced(net, inputs, refused) if not _touches(g, claimed)]
    order = {path: i for i, (path, _) in enumerate(net.named_modules())}
    for group in sorted([*given, *others], key=lambda g: order[g.name]):
        if group.units < 2:
            continue
        why = _wrong(exact, group, arguments, whole)
        if why is None:
            found.append(group)
        elif why:
            refused[group.name] = why
    return found, refused


class _Masked(TorchFunctionMode):
    """Norms over channels of the group take mean and variance of those that stay alone."""

    def __init__(self, net: nn.Module, group: Group, units: Sequence[int]) -> None:
        super().__init__()
        own = {name: id(p) for name, p in net.named_parameters()}
        self.kept = {
            own[c.tensor]: torch.tensor(sorted(i for u in units for i in c.rows[u]))
            for c in group.cuts
            if c.tensor in own
        }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func not in (F.layer_norm, F.group_norm):
            return func(*args, **given)
        values: list[Any] = [
            given.get(name, args[i] if len(args) > i else default)
            for i, (name, default) in enumerate(_NORM)
        ]
        x, over, weight, bias, eps = values
        if id(weight) not in self.kept or over not in (1, tuple(weight.shape)):
            return func(*args, **given)
        kept, axis = self.kept[id(weight)], -1 if func is F.layer_norm else 1
        over = 1 if func is F.group_norm else (len(kept),)
        found = func(
            x.index_select(axis, kept),
            over,
            weight[kept],
            None if bias is None else bias[kept],
            eps,
        )
        return torch.zeros_like(x).index_copy(axis, kept, found)


# The arguments of both, by place, and their defaults; over: a shape, or a number of groups.
_NORM = (("input", None), ("over", None), ("weight", None), ("bias", None), ("eps", 1e-5))


def _wrong(net: nn.Module, group: Group, inputs: Sequence[Tensor], whole: Tensor) -> str | None:
    """Why the group does not hold; None for one that does, "" for the model's own outputs."""
    if any(len({len(row) for row in cut.rows}) > 1 for cut in group.cuts):
        return "its channels go in lots of unlike size"
    # Two halves, so that units which change places are seen.
    for half in (range(0, group.units, 2), range(group.units // 2)):
        masked = copy.deepcopy(net)
        tensors = dict(masked.named_parameters()) | dict(masked.named_buffers())
        try:
            with torch.no_grad():
                for tensor, axes in gone_of([(group, half)]).items():
                    for axis, rows in axes.items():
                        tensors[tensor].index_fill_(axis, torch.tensor([*rows]), 0.0)
            (found, *_) = outputs_of(without(net, [(group, half)]), inputs)
            with _Masked(masked, group, half):
                (aim, *_) = outputs_of(masked, inputs)
        except Exception as e:  # whatever the model's own code raises
            return f"with fewer of them it does not run ({first_line(e)})"
        if found.shape != whole.shape:
            return ""
        error = float((found - aim).abs().max() / whole.abs().max().clamp_min(1e-300))
        if not error <= CLOSE:
            return f"with fewer of them it computes something else (by {error:.1g} of the largest)"
    return None


def _touches(group: Group, claimed: set[tuple[str, int]]) -> bool:
    return any((cut.tensor, cut.axis) in claimed for cut in group.cuts)
