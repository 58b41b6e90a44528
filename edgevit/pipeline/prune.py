"""prune(): a narrower model that keeps a budget of latency, measured in the file itself.

    study ── what each layer costs in the runtime
    depth and widths for the budget ── rebuild ── convert ── measure beside the whole model
        ── correct, again
    train, with the whole model as the teacher ── convert ── count

In this process, since training may take hours; a training that stopped goes on where it was.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..checkpoint import metadata
from ..converters.artifact import Artifact
from ..errors import InputError
from ..prepare import built
from ..template import sharing
from ..transforms.finetune import finetune, write
from ..transforms.prune_budget import Layer
from ..transforms.prune_counts import counted, size
from ..transforms.prune_structure import joined, structure, widths
from .lessons import Lessons
from .make import Watch
from .prune_bench import Bench
from .prune_latency import latency_table
from .prune_search import Try, searched
from .prune_study import Study
from .pruned import Budget, Pruned
from .quantize import classes


def prune(
    found: Study,
    budget: Budget,
    bench: Bench,
    *,
    epochs: int = 0,
    rate: float = 1e-3,
    ema: float = 0.0,
) -> Pruned:
    """The pruned model's weights in the bench's folder, and its file in a folder there.

    Both are named for target and budget.
    """
    bench.ready(budget)
    name = f"{bench.target}-{budget.stem}"
    weights = bench.out / f"{found.recipe.stem}-{name}.safetensors"
    recipe = replace(found.recipe, weights=str(weights), pretrained=False)
    if recipe == found.recipe:
        raise InputError(f"{weights} would be written over itself: choose another -o")
    made_by = found.digest(budget, bench.target, bench.tile)
    stopped = (
        epochs > 0 and _checkpoint(weights).exists() and metadata(weights).get("by") == made_by
    )
    whole = found.model.module
    with sharing():
        base = replace(bench, watch=lambda job, stage: bench.watch(f"whole, {job}", stage)).file(
            found.recipe, bench.out
        )
        asked = budget.share or bench.share(budget.seconds or 0.0, base)

        def tried(at: float, net: nn.Module) -> Try:
            _write(found, net, weights, made_by)
            found_ = bench.beside(base, bench.file(recipe, bench.out / name))
            faster, seconds = found_ or (None, 0.0)
            if budget.of != "latency":
                now, all_ = (size(n, found.model.inputs, budget.of) for n in (net, whole))
                return Try(at, net, faster, now / all_)
            assert faster
            got = asked * seconds / budget.seconds if budget.seconds else 1 / faster.value
            return Try(at, net, faster, got)

        if stopped:
            best = tried(asked, built(recipe).module)
        else:
            _checkpoint(weights).unlink(missing_ok=True)
            best = searched(found, _layers(found, budget, bench), bench, asked, tried)
            _write(found, best.net, weights, made_by)
        net, made = best.net, bench.file(recipe, bench.out / name)
        macs, params = (_part(base, made, key) for key in ("macs", "parameters"))
        lessons, after = found.lessons, None
        named, before = (_classes(lessons, a) for a in (base, made))
        if epochs and lessons:
            _train(found, net, weights, epochs, rate, ema, bench.watch)
            _write(found, net, weights, made_by)
            _checkpoint(weights).unlink(missing_ok=True)
            made = bench.file(recipe, bench.out / name)
            after = _classes(lessons, made)
    said = json.loads(metadata(weights)["pruned"])
    answers = (named, before, after, lessons.truth if lessons else None)
    measured = (asked, best.got, best.faster, macs, params)
    return Pruned(budget, bench.target, recipe, made, *measured, said, *answers)


def _layers(found: Study, budget: Budget, bench: Bench) -> list[Layer]:
    if budget.of == "latency":
        return latency_table(found.recipe, found.model, found.groups, bench)
    return counted(found.model.module, found.model.inputs, budget.of)


def _train(
    found: Study, net: nn.Module, weights: Path, epochs: int, rate: float, ema: float, watch: Watch
) -> None:
    """On the accelerator that torch finds, if any."""
    assert found.lessons
    teacher, place = found.model.module, torch.accelerator.current_accelerator(True) or "cpu"
    try:
        finetune(
            net.to(place),
            found.lessons.batches,
            steps=found.lessons.steps,
            epochs=epochs,
            rate=rate,
            teacher=teacher.to(place),
            ema=ema,
            checkpoint=_checkpoint(weights),
            told=lambda epoch, loss: watch("train", f"epoch {epoch} of {epochs}, loss {loss:.3g}"),
        )
    finally:
        for either in (net, teacher):
            either.to("cpu")
    watch("train", "done")


def _checkpoint(weights: Path) -> Path:
    return weights.with_suffix(".checkpoint.safetensors")


def _classes(lessons: Lessons | None, artifact: Artifact) -> np.ndarray | None:
    """Of the pictures held out, one at a time."""
    if not lessons:
        return None
    return classes(artifact, ((lessons.load([p]).numpy(),) for p in lessons.held_out))


def _write(found: Study, net: nn.Module, weights: Path, made_by: str) -> None:
    """Put the weights of `net`, and what it is, into a file."""
    said = structure(net, found.model.module)
    old = metadata(Path(found.recipe.weights)) if found.recipe.weights else {}
    was = json.loads(old.get("pruned", "{}"))
    now = widths(said, found.model.module)
    now = was | {layer: [was.get(layer, both)[0], both[1]] for layer, both in now.items()}
    if "structure" in old:
        said = joined(old["structure"], said)
    facts = {"structure": said, "pruned": json.dumps(now), "by": made_by}
    write(weights, net.state_dict(), old | facts)


def _part(base: Artifact, made: Artifact, key: str) -> float:
    whole, now = (a.card.model[key] for a in (base, made) if a.card)
    return float(now / whole)
