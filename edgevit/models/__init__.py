"""Models by name: edgevit's own, the vouched ones of timm, any of timm, and the user's files."""

from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import InputError, UnknownName
from edgevit.lookup import unknown

from .zoo import MODELS, Asked, Entry

if TYPE_CHECKING:
    from .model import Model

__all__ = ["MODELS", "Entry", "build"]


def build(
    name: str,
    *,
    weights: Path | None = None,
    pretrained: bool = False,
    num_classes: int | None = None,
    input_size: int | None = None,
    seed: int = 0,
) -> "Model":
    """The model called `name`, ready for export.

    name: a key of MODELS, "timm:NAME", or "path/to/file.py:callable". weights: a checkpoint to
    load. pretrained: download timm's weights. input_size: the side of the square input in pixels.
    seed: of the weights that nothing else fills, by `drawn` but for a user's file; the caller's
    random state stays as it was.
    Raises UnknownName, WeightsError, or InputError for what the model refuses.
    """
    # torch takes seconds to import, and a listing of MODELS needs none of it.
    import torch

    if weights is not None and pretrained:
        raise InputError(f"{name}: `weights` and `pretrained` exclude each other; give one of them")
    for key, value in (("num_classes", num_classes), ("input_size", input_size)):
        if value is not None and value < 1:
            raise InputError(f"{key} is {value}; give at least 1")
    asked = Asked(pretrained, num_classes, input_size, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _build(name, asked)
    if weights is not None:
        from edgevit.weights import load_into

        load_into(model.module, weights)
    elif not pretrained and not model.sources:
        from .drawn import draw

        draw(model.module, model.inputs[0].shape, seed=seed)
    model.module.float().eval().requires_grad_(False)
    return model


def _build(name: str, asked: Asked) -> "Model":
    from . import user, zoo

    entry = MODELS.get(name)
    if entry is not None and entry.timm_name is None:
        return zoo.build_own(name, asked=asked)
    if entry is not None and entry.timm_name is not None:
        return zoo.build_timm(name, timm_name=entry.timm_name, asked=asked)
    if name.startswith("timm:"):
        return zoo.build_timm(name, timm_name=name.removeprefix("timm:"), asked=asked)
    if ":" in name or name.endswith(".py"):
        return user.build_user(name, asked=asked)
    import timm

    if timm.is_model(name):
        raise UnknownName(f"unknown model {name!r}; timm has it: write 'timm:{name}'")
    raise UnknownName(unknown("model", name, MODELS))
