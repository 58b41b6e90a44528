"""Depth: residual blocks that a model can do without, x + f(x) left as x.

A member of a sequence is one if, with all its weights set to zero, it passes on what it reads.
"""

import copy
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgevit.program import outputs_of, within

from .prune_narrow import Group


def blocks_of(net: nn.Module, inputs: Sequence[Tensor]) -> list[str]:
    """Paths of all such blocks; of a stage that is one as well, those within it."""
    members = {
        f"{path}.{name}" if path else name: member
        for path, sequence in net.named_modules()
        if isinstance(sequence, nn.Sequential | nn.ModuleList)
        for name, member in sequence.named_children()
        if any(True for _ in member.parameters())
    }
    found: list[str] = []

    def hook_of(path: str) -> Any:
        def hook(block: nn.Module, given: tuple[Any, ...], more: dict[str, Any], out: Any) -> None:
            if (
                len(given) == 1
                and not more
                and isinstance(out, Tensor)
                and out.shape == given[0].shape
            ):
                idle = copy.deepcopy(block)
                for member in idle.modules():
                    member._forward_hooks.clear()
                    member._forward_hooks_with_kwargs.clear()
                for p in idle.parameters():
                    p.zero_()
                if torch.equal(idle(given[0]), given[0]):
                    found.append(path)

        return hook

    hooks = [
        member.register_forward_hook(hook_of(path), with_kwargs=True)
        for path, member in members.items()
    ]
    try:
        with torch.no_grad():
            outputs_of(net, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    once = [path for path in members if found.count(path) == 1]
    return [
        path for path in once if not any(within(other, path) for other in once if other != path)
    ]


def shallower(net: nn.Module, gone: Collection[str]) -> nn.Module:
    """A copy of `net` with these blocks left out."""
    made = copy.deepcopy(net)
    for block in gone:
        made.set_submodule(block, nn.Identity())
    return made


def left_of(groups: Sequence[Group], gone: Collection[str]) -> list[Group]:
    """The groups of the shallower model."""
    left = []
    for group in groups:
        cuts = tuple(c for c in group.cuts if not any(within(c.tensor, b) for b in gone))
        counts = tuple(c for c in group.counts if not any(within(c[0], b) for b in gone))
        if cuts:
            left.append(replace(group, cuts=cuts, counts=counts))
    return left


def divergence(net: nn.Module, whole: nn.Module, images: Tensor) -> float:
    """Of what `net` answers from what `whole` does, in nats an image."""
    with torch.no_grad():
        aim, answers = (n(images).log_softmax(-1) for n in (whole, net))
    return float(F.kl_div(answers, aim, reduction="batchmean", log_target=True))
