"""Where torch-pruning's tracing does not see what hangs together: heads, and repeated channels.

attention    qkv.weight rows [3, H, d]   ┐ head h of all of these is one unit, and place j of all
             proj.weight columns [H, d]  ┘ heads is; torch-pruning takes others, and view() fails
modulation   fc1.weight rows [r, C]      ┐ channel c of the context meets r values; it takes
             context g's rows [C]        ┘ both for unrelated
merging      norm, reduction [4, C]      ── channel c meets 4 places; it takes one, or others
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .prune_narrow import Cut, Group

# What attention modules call the number of their heads, and of all heads' channels.
HEADS, CHANNELS = ("num_heads", "heads"), ("attn_dim", "dh", "all_head_dim")
WIDTHS = ("head_dim", "head_width")  # and those of one head


def laid_out(net: nn.Module) -> list[Group]:
    """Groups of all modules that have one of these layouts."""
    found: list[Group] = []
    for path, module in net.named_modules():
        for layout in (_heads, _repeated):
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
        units = rows.movedim(1 + axis, 0)
        read = Cut(f"{path}.proj.weight", 1, _rows(columns.movedim(axis, 0)))
        return [read, *(Cut(f"{path}.qkv.{k}", 0, _rows(units)) for k, _ in qkv.named_parameters())]

    def counts_of(*names: str) -> tuple[tuple[str, str], ...]:
        return tuple((path, n) for n in names if isinstance(getattr(module, n, None), int))

    cuts = cuts_by(0)
    if isinstance(getattr(module, "relative_position_bias_table", None), nn.Parameter):
        name = f"{path}.relative_position_bias_table"
        cuts.append(Cut(name, 1, _rows(torch.arange(heads).view(heads, 1))))
    yield Group(path, tuple(cuts), counts_of(*named, *CHANNELS), "heads")
    yield Group(f"{path}.qkv", tuple(cuts_by(1)), counts_of(*WIDTHS, *CHANNELS), "width")


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
    cuts = [Cut(f"{path}.fc1.{name}", 0, _rows(values)) for name, _ in fc1.named_parameters()]
    cuts += [Cut(f"{path}.context_layer.g.{name}", 0, own) for name, _ in g.named_parameters()]
    yield Group(path, (*cuts, Cut(f"{path}.fc2.weight", 1, _rows(values))))


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


def _rows(places: Tensor) -> tuple[tuple[int, ...], ...]:
    """By unit, the first axis."""
    return tuple(tuple(sorted(row.flatten().tolist())) for row in places)
