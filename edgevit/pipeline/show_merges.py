"""Which patches of a picture became one token, drawn over the picture.

The merging of each block is applied once more to tokens that only say of which patches they are
made, so that what is drawn is what the model computed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..errors import InputError
from ..prepare import built
from ..preprocess import Preprocess
from ..recipe import Recipe
from ..transforms.merge import merged, merging_of
from ..transforms.merge_forms import Merging

if TYPE_CHECKING:
    from PIL.Image import Image

SCALE = 2  # pixels drawn for each the model sees
GAP = 8


def show(*, recipe: dict[str, object], image: str, file: str) -> list[list[int]]:
    """Write a PNG of the picture beside its groups after a third, two thirds and all layers.

    Returns how many patches stand behind each token, per layer drawn. For a child process.
    """
    chosen = Recipe.from_dict(recipe)
    model = built(chosen)
    if model.preprocess is None:
        raise InputError(f"{chosen.title} says nothing of images: it has no preprocessing")
    assert chosen.tome is not None
    net = merged(model.module, chosen.tome)
    x = torch.from_numpy(model.preprocess.apply(Path(image)))
    if not hasattr(model.module, "patch_embed") or len(merging_of(net)) > 1:
        raise InputError(f"{chosen.title} is no plain vision transformer, the only kind drawn")
    groups = groups_of(net, x)
    depth = len(groups)
    drawn = sorted({max(1, depth // 3), max(1, 2 * depth // 3), depth})
    patches: tuple[int, int] = model.module.patch_embed.grid_size  # type: ignore
    plain = _picture(model.preprocess, x)
    panels = [plain, *(_grouped(plain, groups[i - 1].reshape(patches)) for i in drawn)]
    _beside(panels).save(file)
    return [np.unique(groups[i - 1], return_counts=True)[1].tolist() for i in drawn]


def groups_of(net: torch.nn.Module, x: torch.Tensor) -> list[np.ndarray]:
    """For each block of a `merged` model, the token that each patch of x [1, C, H, W] is in."""
    (blocks,) = merging_of(net)
    prefix = blocks.protected
    made_of = torch.eye(blocks.ones.shape[1])[None]  # tokens of which patches and prefix
    found = []
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    hooks = [
        m.register_forward_hook(lambda _m, given, _out: seen.append((given[1], given[2])))
        for m in blocks.merging
        if isinstance(m, Merging)
    ]
    try:
        with torch.no_grad():
            net(x)
            given = iter(seen)
            for merging in blocks.merging:
                if isinstance(merging, Merging):
                    made_of, _ = merging.forward(made_of, *next(given))
                found.append(made_of[0].argmax(0)[prefix:].numpy())
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _picture(preprocess: Preprocess, x: torch.Tensor) -> np.ndarray:
    """What the model sees, [H, W, 3] of 0..1."""
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (preprocess.mean, preprocess.std))
    return (x[0] * std + mean).clamp(0, 1).expand(3, -1, -1).permute(1, 2, 0).numpy()


def _grouped(picture: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Each group in its mean colour, with a line where the next begins."""
    height, width = (p // g for p, g in zip(picture.shape, groups.shape, strict=False))
    of = np.kron(groups, np.ones((height, width), int))
    flat = picture[: of.shape[0], : of.shape[1]]
    count = np.bincount(of.ravel())
    means = [np.bincount(of.ravel(), flat[..., c].ravel()) / np.maximum(count, 1) for c in range(3)]
    drawn = np.stack([m[of] for m in means], -1).repeat(SCALE, 0).repeat(SCALE, 1)
    of = of.repeat(SCALE, 0).repeat(SCALE, 1)
    edge = np.zeros(of.shape, bool)
    edge[1:] |= of[1:] != of[:-1]
    edge[:, 1:] |= of[:, 1:] != of[:, :-1]
    drawn[edge] = np.where(drawn[edge].mean(-1, keepdims=True) > 0.5, 0.0, 1.0)
    return drawn


def _beside(panels: Sequence[np.ndarray]) -> "Image":
    from PIL import Image

    first, *rest = panels
    shown = [first.repeat(SCALE, 0).repeat(SCALE, 1), *rest]
    height, width = max(p.shape[0] for p in shown), sum(p.shape[1] + GAP for p in shown) - GAP
    canvas = np.ones((height, width, 3))
    left = 0
    for panel in shown:
        canvas[: panel.shape[0], left : left + panel.shape[1]] = panel
        left += panel.shape[1] + GAP
    return Image.fromarray((canvas * 255).round().astype(np.uint8))
