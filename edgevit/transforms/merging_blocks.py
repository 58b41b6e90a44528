"""Token merging between the attention and the MLP of any transformer's blocks.

    block     x + attention(x) ── merge r tokens by attention's keys ── x + MLP(x)
    attention softmax(q·kᵀ/√d + log size)·v, so that a merged token counts as those it stands for

Bolya et al., ICLR 2023, section 3. What a family of models calls its parts is told by an adapter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import torch
from torch import Tensor, nn

from edgevit.errors import InputError

from .merge_tokens import Merging, merged_by_index, most

Form = Literal["products", "indices"]


@dataclass(frozen=True)
class Stack:
    """Where a model keeps its blocks: `holder`'s attribute `name`; tokens: of the first block."""

    holder: Any
    name: str
    tokens: int
    protected: int

    @property
    def blocks(self) -> list[Any]:
        return list(getattr(self.holder, self.name))


class Adapter(Protocol):
    """How one family computes the parts of its blocks."""

    def stack(self, model: nn.Module) -> Stack | None:
        """Where they are, None in a model of another family."""

    def queries_keys_values(self, block: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of x [B, N, C] before its norm: three [B, heads, N, d], q scaled."""

    def attended(self, block: Any, x: Tensor, y: Tensor) -> Tensor:
        """x with what the attention found, y [B, heads, N, d], projected and added."""

    def after(self, block: Any, x: Tensor) -> Tensor:
        """x with the MLP's branch added."""


class MergingBlocks(nn.Module):
    """A family's blocks, one after the other, with the sizes of their tokens handed on."""

    ones: Tensor

    def __init__(
        self, stack: Stack, adapter: Adapter, counts: Sequence[int], *, form: Form = "products"
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(stack.blocks)
        self.adapter, self.counts = adapter, list(counts)
        self.protected, self.form = stack.protected, form
        self.merging = nn.ModuleList()
        tokens = stack.tokens
        self.register_buffer("ones", torch.ones(1, tokens, 1), persistent=False)
        for r in counts:
            self.merging.append(Merging(tokens, r, stack.protected) if r else nn.Identity())
            tokens -= r

    def __iter__(self) -> Iterator[Self]:
        """For a model that calls its blocks one by one: this is all of them."""
        yield self

    def forward(self, x: Tensor, *_: object) -> Tensor:
        """x [B, N, C] → [B, N − Σ r, C]; what a model hands its blocks besides is none."""
        sizes = None
        for block, r, merging in zip(self.blocks, self.counts, self.merging, strict=True):
            q, k, v = self.adapter.queries_keys_values(block, x)
            logits = q @ k.transpose(-2, -1)
            if sizes is not None:
                logits = logits + sizes.log().reshape(len(x), 1, 1, -1)
            x = self.adapter.attended(block, x, logits.softmax(-1) @ v)
            if r:
                if sizes is None:
                    sizes = self.ones if len(x) == 1 else self.ones.expand(len(x), -1, -1)
                if self.form == "products":
                    x, sizes = merging(x, k.mean(1), sizes)
                else:
                    x, sizes = merged_by_index(x, k.mean(1), sizes, r, self.protected)
            x = self.adapter.after(block, x)
        return x


def schedule(tokens: int, layers: int, r: int | Sequence[int], *, protected: int = 0) -> list[int]:
    """How many tokens merge in each layer: r, no more than half of what is there."""
    wanted = [r] * layers if isinstance(r, int) else list(r)
    if len(wanted) != layers or min(wanted, default=0) < 0:
        raise InputError(
            f"r is {wanted}: give one number of 0 or more, or one for each of the {layers} layers"
        )
    counts = []
    for asked in wanted:
        counts.append(min(asked, most(tokens, protected)))
        tokens -= counts[-1]
    return counts
