"""What every rule is held to: it applies, and the graph it leaves computes the same.

In float64 the two graphs differ by round-off only; in float32 the rewritten one may be `growth`
times further from float64 than the original, never less than a few units in the last place.
"""

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from edgevit.converters.rewrites import NAMES
from edgevit.converters.rewrites.rule import Report, rewrite, rules


def export(module: nn.Module, *inputs: torch.Tensor) -> torch.export.ExportedProgram:
    return torch.export.export(module.eval(), inputs)


def outputs(program: torch.export.ExportedProgram, *inputs: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        return tree_leaves(program.module()(*inputs))


def check(
    module: nn.Module,
    *inputs: torch.Tensor,
    applies: str,
    names: tuple[str, ...] = NAMES,
    growth: float = 8,
) -> tuple[torch.export.ExportedProgram, Report]:
    """Rewrite `module`; `applies` must have done so, and the numbers must hold."""
    exact_inputs = [t.double() for t in inputs]
    exact = outputs(export(module.double(), *exact_inputs), *exact_inputs)
    rewritten, _ = rewrite(export(module, *exact_inputs), rules(names))
    for a, b in zip(exact, outputs(rewritten, *exact_inputs), strict=True):
        assert a.shape == b.shape
        assert float((a - b).abs().max()) <= 1e-11 * max(1.0, float(a.abs().max()))

    original = export(module.float(), *inputs)
    rewritten, report = rewrite(original, rules(names))
    assert report.left_alone is None
    assert report.applied.get(applies, 0) > 0, report
    for a, b, c in zip(exact, outputs(original, *inputs), outputs(rewritten, *inputs), strict=True):
        floor = 2.0**-22 * float(a.abs().max())
        allowed = growth * max(float((b - a).abs().max()), floor)
        assert float((c - a).abs().max()) <= allowed
    return rewritten, report


def operators(program: torch.export.ExportedProgram) -> list[str]:
    """The names of what a program computes, in order: "conv2d", "permute" ..."""
    return [
        node.target._schema.name.removeprefix("aten::")
        for node in program.graph.nodes
        if node.op == "call_function" and hasattr(node.target, "_schema")
    ]
