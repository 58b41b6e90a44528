"""Token merging in a model of any family that edgevit knows."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from edgevit.errors import InputError
from edgevit.recipe import per_layer

from .merge_grid import EfficientFormer, EfficientMod
from .merge_timm import Timm, refused
from .merge_timm_rope import TimmRope
from .merge_transformers import AST, VideoMAE
from .merging_blocks import Adapter, Form, MergingBlocks, Stack, schedule

FAMILIES: tuple[Adapter, ...] = (
    VideoMAE(),
    AST(),
    EfficientMod(),
    EfficientFormer(),
    TimmRope(),
    Timm(),
)


def merged(
    model: nn.Module,
    r: int | str | Sequence[int],
    *,
    inputs: Sequence[Tensor] = (),
    form: Form = "products",
    strict: bool = False,
) -> nn.Module:
    """A copy of `model` in whose block i r, or r[i], tokens merge; weights stay as they are.

    r is a number, one for each block, or "26..0", falling evenly from the first to the last.

    inputs: an example, for families that take images of any size. form: "products" runs on mobile
    delegates, "indices" is the reference. An r that is more than can merge is taken as that, as in
    the paper, or refused if strict; see `schedule`. InputError for a model in training, without
    blocks of a known kind, and for a schedule of another length.
    """
    if model.training:
        raise InputError(f"{type(model).__name__} is in training mode: call .eval() first")
    done = _without_gaps(copy.deepcopy(model))
    for adapter in FAMILIES:
        if stacks := adapter.stacks(done):
            break
    else:
        raise refused(model)
    layers = [len(stack.blocks) for stack in stacks]
    wanted = per_layer(r, sum(layers))
    for stack, count in zip(stacks, layers, strict=True):
        mine, wanted = wanted[:count], wanted[count:]
        if stack.tokens is None:
            stack = replace(stack, tokens=_tokens(done, stack, inputs))
        assert stack.tokens
        counts = schedule(stack.tokens, mine, protected=stack.protected, strict=strict)
        merging = MergingBlocks(stack, adapter, counts, form=form)
        del stack.container[stack.start :]
        stack.container.append(merging)
    return done


def _without_gaps(model: nn.Module) -> nn.Module:
    """In a sequence of blocks, none of those that pruning left out."""
    for sequence in model.modules():
        if isinstance(sequence, nn.Sequential):
            kinds = {type(member) for member in sequence}
            if nn.Identity in kinds and len(kinds) == 2:
                for i in reversed(range(len(sequence))):
                    if type(sequence[i]) is nn.Identity:
                        del sequence[i]
    return model


def merging_of(model: nn.Module) -> list[MergingBlocks]:
    """The blocks of a model that `merged` made, stage by stage."""
    return [m for m in model.modules() if isinstance(m, MergingBlocks)]


def _tokens(model: nn.Module, stack: Stack, inputs: Sequence[Tensor]) -> int:
    """How many come to the first block of `stack`, [B, ..., C] with an example given."""
    if not inputs:
        raise InputError(f"{type(model).__name__} takes images of any size: give one in `inputs`")
    seen: list[int] = []
    hook = stack.blocks[0].register_forward_pre_hook(
        lambda _, given: seen.append(given[0][0, ..., 0].numel())
    )
    with torch.no_grad():
        model(*inputs)
    hook.remove()
    return seen[0]
