"""What a model's own method of re-parameterization makes of it, to compare with ours.

timm's and authors' blocks carry `fuse`, `reparameterize` or `switch_to_deploy`. They are called on
a copy and only told of: some leave more than the graph shows, and nobody else proves them.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgevit.program import export, outputs_of

from .structure import structure

NAMES = ("fuse", "reparameterize", "switch_to_deploy")


def own_method(module: nn.Module, inputs: Sequence[Tensor], *, name: str) -> str | None:
    """One line on `module`, in evaluation mode, and inputs; None where no part has a method."""
    made = copy.deepcopy(module).double()
    inputs = [t.double() if t.is_floating_point() else t for t in inputs]
    truth = outputs_of(made, inputs)
    kind = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # such methods make new layers in the default type
    try:
        made, called = _called(made, set())
        if not called:
            return None
        said = f"the model's own method ({', '.join(sorted(called))})"
        found = outputs_of(made.eval(), inputs)
        left = structure(export(made, inputs, name=name).exported, inputs)
    except Exception as e:  # anything, since it is not our code
        return f"the model's own method fails: {type(e).__name__}: {' '.join(str(e).split())[:200]}"
    finally:
        torch.set_default_dtype(kind)
    off = max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(truth, found, strict=True))
    return (
        f"{said}: {left.convolutions} convolutions, {left.batch_norms} batch norms left, "
        f"differs by {off:.0e} in float64"
    )


def _called(module: nn.Module, called: set[str]) -> tuple[nn.Module, set[str]]:
    """The module after the methods of its outermost parts that have one, and their names."""
    for name in NAMES:
        if callable(method := getattr(module, name, None)):
            called.add(name)
            new = method()
            return (new if isinstance(new, nn.Module) else module), called
    for key, part in [*module.named_children()]:
        setattr(module, key, _called(part, called)[0])
    return module, called
