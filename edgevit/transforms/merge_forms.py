"""Token merging as runtimes take it: one operator in the exported graph, of which there are forms.

    by_products  neither indices nor integers, which mobile delegates refuse: comparisons are
                 differences, scaled until they are 0 or 1, and selections are products with what
                 comes out
    by_topk      rows picked by their places, which ONNX Runtime is faster with

Which one a target gets is a graph rewrite's choice, by measurement, in converters/rewrites. The
definition is merge_tokens.py's.
"""

import torch
from torch import Tensor, nn

from edgevit.errors import InputError

from .merge_tokens import joined, mask, most, similarity, split

# Two cosines of fp32, both 2 larger than they are, differ by 2⁻²³ or more, or not at all, of fp16
# by 2⁻¹⁰. Two steps of 2¹² tell them apart, and neither overflows in fp16.
STEP = 2.0**12


class Merging(nn.Module):
    """`merged_by_index` of [1, N, C] or any batch as an operator; N and r are fixed."""

    mask: Tensor
    before: Tensor
    later: Tensor
    earlier: Tensor
    places: Tensor

    def __init__(self, tokens: int, r: int, protected: int = 0) -> None:
        super().__init__()
        if not 0 <= r <= most(tokens, protected):
            raise InputError(
                f"{r} of {tokens} tokens cannot merge: at most {most(tokens, protected)} can"
            )
        na, nb = (tokens + 1) // 2, tokens // 2
        self.protected = protected
        self.register_buffer("mask", mask(tokens, protected), persistent=False)
        self.register_buffer("before", torch.ones(na, na).tril(-1), persistent=False)
        # The same turned over, as a tensor of its own: XNNPACK's partitions share no constant.
        self.register_buffer("later", torch.ones(na, na).triu(1), persistent=False)
        self.register_buffer("earlier", torch.ones(nb, nb).triu(1), persistent=False)
        places = torch.arange(na - r, dtype=torch.float32).reshape(na - r, 1)
        self.register_buffer("places", places, persistent=False)

    def forward(self, x: Tensor, keys: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, N, C], keys [B, N, d], sizes [B, N, 1] → tokens and sizes of N − r."""
        constants = (self.mask, self.before, self.later, self.earlier, self.places)
        both = MERGE(x, keys, sizes, *constants, self.protected)
        return both[..., :-1], both[..., -1:]


def by_products(
    x: Tensor,
    keys: Tensor,
    sizes: Tensor,
    masked: Tensor,
    before: Tensor,
    later: Tensor,
    earlier: Tensor,
    places: Tensor,
    protected: int,
) -> Tensor:
    """Tokens and sizes, [B, N − r, C + 1], by products and clamps."""
    alike = similarity(keys, masked)
    best = alike[:, None].max(3, keepdim=True).values[:, 0]  # delegates want four axes
    into = _zero(alike - best)  # a row for each a, 1 at its best b's
    into = into * (1 - into @ earlier).relu()  # the first of them
    behind = _not(_sign(best.transpose(1, 2) - best) + before).sum(-1, keepdim=True)
    left = _not(behind - float(len(places)))  # of each a, whether r or more are ahead of it
    kept = left.transpose(1, 2)
    place = kept @ later  # of each a among those kept
    keep = (1 - (place - places).abs()).relu() * kept
    move = (into * (1 - left)).transpose(1, 2)
    size_a, size_b = split(sizes)
    total = size_b + move @ size_a
    a, b = split(x)
    merged = (b * size_b + move @ (a * size_a)) / total
    tokens = joined(x, keep @ a, merged, protected)
    return torch.cat([tokens, joined(sizes, keep @ size_a, total, protected)], 2)


def by_topk(
    x: Tensor,
    keys: Tensor,
    sizes: Tensor,
    masked: Tensor,
    before: Tensor,
    later: Tensor,
    earlier: Tensor,
    places: Tensor,
    protected: int,
) -> Tensor:
    """The same by rows picked; exact ties as ONNX defines TopK, the lower index first."""
    na, nb, kept = len(before), len(earlier), len(places)
    r = na - kept
    best, partner = similarity(keys, masked).max(-1)
    ranked = best.topk(na).indices
    gone, left = ranked[:, :r], ranked[:, r:].sort(-1).values
    front, b = torch.arange(protected), 2 * torch.arange(protected // 2, nb) + 1
    front, b = (t.expand(len(x), -1) for t in (front, b))
    staying = torch.cat([front, 2 * left[:, (protected + 1) // 2 :], b], 1)
    into = (partner.gather(1, gone) + kept)[:, None] == torch.arange(kept + nb)[:, None]
    move, moved = into.to(x.dtype), 2 * gone  # [B, N − r, r]; which tokens
    size, its = _rows(sizes, staying), _rows(sizes, moved)
    total = size + move @ its
    merged = _rows(x, staying) * (size / total) + (move / total) @ (_rows(x, moved) * its)
    return torch.cat([merged, total], 2)


torch.library.define(
    "edgevit::merge_tokens",
    "(Tensor x, Tensor keys, Tensor sizes, Tensor mask, Tensor before, Tensor later,"
    " Tensor earlier, Tensor places, int protected) -> Tensor",
)
# Composite: whoever does not know it gets the operators of this form.
torch.library.impl("edgevit::merge_tokens", "CompositeImplicitAutograd")(by_products)
MERGE = torch.ops.edgevit.merge_tokens.default


def _rows(x: Tensor, rows: Tensor) -> Tensor:
    """Of x [B, N, C] those of `rows` [B, ·]; a gather of single numbers is slower."""
    if len(x) == 1:
        return x[:, rows[0]]
    return x.gather(1, rows[..., None].expand(-1, -1, x.shape[2]))


def _not(x: Tensor) -> Tensor:
    """1 up to 0, 0 from 1 on; not as a clamp, which LiteRT's delegate takes at 0 and 6 only."""
    return (1 - x.relu()).relu()


def _zero(difference: Tensor) -> Tensor:
    """1 where it is 0, and 0 where it is less; it is never more."""
    same = (difference * STEP + 1).relu()
    for _ in range(_steps(difference)):
        same = (same * STEP + (1 - STEP)).relu()
    return same


def _sign(difference: Tensor) -> Tensor:
    """At most −1, 0, or at least 1."""
    for _ in range(_steps(difference)):
        difference = 1 - (2 - (difference * STEP + 1).relu()).relu()
    return difference * STEP


def _steps(x: Tensor) -> int:
    """Besides the last; nothing but the reference computes in float64."""
    return 4 if x.dtype == torch.float64 else 1
