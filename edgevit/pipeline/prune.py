"""prune(): a narrower model that keeps a budget of latency, measured in the file itself.

    groups ── what each unit matters ── what each layer costs in the runtime
    widths for the budget ── rebuild ── convert ── measure beside the whole model ── correct, again
    train, with the whole model as the teacher ── convert ── count

In this process, since training may take hours.
"""

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from ..checkpoint import metadata
from ..converters.artifact import Artifact
from ..converters.target import check_host, find, require
from ..errors import InputError, NotOnThisSystem, sound
from ..profiles.compare import Ratio, ratio
from ..recipe import Recipe
from ..template import sharing
from ..transforms.finetune import finetune, write
from ..transforms.prune_budget import Costs, allocate, strongest
from ..transforms.prune_counts import counted, size
from ..transforms.prune_narrow import Group, without
from ..transforms.prune_rebuild import rebuild
from ..transforms.prune_structure import structure, widths
from .convert import Limits, Watch, convert
from .profile import item_of, session
from .prune_latency import latency_table
from .prune_study import Study
from .pruned import NEAR, Budget, Pruned
from .quantize import classes

TRIES = 6


def prune(
    found: Study,
    budget: Budget,
    *,
    target: str,
    out: Path,
    epochs: int = 0,
    rate: float = 1e-3,
    tile: int,
    threads: int = 1,
    rounds: int = 30,
    limits: Limits = Limits(),
    watch: Watch = lambda job, stage: None,
) -> Pruned:
    """The pruned model's weights in `out`, and its file in a folder there, named for the budget."""
    require(target, find(target).needs)
    if budget.of == "latency":
        check_host(target)
    whole_net = found.model.module
    weights = out / f"{found.recipe.stem}-{budget.stem}.safetensors"
    with sharing():
        base = _file(found.recipe, target, out, limits, lambda j, s: watch(f"whole, {j}", s))
        if budget.of == "latency":
            layers = latency_table(
                found.recipe,
                found.model,
                found.groups,
                target=target,
                out=out,
                tile=tile,
                threads=threads,
                limits=limits,
                watch=watch,
            )
        else:
            layers = counted(whole_net, found.model.inputs, budget.of)
        costs = Costs(whole_net, found.groups, layers)
        asked = budget.share or _share(budget, base, threads, rounds, watch)
        at, got, made, faster = asked, 0.0, None, None

        def written(net: nn.Module) -> tuple[Recipe, Artifact]:
            recipe = _written(found, net, weights)
            return recipe, _file(recipe, target, out / budget.stem, limits, watch)

        for _ in range(TRIES):
            kept = _kept(found, costs, at, tile)
            net = without(whole_net, kept)
            if budget.of == "latency":
                net, rebuilt = _rebuilt(found, net, kept, watch)
                recipe, made = written(net)
                faster = _faster(base, made, threads, rounds, watch)
                assert faster
                got = 1 / faster.value
            else:
                now, whole = (size(n, found.model.inputs, budget.of) for n in (net, whole_net))
                got = now / whole
            if abs(got / asked - 1) <= NEAR:
                break
            at *= asked / got
        if made is None:
            net, rebuilt = _rebuilt(found, net, kept, watch)
            recipe, made = written(net)
            faster = _faster(base, made, threads, rounds, watch)
        macs, params = (_part(base, made, key) for key in ("macs", "parameters"))
        lessons = found.lessons
        rows = [(row.numpy()[None],) for row in lessons.load(lessons.held_out)] if lessons else []
        named = classes(base, rows) if rows else None
        before = classes(made, rows) if rows else None
        after = None
        if epochs and lessons:
            _train(found, net, weights, epochs, rate, watch)
            recipe, made = written(net)
            after = classes(made, rows)
    said = json.loads(metadata(weights)["pruned"])
    truth = lessons.truth if lessons else None
    answers = (named, before, after, truth)
    return Pruned(budget, recipe, made, asked, got, faster, macs, params, said, rebuilt, *answers)


def _kept(found: Study, costs: Costs, share: float, tile: int) -> list[tuple[Group, list[int]]]:
    whole = costs.of({g.name: g.units for g in found.groups})
    counts = allocate(found.groups, found.scores, costs, share * whole, tile=tile)
    return [
        (g, strongest(found.scores[g.name], counts[g.name]))
        for g in found.groups
        if counts[g.name] < g.units
    ]


def _rebuilt(
    found: Study, net: nn.Module, kept: Sequence[tuple[Group, Sequence[int]]], watch: Watch
) -> tuple[nn.Module, bool]:
    """The same with weights by least squares, if that answers other images better; whether."""
    if found.images is None:
        return net, False
    watch("rebuild", "least squares, layer by layer")
    made, whole = copy.deepcopy(net), found.model.module
    rebuild(made, whole, kept, found.images[0])
    others = found.images[1]
    with torch.no_grad():
        aim = whole(others).log_softmax(-1)
        losses = [
            float(F.kl_div(n(others).log_softmax(-1), aim, reduction="batchmean", log_target=True))
            for n in (net, made)
        ]
    watch("rebuild", "done")
    better = losses[1] < losses[0]
    return made if better else net, better


def _train(
    found: Study, net: nn.Module, weights: Path, epochs: int, rate: float, watch: Watch
) -> None:
    assert found.lessons
    kept = weights.with_suffix(".checkpoint.safetensors")
    finetune(
        net,
        found.lessons.batches,
        steps=found.lessons.steps,
        epochs=epochs,
        rate=rate,
        teacher=found.model.module,
        checkpoint=kept,
        told=lambda epoch, loss: watch("train", f"epoch {epoch} of {epochs}, loss {loss:.3g}"),
    )
    watch("train", "done")
    kept.unlink(missing_ok=True)


def _written(found: Study, net: nn.Module, weights: Path) -> Recipe:
    """Put the weights of `net`, and what it is, into a file; the recipe that takes them."""
    said = structure(net, found.model.module)
    facts = {"structure": said, "pruned": json.dumps(widths(said, found.model.module))}
    old = metadata(Path(found.recipe.weights)) if found.recipe.weights else {}
    write(weights, net.state_dict(), old | facts)
    return replace(found.recipe, weights=str(weights), pretrained=False)


def _file(recipe: Recipe, target: str, out: Path, limits: Limits, watch: Watch) -> Artifact:
    precisions = [recipe.precision]
    (made,) = convert(
        recipe, to=[target], precisions=precisions, out=out, limits=limits, watch=watch
    )
    if made.artifact is None:
        assert made.error
        raise made.error
    return made.artifact


def _faster(
    base: Artifact, made: Artifact, threads: int, rounds: int, watch: Watch
) -> Ratio | None:
    """How many times as fast; None where the runtime is not here."""
    try:
        check_host(base.target)
    except NotOnThisSystem:
        return None
    items = [item_of(base), item_of(made)]
    before, after = sound(
        session(items, job="measure", watch=watch, threads=threads, rounds=rounds)
    )
    return ratio(before, after)


def _share(budget: Budget, base: Artifact, threads: int, rounds: int, watch: Watch) -> float:
    """A latency as a part of the whole model's."""
    (run,) = sound(
        session([item_of(base)], job="measure", watch=watch, threads=threads, rounds=rounds)
    )
    assert budget.seconds
    if budget.seconds >= run.median_s:
        raise InputError(
            f"{base.path.name} takes {run.median_s * 1e3:.3g} ms here as it is: {budget} is met"
        )
    return budget.seconds / run.median_s


def _part(base: Artifact, made: Artifact, key: str) -> float:
    whole, now = (a.card.model[key] for a in (base, made) if a.card)
    return float(now / whole)
