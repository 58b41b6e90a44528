"""Token merging in timm's transformers with rotary positions: EVA-02, ViT with rope, DINOv3.

A merged token turns its query and key by the mean rotation of the patches it stands for, which is
what turning each of them and taking the mean would give; see `merging_blocks`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgevit.errors import InputError

from .merge_timm import lacks, patches, transformer, wants_all
from .merging_blocks import Adapter, Stack

NEEDED = ("norm1", "attn", "gamma_1", "norm2", "mlp", "gamma_2")
NEEDED_OF_ATTENTION = ("qkv", "q_norm", "k_norm", "num_heads", "scale", "norm", "proj")


class TimmRope(Adapter):
    """timm's EvaBlock, pre-norm."""

    def stacks(self, model: nn.Module) -> list[Stack]:
        found = transformer(model)
        if found is None or lacks(found.blocks, NEEDED, NEEDED_OF_ATTENTION):
            return []
        prefix, count = int(found.num_prefix_tokens), patches(found)
        attn = found.blocks[0].attn
        if getattr(attn, "num_kv_groups", 1) > 1:
            raise InputError("blocks.0 shares keys among heads, which merging does not take")
        return [
            Stack(
                found.blocks,
                count + prefix,
                prefix,
                table=_table(found, prefix),
                halves=bool(attn.rotate_half),
                restored=wants_all(model, found),
            )
        ]

    def queries_keys_values(self, block: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attn, x = block.attn, block.norm1(x)
        if attn.qkv is None:
            parts = [attn.q_proj(x), attn.k_proj(x), attn.v_proj(x)]
        else:
            bias = getattr(attn, "q_bias", None)
            if bias is not None:
                bias = torch.cat([bias, attn.k_bias, attn.v_bias])
            parts = list(
                F.linear(x, attn.qkv.weight, attn.qkv.bias if bias is None else bias).chunk(3, -1)
            )
        q, k, v = (t.unflatten(-1, (attn.num_heads, -1)).transpose(1, 2) for t in parts)
        return attn.q_norm(q) * attn.scale, attn.k_norm(k), v

    def attended(self, block: Any, x: Tensor, y: Tensor) -> Tensor:
        attn = block.attn
        return x + _scaled(block.gamma_1, attn.proj(attn.norm(y.transpose(1, 2).flatten(2))))

    def after(self, block: Any, x: Tensor) -> Tensor:
        return x + _scaled(block.gamma_2, block.mlp(block.norm2(x)))


def _scaled(gamma: Tensor | None, x: Tensor) -> Tensor:
    return x if gamma is None else gamma * x


def _table(found: Any, prefix: int) -> Tensor | None:
    """[N, 2, d], sine and cosine; of the tokens in front, which do not turn, 0 and 1."""
    if found.rope is None:
        return None
    if found.rope_mixed:
        raise InputError(
            f"{type(found).__name__} has a rope for each block and head (mixed), which cannot merge"
        )
    with torch.no_grad():
        known = getattr(found.rope, "feat_shape", None) is not None
        table = found.rope.get_embed(**({} if known else {"shape": found.patch_embed.grid_size}))
    table = table.detach().float().reshape(len(table), 2, -1)
    still = torch.tensor([0.0, 1.0]).view(1, 2, 1).expand(prefix, 2, table.shape[2])
    return torch.cat([still, table])
