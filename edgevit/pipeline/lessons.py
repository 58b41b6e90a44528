"""Pictures in two parts: every fifth is held out and only counted on, the others teach."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..errors import InputError
from ..models.model import Model
from ..pictures import Picture

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..preprocess import Preprocess

HELD_OUT = 5  # one in so many
BATCH = 64  # pictures at a time


@dataclass(frozen=True)
class Lessons:
    """labelled: all folders say their classes."""

    prepare: "Preprocess"
    held_out: tuple[Picture, ...]
    others: tuple[Picture, ...]
    labelled: bool

    @classmethod
    def of(cls, model: Model, pictures: Sequence[Picture]) -> Self:
        """Both from all folders alike, the others in an order that says nothing of the class."""
        if model.preprocess is None:
            raise InputError(f"{model.name} says nothing of images: it has no preprocessing")
        held_out = pictures[HELD_OUT - 1 :: HELD_OUT]
        if not held_out:
            raise InputError(f"{len(pictures)} pictures are too few: one in {HELD_OUT} is held out")
        order = np.random.default_rng(0).permutation(len(pictures))
        others = [pictures[i] for i in order if i % HELD_OUT != HELD_OUT - 1]
        labelled = all(p.label is not None for p in pictures)
        return cls(model.preprocess, tuple(held_out), tuple(others), labelled)

    @property
    def truth(self) -> np.ndarray | None:
        """Classes of the pictures held out, where the folders say them."""
        return np.array([p.label for p in self.held_out]) if self.labelled else None

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return len(_cut(self.others))

    def batches(self, epoch: int) -> Iterator[tuple["Tensor", "Tensor | None"]]:
        """All others, in an order of this epoch's own."""
        import torch

        order = np.random.default_rng(epoch).permutation(len(self.others))
        for b in _cut([self.others[i] for i in order]):
            yield self.load(b), torch.tensor([p.label for p in b]) if self.labelled else None

    def load(self, pictures: Sequence[Picture]) -> "Tensor":
        """[N, C, height, width], as the model takes them."""
        import torch

        return torch.from_numpy(np.concatenate([self.prepare.apply(p.file) for p in pictures]))

    def classes(self, module: "nn.Module") -> np.ndarray:
        """What the module names the pictures held out."""
        import torch

        with torch.no_grad():
            found = [module(self.load(b)).argmax(-1).numpy() for b in _cut(self.held_out)]
        return np.concatenate(found)


def fits(model: Model, truth: np.ndarray | None) -> None:
    """InputError for a model that names no classes, or others than the folders."""
    import torch

    with torch.no_grad():
        first: Any = model.module(*model.inputs)
    if len(model.inputs) > 1 or not isinstance(first, torch.Tensor) or first.dim() != 2:
        said = [*first.shape] if isinstance(first, torch.Tensor) else f"a {type(first).__name__}"
        raise InputError(
            f"pruned or trained is only what names its class: {model.name} has {len(model.inputs)} "
            f"inputs and gives {said}, not scores of [1, classes]"
        )
    if truth is not None and int(truth.max()) + 1 != first.shape[1]:
        raise InputError(
            f"--data has {int(truth.max()) + 1} folders, {model.name} names {first.shape[1]} "
            "classes: give one folder for each, or all pictures in one folder, without labels"
        )


def _cut(pictures: Sequence[Picture]) -> list[Sequence[Picture]]:
    return [pictures[i : i + BATCH] for i in range(0, len(pictures), BATCH)]
