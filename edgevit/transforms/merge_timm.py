"""Token merging in timm's vision transformers: DeiT, ViT and whatever else has their block.

Class, distillation and register tokens are protected. A transformer inside another model, or one
that returns all its tokens, gives each place its token back: somebody wants the grid.
"""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from edgevit.errors import InputError

from .merging_blocks import Adapter, Stack

NEEDED = ("norm1", "attn", "ls1", "norm2", "mlp", "ls2")
NEEDED_OF_ATTENTION = ("qkv", "q_norm", "k_norm", "num_heads", "scale", "norm", "proj")
REFUSED = {  # an attribute of a block or its attention → what the block then has
    "window_size": "windows",
    "relative_position_bias_table": "a relative-position bias",
    "rel_pos_bias": "a relative-position bias",
    "rel_pos": "a relative-position bias",
    "rel_pos_h": "a relative-position bias",
    "rope": "a rope of its own",
    "gate": "a gate",
}


class Timm(Adapter):
    """timm's plain block; in evaluation mode its dropouts do nothing."""

    def stacks(self, model: nn.Module) -> list[Stack]:
        found = transformer(model)
        if found is None or lacks(found.blocks, NEEDED, NEEDED_OF_ATTENTION):
            return []
        prefix = int(getattr(found, "num_prefix_tokens", 0))
        return [
            Stack(found.blocks, patches(found) + prefix, prefix, restored=wants_all(model, found))
        ]

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


def transformer(model: nn.Module) -> Any:
    """The model, or what is inside it, with patches and a list of `blocks`; None without."""
    for module in model.modules():
        blocks = getattr(module, "blocks", None)
        listed = isinstance(blocks, nn.Sequential | nn.ModuleList) and len(blocks)
        if listed and hasattr(module, "patch_embed"):
            return module
    return None


def patches(found: Any) -> int:
    count = getattr(found.patch_embed, "num_patches", None)
    if count is None:
        raise InputError(f"{type(found).__name__} does not say how many patches it has")
    return int(count)


def wants_all(model: nn.Module, found: Any) -> bool:
    """InputError where the blocks are read one by one, which merging blocks cannot be."""
    if any(type(m).__name__ == "FeatureGetterNet" for m in model.modules()):
        raise InputError(
            f"{type(found).__name__} with features_only is read block by block: tokens merge in a "
            "model that takes the last block's tokens"
        )
    return found is not model or getattr(found, "global_pool", None) == ""


def lacks(blocks: Any, needed: tuple[str, ...], of_attention: tuple[str, ...]) -> str:
    """What the first block that is of another kind lacks, and what it has too much; or ''."""
    for i, block in enumerate(blocks):
        attn = getattr(block, "attn", None)
        missing = [n for n in needed if not hasattr(block, n)]
        missing += [f"attn.{n}" for n in of_attention if not hasattr(attn, n)]
        words = ["it lacks " + ", ".join(missing)] * bool(missing)
        words += [f"it has {what}" for what in dict.fromkeys(_too_much(block, attn))]
        if words:
            kinds = f"a {type(block).__name__}" + f" with {type(attn).__name__}" * (
                attn is not None
            )
            return f"blocks.{i}, {kinds}: {', '.join(words)}"
    return ""


def refused(model: nn.Module) -> InputError:
    """Why no family took the model: the blocks that were looked at."""
    found = transformer(model)
    name = type(model).__name__
    if found is not None:
        said = lacks(found.blocks, NEEDED, NEEDED_OF_ATTENTION)
    else:
        seen: dict[str, str] = {}
        for place, m in model.named_modules():
            if "attention" in type(m).__name__.lower():
                has = ", ".join(dict.fromkeys(_too_much(m)))
                seen.setdefault(f"a {type(m).__name__}" + f" with {has}" * bool(has), place)
        kinds = ", ".join(sorted({type(m).__name__ for m in model.children()}))
        said = f"no `blocks` behind patches, only {kinds}; " + (
            "attention in " + ", ".join(f"{place}, {what}" for what, place in seen.items())
            if seen
            else "no attention anywhere"
        )
    return InputError(f"tokens cannot merge in {name}. Looked at: {said}")


def _too_much(*modules: Any) -> Iterator[str]:
    for module in modules:
        for name, what in REFUSED.items():
            value = getattr(module, name, None)
            if value is not None and (not isinstance(value, int) or value):  # a window of 0 is none
                yield what
