"""What every rule is held to: it applies, and the graph it leaves computes the same.

In float32 the rewritten graph may be `growth` times further from float64 than the original, never
less than a few units in the last place; in float64, whose units are 2^29 times finer, the two
differ by round-off only. An export costs more than what is exported: a net of several outputs,
each held to its own size, proves several rules at once.
"""

from collections.abc import Collection
from contextlib import AbstractContextManager
from unittest import mock

import torch
from hypothesis import Phase, register_random, settings
from torch import nn
from torch.utils._pytree import tree_leaves

from edgevit.converters.rewrites import NAMES
from edgevit.converters.rewrites.rule import Report, rewrite, rules

Program = torch.export.ExportedProgram

# Each example exports four programs: a failing one is shown as it was found, not made smaller.
FEW = settings(max_examples=5, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))


class _TorchRandom:
    """torch's generator, for Hypothesis to seed: what it found once it finds again."""

    seed = staticmethod(torch.manual_seed)
    getstate = staticmethod(torch.get_rng_state)
    setstate = staticmethod(torch.set_rng_state)


TORCH_RANDOM = _TorchRandom()  # Hypothesis holds no more than a weak reference
register_random(TORCH_RANDOM)


def each(*functions):
    """The function of all their results, for a Net that proves several rules."""
    return lambda m, *xs: [f(m, *xs) for f in functions]


class Net(nn.Module):
    """A module from a function of (module, *inputs) and the layers and constants it uses."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            if isinstance(layer, torch.Tensor):
                self.register_buffer(name, layer)
            else:
                setattr(self, name, layer)

    def forward(self, *xs):
        return self.function(self, *xs)


def drawn(module: nn.Module) -> nn.Module:
    """The module, with weights and statistics that are not the neutral ones."""
    for p in [*module.parameters(), *module.buffers()]:
        if p.is_floating_point():
            p.data.copy_(torch.rand_like(p) + 0.5)
    return module


def export(module: nn.Module, *inputs: torch.Tensor) -> Program:
    return torch.export.export(module.eval(), inputs)


def outputs(program: Program, *inputs: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        return tree_leaves(program.module()(*inputs))


def as_exported() -> AbstractContextManager:
    """Programs as other versions of torch hand them over, with operators that this one takes apart.

    torch 2.13 turns narrow, numpy_T and batch_norm into others before a rule sees them.
    """
    return mock.patch.object(Program, "run_decompositions", lambda self, table: self)


def check(
    module: nn.Module,
    *inputs: torch.Tensor,
    applies: str | Collection[str],
    names: tuple[str, ...] = NAMES,
    growth: float = 8,
) -> tuple[Program, Report]:
    """Rewrite `module`; `applies`, one rule or several, must have done so, and the numbers hold."""
    doubled, exact, allowed = _measured(module, inputs, growth)
    exported = export(module.double(), *doubled)
    for i, result in enumerate(outputs(rewrite(exported, rules(names))[0], *doubled)):
        a = exact[i]
        assert (a.shape, a.dtype) == (result.shape, result.dtype), f"output {i}"
        finest = 1e-11 * max(1.0, _size(a))
        assert _distance(a, result) <= max(finest, 2.0**-29 * allowed[i]), f"output {i}"

    rewritten, report = rewrite(export(module.float(), *inputs), rules(names))
    assert report.left_alone is None
    missing = {applies} if isinstance(applies, str) else {*applies}
    assert missing <= {*report.applied}, report
    _hold(module, inputs, exact, rewritten, allowed)
    return rewritten, report


def check_spared(
    module: nn.Module,
    *inputs: torch.Tensor,
    spared_by: str,
    because: str | None = None,
    names: tuple[str, ...] = NAMES,
    growth: float = 8,
) -> tuple[Program, Report]:
    """Rewrite `module`; the rule `spared_by` must leave it alone, and the numbers must hold.

    because: part of the reason that it gives; None where it has nothing to say.
    """
    _, exact, allowed = _measured(module, inputs, growth)
    rewritten, report = rewrite(export(module, *inputs), rules(names))
    assert report.left_alone is None
    assert spared_by not in report.applied
    reasons = [why for name, _, why in report.refused if name == spared_by]
    if because is None:
        assert reasons == []
    else:
        assert any(because in why for why in reasons), report
    _hold(module, inputs, exact, rewritten, allowed)
    return rewritten, report


def _measured(module, inputs, growth):
    """Inputs and outputs in float64, without an export in between, and what float32 may miss."""
    doubled = [t.double() if t.is_floating_point() else t for t in inputs]
    with torch.no_grad():
        exact = tree_leaves(module.eval().double()(*doubled))
        original = tree_leaves(module.float()(*inputs))
    pairs = zip(exact, original, strict=True)
    return doubled, exact, [growth * max(_distance(a, b), 2.0**-22 * _size(a)) for a, b in pairs]


def _hold(module, inputs, exact, rewritten, allowed):
    with torch.no_grad():
        original = tree_leaves(module(*inputs))
    results = outputs(rewritten, *inputs)
    for i, (plain, result) in enumerate(zip(original, results, strict=True)):
        assert (plain.shape, plain.dtype) == (result.shape, result.dtype), f"output {i}"
        assert _distance(exact[i], result) <= allowed[i], f"output {i}"


def _distance(a, b):
    return float((a.double() - b.double()).abs().max())


def _size(a):
    return float(a.double().abs().max())


def operators(program: Program) -> list[str]:
    """The names of what a program computes, in order: "conv2d", "permute" ..."""
    return [
        node.target._schema.name.removeprefix("aten::")
        for node in program.graph.nodes
        if node.op == "call_function" and hasattr(node.target, "_schema")
    ]
