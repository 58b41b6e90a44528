"""Token merging in a model of any family that edgevit knows."""

import copy
from collections.abc import Sequence

from torch import nn

from edgevit.errors import InputError

from .merge_timm import Timm
from .merge_transformers import AST, VideoMAE
from .merging_blocks import Adapter, Form, MergingBlocks, schedule

FAMILIES: tuple[Adapter, ...] = (VideoMAE(), AST(), Timm())  # timm's says what a model lacks


def merged(model: nn.Module, r: int | Sequence[int], *, form: Form = "products") -> nn.Module:
    """A copy of `model` in whose block i r, or r[i], tokens merge; weights stay as they are.

    form: "products" runs on mobile delegates, "indices" is the reference. An r that is more than
    can merge is taken as that, as in the paper; see `schedule`. InputError for a model in training,
    without blocks of a known kind, and for a schedule of another length.
    """
    if model.training:
        raise InputError(f"{type(model).__name__} is in training mode: call .eval() first")
    done = copy.deepcopy(model)
    for adapter in FAMILIES:
        if stack := adapter.stack(done):
            break
    assert stack
    counts = schedule(stack.tokens, len(stack.blocks), r, protected=stack.protected)
    setattr(stack.holder, stack.name, MergingBlocks(stack, adapter, counts, form=form))
    return done


def merging_of(model: nn.Module) -> MergingBlocks:
    """The blocks of a model that `merged` made."""
    return next(m for m in model.modules() if isinstance(m, MergingBlocks))
