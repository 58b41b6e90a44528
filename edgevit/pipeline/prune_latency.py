"""What each layer of a model costs in a runtime, the narrower the less: by its own profiler.

The model is converted whole and with all its groups at three quarters, half and a quarter, with
whatever weights, and every operator of these files is timed. A layer's curve is through its times.
Kept as a file: for another runtime, processor or count of threads it is made anew.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from .. import digest
from ..converters.tools import tools
from ..errors import sound
from ..models.model import Model
from ..profiles.devices import host
from ..profiles.ops.profile import OpProfile
from ..recipe import Recipe
from ..staging import staging, write_text
from ..transforms.prune_budget import Layer, steps_of
from ..transforms.prune_narrow import Group, without
from .convert import convert
from .ops import profile_ops
from .prune_bench import Bench

SHARES = (1.0, 0.75, 0.5, 0.25)


def latency_table(
    recipe: Recipe,
    model: Model,
    groups: Sequence[Group],
    bench: Bench,
) -> list[Layer]:
    """A curve for each layer of the file, in seconds."""
    file = bench.out / f"{recipe.stem}-{bench.target}.latency.json"
    shapes = {name: [*t.shape] for name, t in model.module.state_dict().items()}
    of = {
        "edgevit": digest.of_edgevit(),
        "sources": [digest.of(file) for file in model.sources],
        "chosen": [recipe.rewrites, recipe.costs and digest.of(Path(recipe.costs)), recipe.ios],
        "tools": tools(bench.target),
        "cpu": host.describe()["cpu"],
        "threads": bench.threads,
        "tile": bench.tile,
        "shapes": shapes,
        "inputs": [[*t.shape] for t in model.inputs],
    }
    if file.exists():
        stored = json.loads(file.read_text())
        if stored["of"] == json.loads(json.dumps(of)):
            return [Layer(*(tuple(v) for v in row.values())) for row in stored["layers"]]
    points: dict[tuple[str, ...], dict[float, float]] = defaultdict(dict)
    with staging(bench.out) as work:
        for share in SHARES:
            kept = [(g, range(_nearest(g, share, bench.tile))) for g in groups]
            net = without(model.module, kept).eval()
            found = _seconds(net, recipe, model, work / str(share), bench)
            for tensors, seconds in found.items():
                points[tensors][_part(net, model.module, tensors)] = seconds
    layers = [_curve(tensors, found) for tensors, found in points.items()]
    write_text(file, json.dumps({"of": of, "layers": [asdict(layer) for layer in layers]}))
    return layers


def _seconds(
    net: nn.Module,
    recipe: Recipe,
    model: Model,
    out: Path,
    bench: Bench,
) -> dict[tuple[str, ...], float]:
    """By the weights that an operator belongs to, the time of all of these operators."""
    (outcome,) = convert(
        replace(recipe, weights=None, pretrained=False, norms=None, embed_preprocess=False),
        to=[bench.target],
        out=out,
        precisions=[recipe.precision],
        verify=False,
        limits=bench.limits,
        model=(net, model.inputs),
        watch=lambda job, stage: bench.watch(f"{out.name} of all widths, {job}", stage),
    )
    if outcome.artifact is None:
        assert outcome.error
        raise outcome.error
    (found,) = sound(profile_ops([outcome.artifact.path], threads=bench.threads))
    return by_owner(net, found)


def by_owner(net: nn.Module, profile: OpProfile) -> dict[tuple[str, ...], float]:
    """All of them together take what an inference takes without the profiler.

    The profiler itself takes the same for each timing; what is in no operator, no width changes.
    """
    rows, timings = profile.rows, sum(row.timings for row in profile.rows)
    more = sum(row.seconds for row in rows) - profile.latency_s
    own = max(more, 0.0) / max(timings, 1)
    sums: dict[tuple[str, ...], float] = defaultdict(float)
    for row in rows:
        sums[owners(net, row.module)] += max(row.seconds - own * row.timings, 0.0)
    sums[()] += max(-more, 0.0)
    return sums


def owners(net: nn.Module, path: str) -> tuple[str, ...]:
    """The weights by which the time of an operator at `path` goes; all, where it has none.

    A batch norm is part of the convolution before it.
    """
    modules = dict(net.named_modules())
    while path not in modules:
        path = path.rpartition(".")[0]
    while path and not [*modules[path].parameters()]:
        path = path.rpartition(".")[0]
    if isinstance(modules[path], nn.BatchNorm2d):
        before = [
            p for p, m in modules.items() if isinstance(m, nn.Conv2d | nn.Linear) or p == path
        ]
        path = before[max(before.index(path) - 1, 0)]
    prefix = f"{path}." if path else ""
    return tuple(prefix + name for name, _ in modules[path].named_parameters())


def _part(net: nn.Module, whole: nn.Module, tensors: Sequence[str]) -> float:
    """Of the numbers in these tensors, how many are in the narrower one."""
    if not tensors:
        return 1.0
    sizes = [sum(n.get_parameter(t).numel() for t in tensors) for n in (net, whole)]
    return sizes[0] / sizes[1]


def _curve(tensors: tuple[str, ...], found: dict[float, float]) -> Layer:
    """Never falling as the share rises: what seems to is noise."""
    shares = sorted(found)
    seconds = torch.tensor([found[s] for s in shares]).cummax(0).values.tolist()
    return Layer(tensors, tuple(shares), tuple(seconds))


def _nearest(group: Group, share: float, tile: int) -> int:
    return min(steps_of(group, tile), key=lambda n: abs(n - share * group.units))
