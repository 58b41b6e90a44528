"""prune(): a narrower model that keeps a budget of latency, measured in the file itself.

    groups ── what each unit matters ── what each layer costs in the runtime
    widths for the budget ── rebuild ── convert ── measure beside the whole model ── correct, again
    train, with the whole model as the teacher ── convert ── count

In this process, since training may take hours.
"""

import copy
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoint import metadata
from ..converters.artifact import Artifact
from ..converters.target import check_host, find, require
from ..errors import InputError, NotOnThisSystem, sound
from ..models.model import Model
from ..page import page as html
from ..pictures import Picture
from ..prepare import built
from ..profiles.compare import Ratio, ratio
from ..profiles.report.bars import Bar, bars
from ..profiles.report.html import STYLE
from ..program import counting, outputs_of
from ..recipe import Recipe
from ..staging import write_text
from ..template import sharing
from ..transforms.finetune import finetune, write
from ..transforms.prune_budget import Costs, Layer, allocate, strongest
from ..transforms.prune_groups import groups_of
from ..transforms.prune_importance import BLIND, MEASURES, Scores
from ..transforms.prune_narrow import Group, without
from ..transforms.prune_rebuild import rebuild
from ..transforms.prune_structure import structure, widths
from .convert import Limits, Watch, convert
from .lessons import Lessons, fits
from .profile import item_of, session
from .prune_latency import latency_table
from .quantize import classes

NEAR = 0.05  # how far from the budget the measured latency may be
TRIES = 6
IMAGES, PIXELS = 128, 2_000_000  # that importance and rebuilding look at, at most, and in sum


@dataclass(frozen=True)
class Budget:
    """of: "latency", "macs" or "params". share: of the whole model's; or else a latency."""

    of: str
    share: float | None
    seconds: float | None = None

    @classmethod
    def parse(cls, word: str) -> Self:
        """ "0.6x", "latency=0.6x", "latency=8ms", "macs=0.5x", "params=0.5x"."""
        found = re.fullmatch(r"(?:(latency|macs|params)=)?(\d*\.?\d+)(x|ms)", word)
        of, number, unit = found.groups() if found else (None, "", "")
        of = of or "latency"
        if not found or (unit == "ms" and of != "latency"):
            raise InputError(
                f"the budget {word!r} is none: latency=0.6x (or 0.6x), latency=8ms, macs=0.5x or "
                "params=0.5x"
            )
        value = float(number)
        if unit == "x" and not 0 < value < 1:
            raise InputError(f"the budget {word!r} is to lie between 0 and 1 of the whole model")
        return cls(of, value, None) if unit == "x" else cls(of, None, value / 1e3)

    @property
    def amount(self) -> str:
        return f"{self.share:g}x" if self.seconds is None else f"{self.seconds * 1e3:g}ms"

    @property
    def stem(self) -> str:
        """For names of files."""
        return f"{self.of}{self.amount}"

    def __str__(self) -> str:
        return f"{self.of}={self.amount}"


@dataclass(frozen=True)
class Study:
    """What is known of the whole model. refused: modules that stay as they are, and why.

    images: what importance and rebuilding look at, and as many others to judge the latter by.
    """

    recipe: Recipe
    model: Model
    groups: tuple[Group, ...]
    refused: dict[str, str]
    scores: Scores
    lessons: Lessons | None
    images: tuple[Tensor, Tensor] | None


@dataclass(frozen=True)
class Pruned:
    """recipe: of the pruned weights. asked, got: parts of the whole one's latency, MACs or weights.

    widths: channels that a layer writes, [before, now]. faster: measured beside the whole one,
    where the runtime is here. macs, params: parts that stay. The classes of the pictures held out:
    whole, before training, after; None without pictures, or training.
    """

    budget: Budget
    recipe: Recipe
    artifact: Artifact
    asked: float
    got: float
    faster: Ratio | None
    macs: float
    params: float
    widths: dict[str, list[int]]
    rebuilt: bool
    whole: np.ndarray | None
    before: np.ndarray | None
    after: np.ndarray | None
    truth: np.ndarray | None

    @property
    def met(self) -> bool:
        return abs(self.got / self.asked - 1) <= NEAR

    def right(self, answers: np.ndarray | None) -> float | None:
        """Share of the pictures held out: right, or where nobody knows, as the whole model says."""
        aim = self.whole if self.truth is None else self.truth
        return None if answers is None else float((answers == aim).mean())

    def as_dict(self) -> dict[str, Any]:
        named = {"whole": self.whole, "pruned": self.before, "trained": self.after}
        return {
            "budget": str(self.budget),
            "asked": self.asked,
            "got": self.got,
            "met": self.met,
            "faster": self.faster and vars(self.faster),
            "macs": self.macs,
            "params": self.params,
            "widths": self.widths,
            "rebuilt": self.rebuilt,
            "labelled": self.truth is not None,
            "accuracy": {name: self.right(answers) for name, answers in named.items()},
            "weights": self.recipe.weights,
            "path": str(self.artifact.path),
        }


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
    watch("model", "done")
    return Study(recipe, model, tuple(groups), refused, scores, lessons, images)


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
            layers = _counted(found.model, budget.of)
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
                now, whole = (_size(n, found.model.inputs, budget.of) for n in (net, whole_net))
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


def _size(net: nn.Module, inputs: Sequence[Tensor], of: str) -> int:
    """Its weights, or MACs."""
    if of == "params":
        return sum(p.numel() for p in net.parameters())
    with counting() as flops:
        outputs_of(net, inputs)
    return flops.get_total_flops() // 2


def _counted(model: Model, of: str) -> list[Layer]:
    """Straight lines: a layer's weights, or its MACs, go by the share of its weights that stays."""
    positions: dict[str, int] = {}
    layers = {p: m for p, m in model.module.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}

    def hook_of(path: str) -> Any:
        def hook(layer: nn.Module, given: Any, out: Tensor) -> None:
            positions[path] = positions.get(path, 0) + out.numel()

        return hook

    hooks = [layer.register_forward_hook(hook_of(path)) for path, layer in layers.items()]
    try:
        outputs_of(model.module, model.inputs)
    finally:
        for hook in hooks:
            hook.remove()
    found = []
    for path, layer in layers.items():
        macs = positions.get(path, 0) * layer.weight[0].numel()
        amount = float(macs if of == "macs" else layer.weight.numel())
        found.append(Layer((f"{path}.weight",), (0.0, 1.0), (0.0, amount)))
    return found


def page(file: Path, found: Study, rows: Sequence[Pruned]) -> None:
    """Widths of the layers, and what each budget costs, as plots."""
    parts = []
    for row in rows:
        said = f"{row.got:.2f}× of the whole model's {row.budget.of}"
        bars_ = [
            Bar(n, now / b, now / b, now / b, f"{now} of {b}") for n, (b, now) in row.widths.items()
        ]
        parts.append(f"<h2>{escape(str(row.budget))}</h2><p>{escape(said)}</p>")
        parts.append(bars(bars_, title=f"{row.budget}, widths", described=said, unit=""))
    counted = [
        Bar(f"{row.budget}, {when}", 100 * share, 100 * share, 100 * share, f"{share:.1%}")
        for row in rows
        for when, answers in (("pruned", row.before), ("trained", row.after))
        if (share := row.right(answers)) is not None
    ]
    if counted:
        whole = rows[0].right(rows[0].whole)
        said = f"share of pictures held out that are right; the whole model: {whole:.1%}"
        parts.append(f"<h2>What it costs</h2><p>{escape(said)}</p>")
        parts.append(bars(counted, title="Accuracy", described=said, unit=" %"))
    write_text(file, html(f"{found.recipe.title}, pruned", parts, style=STYLE))
