"""study(): which channels of a model hang together, and what each matters; done once."""

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import weights
from ..errors import InputError
from ..models.model import Model
from ..pictures import Picture
from ..prepare import built
from ..recipe import Recipe
from ..transforms.prune_depth import blocks_of, divergence, shallower
from ..transforms.prune_groups import groups_of
from ..transforms.prune_importance import BLIND, MEASURES, Scores
from ..transforms.prune_narrow import Group
from .convert import Watch
from .lessons import Lessons, fits

IMAGES, PIXELS = 128, 2_000_000  # that importance and rebuilding look at, at most, and in sum


@dataclass(frozen=True)
class Study:
    """What is known of the whole model. refused: modules that stay as they are, and why.

    images: what importance and rebuilding look at, and as many others to judge the latter by.
    blocks: that can be left out, and what each then costs of the answers to the first of these.
    importance: the name of what `scores` are.
    """

    recipe: Recipe
    model: Model
    groups: tuple[Group, ...]
    refused: dict[str, str]
    scores: Scores
    lessons: Lessons | None
    images: tuple[Tensor, Tensor] | None
    blocks: dict[str, float]
    importance: str

    def digest(self, *more: object) -> str:
        """Of the weights, the pictures and all else that decides what `prune` makes."""
        shown = self.lessons.others + self.lessons.held_out if self.lessons else ()
        said = [weights.digest(self.model.module), self.importance, *(p.file for p in shown), *more]
        return hashlib.sha256("\n".join(map(str, said)).encode()).hexdigest()


def study(
    recipe: Recipe,
    pictures: Sequence[Picture],
    *,
    importance: str = "fisher",
    watch: Watch = lambda job, stage: None,
) -> Study:
    """Build the model; which of its channels hang together, and what each matters."""
    if not pictures and importance not in BLIND:
        raise InputError(
            f"--importance {importance} looks at pictures: give --data a folder of them, or choose "
            f"{' or '.join(BLIND)}, which are far worse"
        )
    recipe = recipe.absolute()
    watch("model", "build, find what hangs together")
    model = built(recipe)
    lessons = Lessons.of(model, pictures) if pictures else None
    fits(model, lessons.truth if lessons else None)
    groups, refused = groups_of(model.module, model.inputs)
    if not groups:
        raise InputError(f"{model.name} has no channels that can go: {'; '.join(refused.values())}")
    images, shown = None, []
    if lessons:
        many = max(8, min(IMAGES, PIXELS // model.inputs[0][0, 0].numel()))
        own, others = lessons.others[:many], lessons.others[many : 2 * many]
        images = (lessons.load(own), lessons.load(others or own))
        labels = [torch.tensor([p.label]) if lessons.labelled else None for p in own]
        shown = list(zip(images[0].split(1), labels, strict=True))
    watch("model", f"{importance} of {sum(g.units for g in groups)} units")
    scores = MEASURES[importance](model.module, groups, shown)
    blocks = lost_without(model, images[0]) if images else {}
    watch("model", "done")
    return Study(recipe, model, tuple(groups), refused, scores, lessons, images, blocks, importance)


def lost_without(model: Model, images: Tensor) -> dict[str, float]:
    """By block that can be left out: what the answers differ without it, in nats an image."""
    net, found = model.module, {}
    for block in blocks_of(net, model.inputs):
        # Whatever the model's own code raises, where it reads more of a block than its output.
        with contextlib.suppress(Exception):
            found[block] = divergence(shallower(net, [block]), net, images)
    return found
