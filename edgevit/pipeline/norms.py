"""fold_norms(): a model whose layer norms became batch norms, and what that cost on pictures.

Every fifth picture is held out and only counted on; the others calibrate and, with `epochs`, train,
the model itself being the teacher. In this process, since training may take hours.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..pictures import Picture
from ..prepare import built
from ..preprocess import Preprocess
from ..recipe import Recipe
from .make import Watch

if TYPE_CHECKING:
    from torch import Tensor

HELD_OUT = 5  # one in so many
CALIBRATION, BATCH = 256, 64  # pictures at a time


@dataclass(frozen=True)
class Cost:
    """norms: replaced. right: of the held-out pictures, where the folders say their classes.

    same: of those that get the class that the model itself names. All three: before, calibrated,
    and after `epochs`, where there are any.
    """

    norms: int
    pictures: int
    held_out: int
    epochs: int
    same: tuple[float, ...]
    right: tuple[float, ...] | None

    def __str__(self) -> str:
        shares = self.right or self.same
        when = ("before", "calibrated", f"after {self.epochs} epochs")
        said = ", ".join(f"{100 * s:.1f} % {w}" for s, w in zip(shares, when, strict=False))
        what = "accuracy" if self.right else "same class as the model itself"
        return (
            f"{self.norms} layer norms → batch norms: another function. {what} on {self.held_out} "
            f"pictures held out of {self.pictures}: {said}"
        )


def fold_norms(
    recipe: Recipe,
    pictures: Sequence[Picture],
    *,
    epochs: int,
    rate: float,
    out: Path,
    watch: Watch = lambda job, stage: None,
) -> tuple[Recipe, Cost]:
    """The recipe of the changed model, with its weights in `out`, and what the change cost."""
    import torch
    from safetensors.torch import save_file

    from ..transforms import fold_norms as norms
    from ..transforms.finetune import finetune

    model = built(recipe)
    net, prepare = model.module, model.preprocess
    if prepare is None:
        raise InputError(f"{recipe.title} says nothing of images: it has no preprocessing")
    # From all folders alike, and in an order that says nothing of the class.
    held_out = list(pictures[HELD_OUT - 1 :: HELD_OUT])
    order = np.random.default_rng(0).permutation(len(pictures))
    others = [pictures[i] for i in order if i % HELD_OUT != HELD_OUT - 1]
    if not held_out:
        raise InputError(f"{len(pictures)} pictures are too few: one in {HELD_OUT} is held out")
    labelled = all(p.label is not None for p in pictures)

    def load(some: Sequence[Picture]) -> torch.Tensor:
        return torch.from_numpy(_loaded(prepare, some))

    def classes(module: torch.nn.Module) -> np.ndarray:
        with torch.no_grad():
            return np.concatenate([module(load(b)).argmax(-1).numpy() for b in _cut(held_out)])

    watch("norms", "calibrate")
    made = norms.foldable(net, keep=True)
    norms.calibrate(made, load(others[:CALIBRATION]))
    answers = [classes(net), classes(made)]
    name = f"{recipe.title}-batchnorm"
    out.mkdir(parents=True, exist_ok=True)
    kept = out / f"{name}.checkpoint.safetensors"
    if epochs:

        def batches(epoch: int) -> Iterator[tuple["Tensor", "Tensor | None"]]:
            order = np.random.default_rng(epoch).permutation(len(others))
            for b in _cut([others[i] for i in order]):
                yield load(b), torch.tensor([p.label for p in b]) if labelled else None

        finetune(
            made,
            batches,
            steps=len(_cut(others)),
            epochs=epochs,
            rate=rate,
            teacher=net,
            checkpoint=kept,
            before_step=lambda done: norms.set_share(made, max(0.0, 1 - 1.5 * done)),
            told=lambda epoch, loss: watch("norms", f"epoch {epoch} of {epochs}, loss {loss:.3g}"),
        )
        answers.append(classes(made))
    watch("norms", "done")
    norms.drop_layers(made)
    truth = np.array([p.label for p in held_out])
    cost = Cost(
        norms=len(norms.norms_of(made)),
        pictures=len(pictures),
        held_out=len(held_out),
        epochs=epochs,
        same=tuple(float((a == answers[0]).mean()) for a in answers),
        right=tuple(float((a == truth).mean()) for a in answers) if labelled else None,
    )
    weights = out / f"{name}.safetensors"
    tensors = {k: v.detach().clone() for k, v in made.state_dict().items()}
    save_file(tensors, weights, {"norms": str(cost), "cost": json.dumps(asdict(cost))})
    kept.unlink(missing_ok=True)
    return replace(recipe, norms="batch", weights=str(weights), pretrained=False), cost


def _loaded(prepare: Preprocess, pictures: Sequence[Picture]) -> np.ndarray:
    return np.concatenate([prepare.apply(p.file) for p in pictures])


def _cut(pictures: Sequence[Picture]) -> list[Sequence[Picture]]:
    return [pictures[i : i + BATCH] for i in range(0, len(pictures), BATCH)]
