"""Token merging in Hugging Face transformers: VideoMAE for video, AST for audio.

VideoMAE   16 × 224 × 224 pixels, tubes of 2 × 16 × 16: 8 · 14 · 14 tokens, averaged at the end
AST        1024 × 128 mel bins, overlapping patches; its class and distillation tokens stay
"""

from typing import Any

from torch import Tensor, nn

from .merging_blocks import Adapter, Stack


class VideoMAE(Adapter):
    """VideoMAELayer."""

    def stacks(self, model: nn.Module) -> list[Stack]:
        found = _of_type(model, "VideoMAEModel")
        return [Stack(found.encoder.layer, found.embeddings.num_patches, 0)] if found else []

    def queries_keys_values(self, block: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attn = block.attention.attention
        return _heads(attn, block.layernorm_before(x), attn.query, attn.key, attn.value)

    def attended(self, block: Any, x: Tensor, y: Tensor) -> Tensor:
        return x + block.attention.output(y.transpose(1, 2).flatten(2), x)  # type: ignore[no-any-return]

    def after(self, block: Any, x: Tensor) -> Tensor:
        return block.output(block.intermediate(block.layernorm_after(x)), x)  # type: ignore[no-any-return]


class AST(Adapter):
    """ASTLayer."""

    def stacks(self, model: nn.Module) -> list[Stack]:
        found = _of_type(model, "ASTModel")
        tokens = found and found.embeddings.position_embeddings.shape[1]
        return [Stack(found.layers, tokens, 2)] if found else []

    def queries_keys_values(self, block: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attn = block.attention
        return _heads(attn, block.layernorm_before(x), attn.q_proj, attn.k_proj, attn.v_proj)

    def attended(self, block: Any, x: Tensor, y: Tensor) -> Tensor:
        return x + block.attention.o_proj(y.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def after(self, block: Any, x: Tensor) -> Tensor:
        return x + block.mlp(block.layernorm_after(x))  # type: ignore[no-any-return]


def _of_type(model: nn.Module, name: str) -> Any:
    """The first module whose class has this name: transformers need not be installed."""
    return next((m for m in model.modules() if type(m).__name__ == name), None)


def _heads(attn: Any, x: Tensor, *linears: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """Of x [B, N, C]: queries, scaled, keys and values, [B, heads, N, C / heads] each."""
    q, k, v = (y(x).unflatten(-1, (attn.num_attention_heads, -1)).transpose(1, 2) for y in linears)
    return q * attn.scaling, k, v
