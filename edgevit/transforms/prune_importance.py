"""What the model loses with each unit of a group, by five measures.

    magnitude    squared weights of all that goes with it, over the group's mean
    bn           |γ| of the batch norms in it (Liu et al., "Network Slimming", ICCV 2017)
    activation   squares of what its readers get from it, as a part of what they write
    taylor       |Σ w ∂L/∂w| over the weights that read it (Molchanov et al., CVPR 2019, eq. 8)
    fisher       ½ E[(Σ w ∂L/∂w)²] over inputs: the second order of the loss at a minimum, without
                 a Hessian (Theis et al., 2018, arXiv 1801.05787, eq. 6)

The last three look at pictures, one by one. taylor and fisher need a class for each: its own where
known, and else one drawn from what the model itself believes. One more measure is one more function
in MEASURES.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgevit.errors import InputError

from .prune_narrow import Cut, Group

Lessons = Iterable[tuple[Tensor, Tensor | None]]  # an image [1, C, H, W], and its class [1] or None
Scores = dict[str, Tensor]  # by group: [units], ≥ 0
Measure = Callable[[nn.Module, Sequence[Group], Lessons], Scores]


def magnitude(net: nn.Module, groups: Sequence[Group], lessons: Lessons) -> Scores:
    tensors = dict(net.named_parameters())
    found = {}
    for group in groups:
        parts = [
            _by_unit(tensors[c.tensor].detach() ** 2, c) for c in group.cuts if c.tensor in tensors
        ]
        score = torch.stack(parts).sum(0)
        found[group.name] = score / score.mean().clamp_min(1e-30)
    return found


def bn(net: nn.Module, groups: Sequence[Group], lessons: Lessons) -> Scores:
    norms = {f"{path}.weight": m for path, m in net.named_modules() if _is_norm(m)}
    found = {}
    for group in groups:
        scales = [
            _by_unit(norms[c.tensor].weight.abs(), c) for c in group.cuts if c.tensor in norms
        ]
        if scales:
            found[group.name] = torch.stack(scales).sum(0).detach()
    if not found:
        raise InputError("the model has no batch norm to prune by: choose another --importance")
    return found


def activation(net: nn.Module, groups: Sequence[Group], lessons: Lessons) -> Scores:
    squares: dict[str, Tensor] = {}
    written: dict[str, float] = {}

    def seen(path: str, axis: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
            rows = given[0].movedim(axis, 0).flatten(1)
            squares[path] = squares.get(path, 0) + (rows**2).mean(1)  # type: ignore[assignment]
            written[path] = written.get(path, 0.0) + float((out**2).mean())

        return hook

    readers = {c.tensor: c for g in groups for c in readers_of(g)}
    hooks = []
    for tensor in readers:
        path = tensor.rpartition(".")[0]
        layer = net.get_submodule(path)
        axis = 1 if isinstance(layer, nn.Conv2d) else -1
        hooks.append(layer.register_forward_hook(seen(path, axis)))
    try:
        with torch.no_grad():
            for image, _ in lessons:
                net(image)
    finally:
        for hook in hooks:
            hook.remove()
    found = {}
    for group in groups:
        score = torch.zeros(group.units)
        for cut in readers_of(group):
            path = cut.tensor.rpartition(".")[0]
            weight = net.get_parameter(cut.tensor).detach()
            energy = (weight**2).flatten(2).sum((0, 2)) if weight.dim() > 2 else (weight**2).sum(0)
            part = energy * squares[path] / max(written[path] * weight.shape[0], 1e-30)
            score += _by_unit(part, Cut(cut.tensor, 0, cut.rows))
        found[group.name] = score
    return found


def taylor(net: nn.Module, groups: Sequence[Group], lessons: Lessons) -> Scores:
    return {k: v.mean(0).abs() for k, v in _slopes(net, groups, lessons).items()}


def fisher(net: nn.Module, groups: Sequence[Group], lessons: Lessons) -> Scores:
    return {k: 0.5 * (v**2).mean(0) for k, v in _slopes(net, groups, lessons).items()}


MEASURES: dict[str, Measure] = {
    "fisher": fisher,
    "taylor": taylor,
    "activation": activation,
    "magnitude": magnitude,
    "bn": bn,
}
BLIND = ("magnitude", "bn")  # they need no pictures


def readers_of(group: Group) -> list[Cut]:
    """The weights that multiply what the units give."""
    return [c for c in group.cuts if c.axis == 1 and c.tensor.endswith(".weight")]


def _fading(group: Group) -> list[Cut]:
    """What the units fade by: their readers, and of a head's width the queries as well."""
    asked = [
        Cut(c.tensor, 0, tuple(row[: len(row) // 3] for row in c.rows))
        for c in group.cuts
        if group.kind == "width" and c.axis == 0
    ]
    return readers_of(group) + asked


def _slopes(net: nn.Module, groups: Sequence[Group], lessons: Lessons) -> dict[str, Tensor]:
    """[images, units]: how the loss changes as a unit fades for all that read it."""
    weights = {c.tensor: net.get_parameter(c.tensor) for g in groups for c in _fading(g)}
    wanted = {name: w.requires_grad for name, w in weights.items()}
    found: dict[str, list[Tensor]] = {g.name: [] for g in groups}
    generator = torch.Generator().manual_seed(0)
    try:
        for w in weights.values():
            w.requires_grad_(True)
        for image, label in lessons:
            scores = net(image)
            if label is None:
                label = torch.multinomial(scores.detach().softmax(-1), 1, generator=generator)[:, 0]
            loss = F.cross_entropy(scores, label)
            slopes = torch.autograd.grad(loss, list(weights.values()))
            products = {
                k: w.detach() * g for (k, w), g in zip(weights.items(), slopes, strict=True)
            }
            for group in groups:
                parts = [_by_unit(products[c.tensor], c) for c in _fading(group)]
                found[group.name].append(torch.stack(parts).sum(0))
    finally:
        for name, w in weights.items():
            w.requires_grad_(wanted[name])
    return {name: torch.stack(rows) for name, rows in found.items()}


def _by_unit(values: Tensor, cut: Cut) -> Tensor:
    """Sums of `values` over all but the cut's axis, and over the places of each unit."""
    others = [axis for axis in range(values.dim()) if axis != cut.axis]
    along = values.sum(others) if others else values
    return along[cut.places].sum(1)


def _is_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.BatchNorm2d) and module.affine
