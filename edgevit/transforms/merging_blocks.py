"""Token merging between the attention and the MLP of any transformer's blocks.

    block     x + attention(x) ── merge r tokens by attention's keys ── x + MLP(x)
    attention softmax(q·kᵀ/√d + log size)·v, so that a merged token counts as those it stands for

Bolya et al., ICLR 2023, section 3. What a family of models calls its parts is told by an adapter.

What belongs to a place and not to a token follows by M [N', N], each row the shares of the first
block's tokens in one of today's; M is merged like the tokens themselves. All of it is products:

    rotations    of queries and keys (rope): M · table, the mean rotation of what a token stands for
    bias         added to the logits, relative positions: M · bias · Mᵀ, the mean over all pairs
    un-merging   Mᵀ · (size · x): each place gets the token that it is in, so that a convolution or
                 a dense head finds its grid again
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from edgevit.errors import InputError

from .merge_forms import Merging
from .merge_tokens import merged_by_index, most

Form = Literal["products", "indices"]


@dataclass(frozen=True)
class Stack:
    """Where a model keeps blocks that follow each other: in `container`, from `start` to its end.

    tokens: of the first of them; None where only a run tells. table: [tokens, 2, d], sine and
    cosine of each; halves: whether a channel turns with the one d / 2 away, not the one beside it.
    restored: whether what comes out has a token for each that went in.
    """

    container: Any
    tokens: int | None
    protected: int
    start: int = 0
    table: Tensor | None = None
    halves: bool = False
    restored: bool = False

    @property
    def blocks(self) -> list[Any]:
        return list(self.container[self.start :])


class Adapter:
    """How one family computes the parts of its blocks."""

    def stacks(self, model: nn.Module) -> list[Stack]:
        """Where they are, none in a model of another family."""
        raise NotImplementedError

    def queries_keys_values(self, block: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of x [B, N, C] before its norm: three [B, heads, N, d], q scaled."""
        raise NotImplementedError

    def bias(self, block: Any) -> Tensor | None:
        """[heads, N, N], added to the logits of tokens that have not merged."""
        return None

    def attended(self, block: Any, x: Tensor, y: Tensor) -> Tensor:
        """x with what the attention found, y [B, heads, N, d], projected and added."""
        raise NotImplementedError

    def after(self, block: Any, x: Tensor) -> Tensor:
        """x with the MLP's branch added."""
        raise NotImplementedError


class MergingBlocks(nn.Module):
    """A family's blocks, one after the other, with the sizes of their tokens handed on."""

    ones: Tensor
    places: Tensor | None
    table: Tensor | None

    def __init__(
        self, stack: Stack, adapter: Adapter, counts: Sequence[int], *, form: Form = "products"
    ) -> None:
        super().__init__()
        assert stack.tokens
        self.blocks = nn.ModuleList(stack.blocks)
        self.adapter, self.counts, self.form = adapter, list(counts), form
        self.protected, self.halves, self.restored = stack.protected, stack.halves, stack.restored
        self.merging = nn.ModuleList()
        tokens = stack.tokens
        placed = stack.table is not None or any(adapter.bias(b) is not None for b in stack.blocks)
        places = torch.eye(tokens)[None] if placed or stack.restored else None
        self.register_buffer("ones", torch.ones(1, tokens, 1), persistent=False)
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("table", stack.table, persistent=False)
        for r in counts:
            self.merging.append(Merging(tokens, r, stack.protected) if r else nn.Identity())
            tokens -= r

    def forward(self, x: Tensor, *_: object, **__: object) -> Tensor:
        """x [B, N, C] → [B, N − Σ r, C], or restored; a grid [B, H, W, C] is taken as H·W tokens.

        What a model hands its blocks besides is known to `Stack`, or nothing.
        """
        if x.ndim == 4:
            return self._through(x.flatten(1, 2)).reshape(x.shape)
        return self._through(x)

    def _through(self, x: Tensor) -> Tensor:
        sizes: Tensor | None = None
        made_of: Tensor | None = None
        for block, r, merging in zip(self.blocks, self.counts, self.merging, strict=True):
            q, k, v = self.adapter.queries_keys_values(block, x)
            if self.table is not None:
                table = self.table.flatten(1)
                table = (table if made_of is None else made_of @ table)[..., None, :, :]
                q, k = self._turned(q, table), self._turned(k, table)
            logits = q @ k.transpose(-2, -1)
            bias = self.adapter.bias(block)
            if bias is not None:
                logits = logits + (bias if made_of is None else _between(made_of, bias))
            if sizes is not None:
                logits = logits + sizes.log().reshape(len(x), 1, 1, -1)
            x = self.adapter.attended(block, x, logits.softmax(-1) @ v)
            if r:
                if sizes is None:
                    one = len(x) == 1  # a delegate has no room for an expand that expands nothing
                    sizes = self.ones if one else self.ones.expand(len(x), -1, -1)
                    if self.places is not None:
                        made_of = self.places if one else self.places.expand(len(x), -1, -1)
                if made_of is not None:
                    x = torch.cat([x, made_of], 2)
                if self.form == "products":
                    x, sizes = merging(x, k.mean(1), sizes)
                else:
                    x, sizes = merged_by_index(x, k.mean(1), sizes, r, self.protected)
                if made_of is not None:
                    across = made_of.shape[2]
                    x, made_of = x[..., :-across], x[..., -across:]
            x = self.adapter.after(block, x)
        if self.restored and made_of is not None and sizes is not None:
            x = (made_of * sizes).transpose(1, 2) @ x
        return x

    def _turned(self, x: Tensor, table: Tensor) -> Tensor:
        """x [B, heads, N, d], its channels turned in pairs by table [..., 1, N, 2·d]."""
        d = x.shape[-1]
        if self.halves:
            other = torch.cat([-x[..., d // 2 :], x[..., : d // 2]], -1)
        else:
            pairs = x.reshape(len(x), x.shape[1], -1, 2)
            other = torch.cat([-pairs[..., 1:], pairs[..., :1]], -1).reshape(x.shape)
        return x * table[..., d:] + other * table[..., :d]


def _between(made_of: Tensor, bias: Tensor) -> Tensor:
    """M · bias · Mᵀ of M [B, n, N] and bias [heads, N, N]: [B, heads, n, n], in products of three
    axes, which no runtime has to broadcast.
    """
    heads = len(bias)
    rows = (made_of @ bias.transpose(0, 1).flatten(1)).unflatten(2, (heads, -1)).flatten(1, 2)
    return (rows @ made_of.transpose(1, 2)).unflatten(1, (-1, heads)).transpose(1, 2)


def schedule(
    tokens: int, wanted: Sequence[int], *, protected: int = 0, strict: bool = False
) -> list[int]:
    """How many merge in each layer: as many as are wanted, no more than half of what is there.

    strict: InputError for more, in place of fewer.
    """
    counts: list[int] = []
    for asked in wanted:
        can = most(tokens, protected)
        if strict and asked > can:
            raise InputError(
                f"layer {len(counts)} has {tokens} tokens, of which at most {can} can merge, "
                f"not {asked}"
            )
        counts.append(min(asked, can))
        tokens -= counts[-1]
    return counts
