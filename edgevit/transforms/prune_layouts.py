"""Where torch-pruning's tracing does not see what hangs together: heads, and repeated channels.

attention    qkv.weight rows [3, H, d]   ┐ head h of all of these is one unit, and place j of all
             proj.weight columns [H, d]  ┘ heads is; torch-pruning takes others, and view() fails
wide values  qkv.weight rows [H, 2k + v] ┐ head h is one unit; it takes places of all heads, or
attention    proj.weight columns [H, v]  ┘ none
modulation   fc1.weight rows [r, C]      ┐ channel c of the context meets r values; it takes
             context g's rows [C]        ┘ both for unrelated
linear       qkv_proj.weight rows [1 + 2C] ┐ channel c is key c, value c and out_proj's column
attention    out_proj.weight columns [C]   ┘ c; it takes keys for other channels' values
merging      norm, reduction [4, C]      ── channel c meets 4 places; it takes one, or others
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .prune_narrow import Cut, Group, Rows

# What attention modules call the number of their heads, and of all heads' channels.
HEADS, CHANNELS = ("num_heads", "heads"), ("attn_dim", "dh", "all_head_dim")
WIDTHS = ("head_dim", "head_width")  # and those of one head
BETWEEN = ("propagate", "propagated_norm")  # heads and proj: what works channel by channel


def laid_out(net: nn.Module) -> list[Group]:
    """Groups of all modules that have one of these layouts."""
    found: list[Group] = []
    for path, module in net.named_modules():
        for layout in (_heads, _heads_of_wide_values, _repeated, _linear_attention):
            found += layout(path, module)
    return found


def _heads(path: str, module: nn.Module) -> Iterator[Group]:
    """timm's ViT and Swin, and our own: qkv in one, rows [3, H, d]; a bias per head, where any."""
    qkv, proj = (getattr(module, name, None) for name in ("qkv", "proj"))
    named = [name for name in HEADS if isinstance(getattr(module, name, None), int)]
    if not named or not isinstance(qkv, nn.Linear) or not isinstance(proj, nn.Linear):
        return
    heads = getattr(module, named[0])
    if qkv.out_features != 3 * proj.in_features or proj.in_features % heads:
        return
    rows = torch.arange(qkv.out_features).view(3, heads, -1)
    columns = torch.arange(proj.in_features).view(heads, -1)

    def cuts_by(axis: int) -> list[Cut]:
        written, read = (_rows(t.movedim(a, 0)) for t, a in ((rows, 1 + axis), (columns, axis)))
        cuts = [Cut(f"{path}.proj.weight", 1, read), *_along(f"{path}.qkv", qkv, written)]
        for name in BETWEEN:
            if isinstance(layer := getattr(module, name, None), nn.Module):
                cuts += _along(f"{path}.{name}", layer, read)
        return cuts

    def counts_of(*names: str) -> tuple[tuple[str, str], ...]:
        return tuple((path, n) for n in names if isinstance(getattr(module, n, None), int))

    cuts = cuts_by(0)
    if isinstance(getattr(module, "relative_position_bias_table", None), nn.Parameter):
        name = f"{path}.relative_position_bias_table"
        cuts.append(Cut(name, 1, _rows(torch.arange(heads).view(heads, 1))))
    yield Group(path, tuple(cuts), counts_of(*named, *CHANNELS), "heads")
    yield Group(f"{path}.qkv", tuple(cuts_by(1)), counts_of(*WIDTHS, *CHANNELS), "width")


def _heads_of_wide_values(path: str, module: nn.Module) -> Iterator[Group]:
    """timm's EfficientFormer: qkv writes a head's query, key and longer value side by side."""
    qkv, proj = (getattr(module, name, None) for name in ("qkv", "proj"))
    names = ("num_heads", "key_dim", "val_dim")
    heads, key, value = (getattr(module, name, None) for name in names)
    if not isinstance(heads, int) or not isinstance(key, int) or not isinstance(value, int):
        return
    if not isinstance(qkv, nn.Linear) or not isinstance(proj, nn.Linear):
        return
    if qkv.out_features != heads * (2 * key + value) or proj.in_features != heads * value:
        return
    cuts = _along(f"{path}.qkv", qkv, _rows(torch.arange(qkv.out_features).view(heads, -1)))
    columns = _rows(torch.arange(proj.in_features).view(heads, -1))
    cuts.append(Cut(f"{path}.proj.weight", 1, columns))
    if isinstance(getattr(module, "attention_biases", None), nn.Parameter):
        cuts.append(Cut(f"{path}.attention_biases", 0, _rows(torch.arange(heads).view(heads, 1))))
    counts = tuple((path, name) for name in ("num_heads", "key_attn_dim", "val_attn_dim"))
    yield Group(path, tuple(cuts), counts, "heads")


def _repeated(path: str, module: nn.Module) -> Iterator[Group]:
    """EfficientMod: fc1 writes r values for each channel of the context, value k·C + c for c."""
    fc1, fc2, context = (getattr(module, name, None) for name in ("fc1", "fc2", "context_layer"))
    g = getattr(context, "g", None)
    if not all(isinstance(layer, nn.Linear) for layer in (fc1, fc2, g)):
        return
    assert isinstance(fc1, nn.Linear)
    assert isinstance(g, nn.Linear)
    if fc1.out_features % g.out_features:
        return
    values = torch.arange(fc1.out_features).view(-1, g.out_features).T
    own = _rows(torch.arange(g.out_features).view(-1, 1))
    cuts = [*_along(f"{path}.fc1", fc1, _rows(values)), *_along(f"{path}.context_layer.g", g, own)]
    yield Group(path, (*cuts, Cut(f"{path}.fc2.weight", 1, _rows(values))))


def _linear_attention(path: str, module: nn.Module) -> Iterator[Group]:
    """timm's MobileViTv2: qkv_proj writes a query of one channel, then keys, then values."""
    layer, read = (getattr(module, name, None) for name in ("qkv_proj", "out_proj"))
    if not isinstance(layer, nn.Conv2d) or not isinstance(read, nn.Conv2d):
        return
    width = read.in_channels
    if layer.out_channels != 1 + 2 * width or getattr(module, "embed_dim", None) != width:
        return
    keys = 1 + torch.arange(width)
    cuts = _along(f"{path}.qkv_proj", layer, _rows(torch.stack([keys, keys + width], 1)))
    cuts.append(Cut(f"{path}.out_proj.weight", 1, _rows(keys[:, None] - 1)))
    yield Group(path, tuple(cuts), ((path, "embed_dim"),))


def repeats(net: nn.Module) -> dict[tuple[str, int], int]:
    """Axes of tensors, and after how many places along each the same channels come again.

    Swin lays the channels of 2 × 2 positions side by side.
    """
    found = {}
    for path, module in net.named_modules():
        reduction, dim = (getattr(module, name, None) for name in ("reduction", "dim"))
        if not isinstance(reduction, nn.Linear) or reduction.in_features == dim:
            continue
        if isinstance(dim, int) and reduction.in_features % dim == 0:
            found[f"{path}.reduction.weight", 1] = dim
            for name, tensor in module.named_parameters():
                if name.startswith("norm.") and len(tensor) == reduction.in_features:
                    found[f"{path}.{name}", 0] = dim
    return found


def _along(path: str, layer: nn.Module, rows: Rows) -> list[Cut]:
    """These of all that the layer writes."""
    return [Cut(f"{path}.{name}", 0, rows) for name, _ in layer.named_parameters()]


def _rows(places: Tensor) -> Rows:
    """By unit, the first axis."""
    return tuple(tuple(sorted(row.flatten().tolist())) for row in places)
