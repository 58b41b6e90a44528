"""prune(): a narrower model that keeps a budget of latency, measured in the file itself.

    study ── what each layer costs in the runtime
    depth and widths for the budget ── rebuild ── convert ── measure beside the whole model
        ── correct, again
    train, with the whole model as the teacher ── convert ── count

In this process, since training may take hours; a training that stopped goes on where it was.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import nn

from ..checkpoint import metadata
from ..converters.artifact import Artifact
from ..converters.target import check_host, find, require
from ..prepare import built
from ..profiles.compare import Ratio
from ..template import sharing
from ..transforms.finetune import finetune, write
from ..transforms.prune_budget import Layer
from ..transforms.prune_counts import counted, size
from ..transforms.prune_structure import structure, widths
from .make import Watch
from .prune_bench import Bench
from .prune_latency import latency_table
from .prune_narrowed import narrowed
from .prune_study import Study
from .pruned import NEAR, Budget, Pruned
from .quantize import classes

TRIES = 6


def prune(
    found: Study, budget: Budget, bench: Bench, *, epochs: int = 0, rate: float = 1e-3
) -> Pruned:
    """The pruned model's weights in the bench's folder, and its file in a folder there.

    Both are named for target and budget.
    """
    require(bench.target, find(bench.target).needs)
    if budget.of == "latency":
        check_host(bench.target)
    name = f"{bench.target}-{budget.stem}"
    weights = bench.out / f"{found.recipe.stem}-{name}.safetensors"
    stopped = epochs > 0 and _checkpoint(weights).exists() and weights.exists()
    recipe = replace(found.recipe, weights=str(weights), pretrained=False)
    whole = found.model.module
    with sharing():
        base = replace(bench, watch=lambda job, stage: bench.watch(f"whole, {job}", stage)).file(
            found.recipe, bench.out
        )
        asked = budget.share or bench.share(budget.seconds or 0.0, base)

        def tried(at: float, net: nn.Module) -> _Try:
            faster = bench.faster(base, bench.file(recipe, bench.out / name))
            if budget.of == "latency":
                assert faster
                return _Try(at, net, faster, 1 / faster.value)
            now, all_ = (size(n, found.model.inputs, budget.of) for n in (net, whole))
            return _Try(at, net, faster, now / all_)

        if stopped:
            best = tried(asked, built(recipe).module)
        else:
            best = _searched(found, budget, bench, asked, weights, tried)
            _write(found, best.net, weights)
        net, made = best.net, bench.file(recipe, bench.out / name)
        macs, params = (_part(base, made, key) for key in ("macs", "parameters"))
        lessons, after = found.lessons, None
        rows = [(row.numpy()[None],) for row in lessons.load(lessons.held_out)] if lessons else []
        named, before = (classes(a, rows) if rows else None for a in (base, made))
        if epochs and lessons:
            _train(found, net, weights, epochs, rate, bench.watch)
            _write(found, net, weights)
            _checkpoint(weights).unlink(missing_ok=True)
            made = bench.file(recipe, bench.out / name)
            after = classes(made, rows)
    said = json.loads(metadata(weights)["pruned"])
    answers = (named, before, after, lessons.truth if lessons else None)
    measured = (asked, best.got, best.faster, macs, params)
    return Pruned(budget, bench.target, recipe, made, *measured, said, *answers)


class _Try(NamedTuple):
    """at: the share of the costs that was asked for. got: the share of the budget that came."""

    at: float
    net: nn.Module
    faster: Ratio | None
    got: float


def _searched(
    found: Study,
    budget: Budget,
    bench: Bench,
    asked: float,
    weights: Path,
    tried: Callable[[float, nn.Module], _Try],
) -> _Try:
    """The first that is near the budget, or else the nearest."""
    layers = _layers(found, budget, bench)
    tries: list[_Try] = []
    while len(tries) < TRIES:
        at = _aimed(asked, [(t.at, t.got) for t in tries])
        net = narrowed(found, layers, at, bench.tile, bench.watch)
        _write(found, net, weights)
        tries.append(tried(at, net))
        got = tries[-1].got
        bench.watch("budget", f"{got:.3f}× of the whole model's, asked {asked:.3f}×")
        if abs(got / asked - 1) <= NEAR:
            return tries[-1]
    return min(tries, key=lambda t: abs(t.got / asked - 1))


def _aimed(asked: float, tries: Sequence[tuple[float, float]]) -> float:
    """The share of the costs to try next: on straight lines between those tried."""
    at, got = zip(*sorted([(0.0, 0.0), *tries, (1.0, 1.0)]), strict=True)
    return float(np.interp(asked, np.maximum.accumulate(got), at))


def _layers(found: Study, budget: Budget, bench: Bench) -> list[Layer]:
    if budget.of == "latency":
        return latency_table(found.recipe, found.model, found.groups, bench)
    return counted(found.model.module, found.model.inputs, budget.of)


def _train(
    found: Study, net: nn.Module, weights: Path, epochs: int, rate: float, watch: Watch
) -> None:
    assert found.lessons
    finetune(
        net,
        found.lessons.batches,
        steps=found.lessons.steps,
        epochs=epochs,
        rate=rate,
        teacher=found.model.module,
        checkpoint=_checkpoint(weights),
        told=lambda epoch, loss: watch("train", f"epoch {epoch} of {epochs}, loss {loss:.3g}"),
    )
    watch("train", "done")


def _checkpoint(weights: Path) -> Path:
    return weights.with_suffix(".checkpoint.safetensors")


def _write(found: Study, net: nn.Module, weights: Path) -> None:
    """Put the weights of `net`, and what it is, into a file."""
    said = structure(net, found.model.module)
    facts = {"structure": said, "pruned": json.dumps(widths(said, found.model.module))}
    old = metadata(Path(found.recipe.weights)) if found.recipe.weights else {}
    write(weights, net.state_dict(), old | facts)


def _part(base: Artifact, made: Artifact, key: str) -> float:
    whole, now = (a.card.model[key] for a in (base, made) if a.card)
    return float(now / whole)
