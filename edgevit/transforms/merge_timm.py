"""Token merging in timm's vision transformers: DeiT, ViT and whatever else has their block.

Class, distillation and register tokens are protected.
"""

from typing import Any

from torch import Tensor, nn

from edgevit.errors import InputError

from .merging_blocks import Stack

NEEDED = ("norm1", "attn", "ls1", "norm2", "mlp", "ls2")
NEEDED_OF_ATTENTION = ("qkv", "q_norm", "k_norm", "num_heads", "scale", "norm", "proj")


class Timm:
    """timm's plain block; in evaluation mode its dropouts do nothing."""

    def stack(self, model: nn.Module) -> Stack:
        """InputError for a model whose blocks are of another kind."""
        _require_plain(model)
        prefix = int(getattr(model, "num_prefix_tokens", 0))
        return Stack(model, "blocks", _patches(model) + prefix, prefix)

    def queries_keys_values(self, block: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attn = block.attn
        batch, count, _ = x.shape
        qkv = attn.qkv(block.norm1(x)).reshape(batch, count, 3, attn.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        return attn.q_norm(q) * attn.scale, attn.k_norm(k), v

    def attended(self, block: Any, x: Tensor, y: Tensor) -> Tensor:
        attn = block.attn
        return x + block.ls1(attn.proj(attn.norm(y.transpose(1, 2).flatten(2))))

    def after(self, block: Any, x: Tensor) -> Tensor:
        return x + block.ls2(block.mlp(block.norm2(x)))


def _require_plain(model: nn.Module) -> None:
    """All of the model's blocks must be of timm's plain kind."""
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


def _patches(model: nn.Module) -> int:
    patches = getattr(getattr(model, "patch_embed", None), "num_patches", None)
    if patches is None:
        raise InputError(f"{type(model).__name__} does not say how many patches it has")
    return int(patches)
