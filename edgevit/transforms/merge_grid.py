"""Token merging inside the stages of hybrids, whose convolutions and pooling want the grid back.

EfficientMod     the attention blocks that end a stage, channels last
EfficientFormer  the blocks behind `Flat`, with a bias of relative positions
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from .merging_blocks import Adapter, Stack


class EfficientMod(Adapter):
    """edgevit's AttentionBlock."""

    def stacks(self, model: nn.Module) -> list[Stack]:
        return _tails(model, "edgevit.models.efficientmod.AttentionBlock", lambda _: None)

    def queries_keys_values(self, block: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attn = block.attn
        qkv = attn.qkv(block.norm1(x)).unflatten(-1, (3, attn.heads, attn.head_width))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        return q * attn.head_width**-0.5, k, v

    def attended(self, block: Any, x: Tensor, y: Tensor) -> Tensor:
        return x + block.attn.proj(y.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def after(self, block: Any, x: Tensor) -> Tensor:
        return x + block.mlp(block.norm2(x))  # type: ignore[no-any-return]


class EfficientFormer(Adapter):
    """timm's MetaBlock1d."""

    def stacks(self, model: nn.Module) -> list[Stack]:
        kind = "timm.models.efficientformer.MetaBlock1d"
        return _tails(model, kind, lambda b: len(b.token_mixer.attention_bias_idxs))

    def queries_keys_values(self, block: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mixer = block.token_mixer
        qkv = mixer.qkv(block.norm1(x)).unflatten(-1, (mixer.num_heads, -1)).transpose(1, 2)
        q, k, v = qkv.split([mixer.key_dim, mixer.key_dim, mixer.val_dim], dim=3)
        return q * mixer.scale, k, v

    def bias(self, block: Any) -> Tensor:
        mixer = block.token_mixer
        return mixer.attention_biases[:, mixer.attention_bias_idxs]  # type: ignore[no-any-return]

    def attended(self, block: Any, x: Tensor, y: Tensor) -> Tensor:
        return x + block.ls1(block.token_mixer.proj(y.transpose(1, 2).flatten(2)))  # type: ignore[no-any-return]

    def after(self, block: Any, x: Tensor) -> Tensor:
        return x + block.ls2(block.mlp(block.norm2(x)))  # type: ignore[no-any-return]


def _tails(model: nn.Module, kind: str, tokens: Callable[[Any], int | None]) -> list[Stack]:
    """The blocks of that class at the end of each list; tokens: of a block, None if unknown."""
    found = []
    for blocks in model.modules():
        if isinstance(blocks, nn.ModuleList | nn.Sequential):
            start = len(blocks)
            while start and _class(blocks[start - 1]) == kind:
                start -= 1
            if start < len(blocks):
                found.append(Stack(blocks, tokens(blocks[start]), 0, start, restored=True))
    return found


def _class(block: nn.Module) -> str:
    return f"{type(block).__module__}.{type(block).__name__}"
