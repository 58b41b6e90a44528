"""The model of a recipe, or one given from Python, brought to the files that the jobs share."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import sandbox
from ..recipe import Recipe
from ..sandbox import Child


@dataclass(frozen=True)
class Limits:
    """Of each child process."""

    timeout_s: float = sandbox.TIMEOUT_S
    memory_bytes: int = sandbox.MEMORY_BYTES

    def child(self, log: Path | None = None) -> Child:
        return Child(log=log, timeout_s=self.timeout_s, memory_bytes=self.memory_bytes, torch=True)


def prepare_live(
    model: tuple[Any, Sequence[Any]],
    recipe: Recipe,
    precisions: Sequence[str],
    folder: Path,
    *,
    program: bool = True,
) -> dict[str, Any]:
    """`prepare` here: a live module cannot cross to a child, and only torch runs.

    It works on a copy, brought to what a model built by name is: float32, on the CPU, in evaluation
    mode and without gradients.
    """
    from ..prepare import prepare
    from ..preprocess import Preprocess

    module = copy.deepcopy(model[0]).cpu().float().eval().requires_grad_(False)
    inputs = [t.detach().cpu() for t in model[1]]
    found = getattr(module, "preprocess", None)
    return prepare(
        module,
        [t.float() if t.is_floating_point() else t for t in inputs],
        name=recipe.title,
        preprocess=found if isinstance(found, Preprocess) else None,
        embed_preprocess=recipe.embed_preprocess,
        tome=recipe.tome,
        strict=recipe.strict,
        folder=folder,
        precisions=precisions,
        program=program,
        calibrate=recipe.calibrate,
        samples=recipe.samples,
    )


def prepare_recipe(
    recipe: Recipe,
    precisions: Sequence[str],
    folder: Path,
    limits: Limits,
    *,
    program: bool = True,
) -> dict[str, Any]:
    """`prepare` in a child: weights, the user's code and downloads stay out of this process."""
    with limits.child(folder / "model.log") as child:
        facts: dict[str, Any] = child.call(
            "edgevit.prepare:from_recipe",
            recipe=recipe.as_dict(),
            folder=folder,
            precisions=precisions,
            program=program,
        )
    return facts
