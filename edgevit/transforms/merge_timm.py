"""Token merging in timm's vision transformers: DeiT, ViT and whatever else has their block.

    block     x + attn(norm1(x)) ── merge r tokens by attn's keys ── x + mlp(norm2(x))
    attention softmax(q·kᵀ/√d + log size)·v, so that a merged token counts as those it stands for

Bolya et al., ICLR 2023, section 3: keys averaged over the heads, merging between attention and MLP,
proportional attention. Class, distillation and register tokens are protected.
"""

import copy
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from edgevit.errors import InputError

from .merge_tokens import Merging, merged_by_index, most

NEEDED = ("norm1", "attn", "ls1", "norm2", "mlp", "ls2")
NEEDED_OF_ATTENTION = ("qkv", "q_norm", "k_norm", "num_heads", "scale", "norm", "proj")
Form = Literal["products", "indices"]


def merged(model: nn.Module, r: int | Sequence[int], *, form: Form = "products") -> nn.Module:
    """A copy of `model` in whose block i r, or r[i], tokens merge; weights stay as they are.

    form: "products" runs on mobile delegates, "indices" is the reference. An r that is more than
    can merge is taken as that, as in the paper; see `schedule`. InputError for a model without
    blocks of this kind, and for a schedule of another length.
    """
    blocks = _blocks(model)
    tokens, protected = _tokens(model), int(getattr(model, "num_prefix_tokens", 0))
    counts = schedule(tokens, len(blocks), r, protected=protected)
    done = copy.deepcopy(model)
    done.blocks = MergingBlocks(done.blocks, tokens, counts, protected, form)
    return done


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


class MergingBlocks(nn.Module):
    """timm's blocks, one after the other, with the sizes of their tokens handed on."""

    ones: Tensor

    def __init__(
        self, blocks: Any, tokens: int, counts: Sequence[int], protected: int, form: Form
    ) -> None:
        super().__init__()
        self.blocks = blocks
        self.counts, self.protected, self.form = list(counts), protected, form
        self.merging = nn.ModuleList()
        for r in counts:
            self.merging.append(Merging(tokens, r, protected) if r else nn.Identity())
            tokens -= r
        first = tokens + sum(counts)
        self.register_buffer("ones", torch.ones(1, first, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        sizes = None
        for block, r, merging in zip(self.blocks, self.counts, self.merging, strict=True):
            y, keys = attend(block.attn, block.norm1(x), sizes)
            x = x + block.drop_path1(block.ls1(y))
            if r:
                if sizes is None:
                    sizes = (
                        self.ones.to(x) if len(x) == 1 else self.ones.to(x).expand(len(x), -1, -1)
                    )
                if self.form == "products":
                    x, sizes = merging(x, keys, sizes)
                else:
                    x, sizes = merged_by_index(x, keys, sizes, r, self.protected)
            x = x + block.drop_path2(block.ls2(block.mlp(block.norm2(x))))
        return x


def attend(attn: Any, x: Tensor, sizes: Tensor | None) -> tuple[Tensor, Tensor]:
    """(attention of x [B, N, C] with timm's weights, mean key [B, N, d])."""
    batch, count, _ = x.shape
    qkv = attn.qkv(x).reshape(batch, count, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)
    q, k = attn.q_norm(q), attn.k_norm(k)
    logits = (q * attn.scale) @ k.transpose(-2, -1)
    if sizes is not None:
        logits = logits + sizes.log().reshape(batch, 1, 1, count)
    y = (attn.attn_drop(logits.softmax(-1)) @ v).transpose(1, 2).reshape(batch, count, -1)
    return attn.proj_drop(attn.proj(attn.norm(y))), k.mean(1)


def _blocks(model: nn.Module) -> list[nn.Module]:
    """The model's blocks, all of which must be of timm's plain kind."""
    found = getattr(model, "blocks", None)
    if not isinstance(found, nn.Sequential | nn.ModuleList) or not len(found):
        kinds = ", ".join(sorted({type(m).__name__ for m in model.children()}))
        raise InputError(f"{type(model).__name__} has no `blocks` to merge tokens in, only {kinds}")
    for i, block in enumerate(found):
        attn = getattr(block, "attn", None)
        lacks = [n for n in NEEDED if not hasattr(block, n)]
        lacks += [f"attn.{n}" for n in NEEDED_OF_ATTENTION if not hasattr(attn, n)]
        for what in ("rope", "relative_position_bias_table", "rel_pos_bias"):
            if getattr(attn, what, None) is not None:
                lacks.append(f"an attention without {what}")
        if getattr(attn, "gate", None) is not None:
            lacks.append("an attention without a gate")
        if lacks:
            raise InputError(
                f"blocks.{i}, a {type(block).__name__}, is no block that tokens can merge in: it "
                f"lacks {', '.join(lacks)}"
            )
    return list(found)


def _tokens(model: nn.Module) -> int:
    """How many tokens the first block gets: patches and those before them."""
    patches = getattr(getattr(model, "patch_embed", None), "num_patches", None)
    if patches is None:
        raise InputError(f"{type(model).__name__} does not say how many patches it has")
    return int(patches) + int(getattr(model, "num_prefix_tokens", 0))
