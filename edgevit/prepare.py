"""From a recipe to files that converters and verification need; runs in a child process."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from . import digest, exact, models, weights
from .errors import InputError
from .preprocess import Preprocess
from .program import export
from .recipe import Recipe
from .reference import PROGRAM, REFERENCE
from .transforms.embed_preprocess import EmbedPreprocess


def from_recipe(
    *, recipe: dict[str, Any], folder: str, precisions: Sequence[str], program: bool = True
) -> dict[str, Any]:
    """Build the recipe's model and `prepare` it, with the digests of the user's own sources."""
    chosen = Recipe.from_dict(recipe)
    model = models.build(
        chosen.model,
        weights=Path(chosen.weights) if chosen.weights else None,
        pretrained=chosen.pretrained,
        num_classes=chosen.num_classes,
        input_size=chosen.input_size,
        seed=chosen.seed,
    )
    facts = prepare(
        model.module,
        model.inputs,
        name=chosen.title,
        preprocess=model.preprocess,
        embed_preprocess=chosen.embed_preprocess,
        folder=Path(folder),
        precisions=precisions,
        program=program,
    )
    return facts | {"sources": {str(f): digest.of(f) for f in model.sources}}


def prepare(
    module: nn.Module,
    inputs: Sequence[Tensor],
    *,
    name: str,
    preprocess: Preprocess | None,
    embed_preprocess: bool,
    folder: Path,
    precisions: Sequence[str],
    program: bool = True,
) -> dict[str, Any]:
    """Write PROGRAM (when asked) and REFERENCE into `folder`; returns the card's model facts."""
    weights_sha256 = weights.digest(module)
    if embed_preprocess:
        if preprocess is None:
            raise InputError(f"--embed-preprocess: {name} has no preprocessing to embed")
        module = EmbedPreprocess(module, preprocess=preprocess)
        preprocess = replace(preprocess, embedded=True)
    made: dict[str, Any] = {"sources": {}, "weights_sha256": weights_sha256}
    if program:
        exported = export(module, inputs, name=name)
        exported.save(folder / PROGRAM)
        made |= {"facts": asdict(exported.facts)}
    held = exact.compute(module, inputs, preprocess=preprocess, precisions=precisions)
    held.save(folder / REFERENCE)
    return made | {"preprocess": preprocess.as_dict() if preprocess else None}
