"""A model as the rest of edgevit sees it, wherever it came from."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from edgevit.preprocess import Preprocess


@dataclass(frozen=True)
class Model:
    """A module in evaluation mode, float32, without gradients, and what belongs to it.

    name: as it was asked for. inputs: example inputs, batch 1. preprocess: None where nobody said
    what a picture goes through. sources: the user's files it was built from, for cache keys.
    """

    name: str
    module: nn.Module
    inputs: tuple[Tensor, ...]
    preprocess: Preprocess | None
    sources: tuple[Path, ...] = ()
