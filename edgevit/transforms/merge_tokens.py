"""Token merging (ToMe): the r most alike pairs of tokens become one each, r fixed at build time.

    tokens    a0 b0 a1 b1 a2 ...       every other token is in A, the rest in B
    match     each a to the b whose key has the largest cosine with its own
    merge     the r best matched a's go into their b: x_b = Σ size · x / Σ size
    result    the protected ones, the a's that are left, in order, then all of B: N − r tokens

Bolya et al., Token Merging: Your ViT But Faster, ICLR 2023 (arXiv 2210.09461), section 3. What the
paper leaves open is decided so: exact ties go to the lower index, in both searches; tokens at the
front can be protected, which are neither merged into others nor others into them.

`merged_by_index` sorts and scatters, as a person would write it: what the forms that runtimes take,
those of merge_forms.py, are held against.
"""

import torch
from torch import Tensor

# Added to cosines, so that they lie between 1 and 3; see merge_forms.py.
OFFSET, NEVER = 2.0, -2.0


def split(x: Tensor) -> tuple[Tensor, Tensor]:
    """A and B: tokens 0, 2, 4, ... and 1, 3, 5, ... of [B, N, C], by views and slices alone."""
    batch, count, channels = x.shape
    if count % 2:
        x = torch.cat([x, x[:, :1] * 0], 1)
    pairs = x.reshape(batch, (count + 1) // 2, 2 * channels)
    return pairs[..., :channels], pairs[:, : count // 2, channels:]


def mask(tokens: int, protected: int) -> Tensor:
    """[⌈N/2⌉, ⌊N/2⌋]: `NEVER` where a protected token would take part, else `OFFSET`."""
    found = torch.full(((tokens + 1) // 2, tokens // 2), OFFSET)
    found[: (protected + 1) // 2] = NEVER
    found[:, : protected // 2] = NEVER
    return found


def similarity(keys: Tensor, masked: Tensor) -> Tensor:
    """Cosines of A with B and `mask`, [B, ⌈N/2⌉, ⌊N/2⌋], of keys [B, N, d]."""
    unit = keys * (keys.square().sum(-1, keepdim=True) + 1e-24).rsqrt()
    a, b = split(unit)
    return a @ b.transpose(1, 2) + masked


def most(tokens: int, protected: int = 0) -> int:
    """The largest r: no more than A holds besides what is protected, and none without a B."""
    a, b = (tokens + 1) // 2 - (protected + 1) // 2, tokens // 2 - protected // 2
    return max(0, a if b > 0 else 0)


def joined(x: Tensor, a: Tensor, b: Tensor, protected: int) -> Tensor:
    """What is left of A and B, [B, ·, C] each, with the protected ones of x in front."""
    parts = [a, b]
    if protected > 1:
        parts = [x[:, :protected], a[:, (protected + 1) // 2 :], b[:, protected // 2 :]]
    return torch.cat([p for p in parts if p.shape[1]], 1)  # delegates refuse an empty one


def merged_by_index(
    x: Tensor, keys: Tensor, sizes: Tensor, r: int, protected: int = 0
) -> tuple[Tensor, Tensor]:
    """(tokens [B, N − r, C], sizes [B, N − r, 1]) by argsort, gather and scatter: the reference."""
    best, partner = similarity(keys, mask(keys.shape[1], protected).to(keys)).max(-1)
    ranked = best.argsort(dim=-1, descending=True, stable=True)
    gone, kept = ranked[:, :r], ranked[:, r:].sort(-1).values
    partner = partner.gather(1, gone)

    def merge(t: Tensor) -> Tensor:
        a, b = split(t)
        across = t.shape[-1]
        moved = a.gather(1, gone[..., None].expand(-1, -1, across))
        b = b.scatter_add(1, partner[..., None].expand(-1, -1, across), moved)
        return joined(t, a.gather(1, kept[..., None].expand(-1, -1, across)), b, protected)

    total = merge(sizes)
    return merge(x * sizes) / total, total
