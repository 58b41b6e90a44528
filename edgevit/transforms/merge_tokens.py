"""Token merging (ToMe): the r most alike pairs of tokens become one each, r fixed at build time.

    tokens    a0 b0 a1 b1 a2 ...       every other token is in A, the rest in B
    match     each a to the b whose key has the largest cosine with its own
    merge     the r best matched a's go into their b: x_b = Σ size · x / Σ size
    result    the protected ones, the a's that are left, in order, then all of B: N − r tokens

Bolya et al., Token Merging: Your ViT But Faster, ICLR 2023 (arXiv 2210.09461), section 3. What the
paper leaves open is decided so: exact ties go to the lower index, in both searches; tokens at the
front can be protected, which are neither merged into others nor others into them.

Two forms of one definition. `merged_by_index` sorts and scatters, as a person would write it.
`Merging` has neither indices nor integers, which mobile delegates refuse: comparisons are
differences, scaled until they are 0 or 1, and selections are products with what comes out.
"""

import torch
from torch import Tensor, nn

from edgevit.errors import InputError

# Cosines are compared with 2 added: between 1 and 3 two numbers of fp32 that differ do so by 2⁻²³
# or more, of fp16 by 2⁻¹⁰. Two steps of 2¹² tell them apart, and neither overflows in fp16.
OFFSET, NEVER = 2.0, -2.0
STEP = 2.0**12


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


def joined(a: Tensor, b: Tensor, protected: int) -> Tensor:
    """What is left of A and B, [B, ·, C] each, with the protected tokens in front as they stood."""
    if protected < 2:
        return torch.cat([a, b], 1)
    of_a, of_b = (protected + 1) // 2, protected // 2
    front = [t[:, i : i + 1] for i in range(of_a) for t in (a, b)[: 1 + (i < of_b)]]
    return torch.cat([*front, a[:, of_a:], b[:, of_b:]], 1)


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
        return joined(a.gather(1, kept[..., None].expand(-1, -1, across)), b, protected)

    total = merge(sizes)
    return merge(x * sizes) / total, total


class Merging(nn.Module):
    """The same of [1, N, C] or any batch, in products and clamps; N and r are fixed."""

    mask: Tensor
    before: Tensor
    earlier: Tensor
    later: Tensor
    places: Tensor

    def __init__(self, tokens: int, r: int, protected: int = 0) -> None:
        super().__init__()
        if not 0 <= r <= most(tokens, protected):
            raise InputError(
                f"{r} of {tokens} tokens cannot merge: at most {most(tokens, protected)} can"
            )
        na, nb = (tokens + 1) // 2, tokens // 2
        self.protected = protected
        self.r = float(r)  # an integer would be a conversion of its own
        self.register_buffer("mask", mask(tokens, protected), persistent=False)
        self.register_buffer("before", torch.ones(na, na).tril(-1), persistent=False)
        # The same turned over, as a tensor of its own: XNNPACK's partitions share no constant.
        self.register_buffer("later", torch.ones(na, na).triu(1), persistent=False)
        self.register_buffer("earlier", torch.ones(nb, nb).triu(1), persistent=False)
        places = torch.arange(na - r, dtype=torch.float32).reshape(na - r, 1)
        self.register_buffer("places", places, persistent=False)

    def forward(self, x: Tensor, keys: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, N, C], keys [B, N, d], sizes [B, N, 1] → tokens and sizes of N − r."""
        alike = similarity(keys, self.mask)
        best = alike[:, None].max(3, keepdim=True).values[:, 0]  # delegates want four axes
        into = _zero(alike - best)  # a row for each a, 1 at its best b's
        into = into * (1 - _decided(into @ self.earlier))  # the first of them
        ahead = _decided(_sign(best.transpose(1, 2) - best) + self.before)
        rank = ahead.sum(-1, keepdim=True)  # of each a, 0 the best matched
        gone = _decided(self.r - rank)
        kept = 1 - gone.transpose(1, 2)
        place = kept @ self.later  # of each a among those kept
        keep = _decided(1 - (place - self.places).abs()) * kept
        move = (into * gone).transpose(1, 2)
        size_a, size_b = split(sizes)
        total = size_b + move @ size_a
        a, b = split(x)
        merged = (b * size_b + move @ (a * size_a)) / total
        return joined(keep @ a, merged, self.protected), joined(
            keep @ size_a, total, self.protected
        )


def _decided(x: Tensor) -> Tensor:
    """0 below 0, 1 above 1; not as a clamp, which LiteRT's delegate takes at 0 and 6 only."""
    return 1 - (1 - x.relu()).relu()


def _zero(difference: Tensor) -> Tensor:
    """1 where it is 0, and 0 where it is less; it is never more."""
    for _ in range(_steps(difference)):
        difference = (difference * STEP + 1).relu() - 1
    return (difference * STEP + 1).relu()


def _sign(difference: Tensor) -> Tensor:
    """At most −1, 0, or at least 1."""
    for _ in range(_steps(difference)):
        difference = 1 - (2 - (difference * STEP + 1).relu()).relu()
    return difference * STEP


def _steps(x: Tensor) -> int:
    """Besides the last; nothing but the reference computes in float64."""
    return 4 if x.dtype == torch.float64 else 1
