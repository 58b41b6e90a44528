"""edgevit quantize --simulate: the methods of papers, in a table."""

from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..errors import InputError
from ..lookup import lookup
from ..recipe import BITS, PAPERS, Recipe
from .choices import Names
from .screen import Screen

if TYPE_CHECKING:
    from rich.table import Table

    from ..pipeline.simulate import Simulation

ALL = "all"
SAID = "simulated only: no runtime has kernels for this"
# The options that say which model and on what; the others are of files and plans.
RECIPE = (
    "model",
    "input_size",
    "num_classes",
    "pretrained",
    "norms",
    "weights",
    "calibrate",
    "samples",
)
KEPT = (*RECIPE, "data", "timeout")


def or_simulated(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command --simulate and --bits, with which it makes no file."""

    @click.option(
        "--simulate",
        type=Names([*PAPERS, ALL]),
        multiple=True,
        help=f"Only simulate these papers' methods: {', '.join(PAPERS)}; {ALL}.",
    )
    @click.option("--bits", type=Names(BITS), help="Of --simulate; all of 4,6,8.")
    @wraps(function)
    def command(
        screen: Screen,
        simulate: tuple[tuple[str, ...], ...],
        bits: tuple[str, ...] | None,
        **given: Any,
    ) -> None:
        if simulate:
            names = dict.fromkeys(name for part in simulate for name in part)
            _show(screen, [*PAPERS] if ALL in names else [*names], bits, given)
        elif bits:
            raise InputError(f"--bits is of --simulate: name {', '.join(PAPERS)} or {ALL}")
        else:
            function(screen, **given)

    return command


def _show(
    screen: Screen, methods: list[str], bits: tuple[str, ...] | None, given: dict[str, Any]
) -> None:
    from ..pictures import pictures_in
    from ..pipeline.prepared import Limits
    from ..pipeline.simulate import simulate

    asked = click.get_current_context().get_parameter_source
    stray = [
        f"--{name.replace('_', '-')}"
        for name in given
        if name not in KEPT and asked(name) is ParameterSource.COMMANDLINE
    ]
    if stray:
        raise InputError(
            f"--simulate makes no file and no plan: leave out {' and '.join(stray)}, or --simulate"
        )
    counts = [lookup("number of bits", b, BITS) for b in bits or BITS]
    data: Path | None = given["data"]
    with screen.progress() as watch:
        found = simulate(
            Recipe(**{name: given[name] for name in RECIPE}),
            methods,
            counts,
            pictures=pictures_in(data, "--data") if data else [],
            limits=Limits(timeout_s=given["timeout"]),
            watch=watch,
        )
    screen.show(_table(found), f"over {found.counted} inputs; {SAID}")
    if found.fused:
        screen.note(f"{found.fused} attentions stay fused: what their softmax writes is in fp32")
    screen.json(asdict(found) | {"said": SAID, "papers": {m: PAPERS[m] for m in methods}})


def _table(found: "Simulation") -> "Table":
    from .tables import table_of

    table = table_of(
        ("method", "left", 0),
        ("bits", "right", 0),
        ("SNR", "right", 0),
        ("keep fp32's class", "right", 0),
        *([("accuracy", "right", 0)] if found.right is not None else []),
    )
    if found.right is not None:
        table.add_row("fp32", "", "", "", f"{found.right:.2%}")
    for row in found.rows:
        shares = [row.kept, *([row.right] if found.right is not None else [])]
        told = ("–" if s is None else f"{s:.2%}" for s in shares)
        table.add_row(row.method, str(row.bits), f"{row.snr_db:.1f} dB", *told)
    return table
