"""Lower a saved program to one target's file; runs in a child process."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch.export import ExportedProgram

from edgevit import calibration
from edgevit.errors import InputError
from edgevit.program import Program, within
from edgevit.recipe import FEWEST

from .between import does_little, nodes_in_integers
from .clipping import clipped
from .equalize import equalized
from .rewrites import AFTER_FP16, BEFORE_FP16
from .rewrites.choice import Costs
from .rewrites.graph import module_path
from .rewrites.merging import without_operator
from .rewrites.rule import rewrite, rules
from .rounding import rounded_weights
from .simulate import CONV, LINEAR
from .target import find


def lower(
    *,
    target: str,
    program: str,
    file: str,
    precision: str,
    ios: int,
    rewrites: Sequence[str] | None = None,
    costs: str | None = None,
    keep: Sequence[str] = (),
) -> dict[str, Any] | None:
    """Write `file` from the saved program, rewritten as asked, or as pays on the target.

    costs: a file of measured speeds, in place of the target's own. keep: modules that stay in fp32.
    Weights in few bits are rounded by a calibration, where there is one. Returns what the rewrites
    and that did, None where there is nothing to say.
    """
    loaded = replace(Program.load(Path(program)), keep=tuple(keep))
    loaded, report = ready(
        loaded, target=target, precision=precision, rewrites=rewrites, costs=costs
    )
    _known(loaded)
    stored = find(target).grids.get(precision)
    if stored and loaded.calibration:
        rows = calibration.load(loaded.calibration)
        exported, said = rounded_weights(loaded, stored, rows, static=precision == "w8a8")
        loaded = replace(loaded, exported=exported)
        report = {"applied": {}, "refused": [], "left_alone": None, **(report or {})}
        report["rounded"] = said
    find(target).lower(loaded, Path(file), precision=precision, ios=ios)
    return report


def ready(
    loaded: Program,
    *,
    target: str,
    precision: str,
    rewrites: Sequence[str] | None = None,
    costs: str | None = None,
) -> tuple[Program, dict[str, Any] | None]:
    """The program as the target's converter gets it, and what was done to it."""
    chosen = find(target)
    names, half = tuple(rewrites or ()), precision in chosen.in_half
    if rewrites is None:
        names = (BEFORE_FP16, *chosen.rewrites) if half else chosen.rewrites
    wanted = rules(names)
    if rewrites is None:
        wanted = Costs.of(target, costs).chosen(wanted)
    report = None
    if wanted:
        exported, done = rewrite(loaded.exported, wanted)
        if rewrites is None and half:
            exported, lifted = rewrite(exported, rules([AFTER_FP16]))
            done = replace(done, applied=done.applied | lifted.applied)
        loaded, report = replace(loaded, exported=exported), asdict(done)
    loaded = replace(loaded, exported=without_operator(loaded.exported))
    if precision == "w8a8":
        loaded = replace(loaded, keep=(*loaded.keep, *_of_pictures(loaded.exported)))
        if precision in chosen.grids:  # not Core ML's, which was measured nowhere
            loaded = replace(loaded, keep=(*loaded.keep, *_by_themselves(loaded)))
    if precision == "w8a8" and loaded.calibration:
        rows = calibration.load(loaded.calibration)
        exported, count = equalized(loaded.exported, rows)
        loaded = replace(loaded, exported=exported)
        ranges, observers = clipped(loaded, rows)
        loaded = replace(loaded, ranges=ranges)
        if report is not None:
            report |= {"equalized": count, "clipped": dict(observers)}
    return loaded, report


def _of_pictures(exported: ExportedProgram) -> Iterator[str]:
    """Convolutions that mix a picture's few channels: every runtime has them faster in fp32."""
    for node in exported.graph.find_nodes(op="call_function", target=CONV):
        channels = node.args[1].meta["val"].shape[1]
        if 1 < channels < FEWEST and module_path(node):
            yield module_path(node)


def _by_themselves(program: Program) -> Iterator[str]:
    """Convolutions that do little and stand between no others in 8 bits."""
    module = program.exported.module()
    found = nodes_in_integers(module, program.kept)
    for node in module.graph.nodes:
        if does_little(node) and node not in found and module_path(node):
            yield module_path(node)


def _known(program: Program) -> None:
    """InputError for a module to keep that has no product in the program, as it is lowered."""
    products = [n for n in program.exported.graph.nodes if n.target in (CONV, LINEAR)]
    paths = {module_path(n) for n in products}
    for kept in program.keep:
        if not any(within(path, kept) for path in paths):
            raise InputError(
                f"{program.facts.name} has no convolution or linear layer in {kept!r}, which is to "
                "stay in fp32: the plan is for another model, or its batch norm is folded, and the "
                "plan names that"
            )


def placement(*, target: str, file: str) -> dict[str, Any] | None:
    """Where the file's graph runs, read from the file or its runtime."""
    found = find(target).placement(Path(file))
    return asdict(found) if found else None
