"""From a recipe to files that converters and verification need; runs in a child process."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from . import calibration, digest, exact, models, weights
from .checkpoint import metadata
from .errors import InputError
from .models.model import Model
from .preprocess import Preprocess
from .program import export
from .recipe import Recipe, Tome
from .reference import CALIBRATED, CALIBRATION, PROGRAM, REFERENCE, Arrays, reference_of
from .transforms.embed_preprocess import EmbedPreprocess
from .transforms.fold_norms import foldable
from .transforms.merge import merged, merging_of
from .transforms.prune_structure import restructured


def from_recipe(
    *, recipe: dict[str, Any], folder: str, precisions: Sequence[str], program: bool = True
) -> dict[str, Any]:
    """Build the recipe's model and `prepare` it, with the digests of the user's own sources."""
    chosen = Recipe.from_dict(recipe)
    model = built(chosen)
    facts = prepare(
        model.module,
        model.inputs,
        name=chosen.title,
        preprocess=model.preprocess,
        embed_preprocess=chosen.embed_preprocess,
        tome=chosen.tome,
        strict=chosen.strict,
        folder=Path(folder),
        precisions=precisions,
        program=program,
        calibrate=chosen.calibrate,
        samples=chosen.samples,
    )
    if chosen.weights and "facts" in facts:
        said = {"norms": "batch norms"} if chosen.norms else {}
        said |= metadata(Path(chosen.weights))
        facts["facts"] |= {k: said[k] for k in ("norms", "tuned") if k in said}
        if "pruned" in said:  # by layer, channels it writes, before and now
            facts["facts"]["pruned"] = json.loads(said["pruned"])
    return facts | {"sources": {str(f): digest.of(f) for f in model.sources}}


def built(recipe: Recipe) -> Model:
    """The recipe's model, before anything is done to it that keeps its weights."""
    weights_file = Path(recipe.weights) if recipe.weights else None
    narrow = metadata(weights_file).get("structure") if weights_file else None
    model = models.build(
        recipe.model,
        weights=None if recipe.norms or narrow else weights_file,
        pretrained=recipe.pretrained,
        num_classes=recipe.num_classes,
        input_size=recipe.input_size,
        seed=recipe.seed,
    )
    if not recipe.norms and not narrow:
        return model
    assert weights_file
    module = foldable(model.module).requires_grad_(False) if recipe.norms else model.module
    module = restructured(module, narrow) if narrow else module
    weights.load_into(module, weights_file)
    return replace(model, module=module)


def prepare(
    module: nn.Module,
    inputs: Sequence[Tensor],
    *,
    name: str,
    preprocess: Preprocess | None,
    embed_preprocess: bool,
    tome: Tome | None,
    strict: bool,
    folder: Path,
    precisions: Sequence[str],
    program: bool = True,
    calibrate: str | None = None,
    samples: int = 128,
) -> dict[str, Any]:
    """Write PROGRAM (when asked) and REFERENCE into `folder`; returns the card's model facts."""
    weights_sha256 = weights.digest(module)
    more: dict[str, Any] = {}
    if tome is not None:
        module = merged(module, tome, inputs=inputs, strict=strict)
        more["merged"] = [r for blocks in merging_of(module) for r in blocks.counts]
    if embed_preprocess:
        if preprocess is None:
            raise InputError(f"--embed-preprocess: {name} has no preprocessing to embed")
        module = EmbedPreprocess(module, preprocess=preprocess)
        preprocess = replace(preprocess, embedded=True)
    made: dict[str, Any] = {"sources": {}, "weights_sha256": weights_sha256}
    held: dict[str, Sequence[Arrays]] = {REFERENCE: ()}
    if calibrate:
        arrays = [t.numpy() for t in inputs]
        usual = calibration.rows_of(calibrate, arrays, preprocess, samples=samples)
        calibration.save(usual, folder / CALIBRATION)
        held[CALIBRATED] = usual
        more["calibration_sha256"] = made["calibration_sha256"] = calibration.digest(usual)
    if program:
        exported = export(module, inputs, name=name)
        exported.save(folder / PROGRAM)
        made |= {"facts": asdict(exported.facts) | more}
    for file, rows in held.items():
        if its := [p for p in precisions if reference_of(p) == file]:
            exact.compute(
                module,
                inputs,
                preprocess=preprocess,
                precisions=its,
                decides=tome is not None,
                usual=rows,
            ).save(folder / file)
    return made | {"preprocess": preprocess.as_dict() if preprocess else None}
