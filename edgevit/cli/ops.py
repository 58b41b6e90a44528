"""Tables of an OpProfile: what to do, the operators that take the time, and their kinds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table
from rich.text import Text

from ..errors import EdgevitError, NotOnThisSystem
from .explanations import percent
from .screen import Screen
from .tables import table_of

if TYPE_CHECKING:
    from ..profiles.ops.profile import OpProfile, Row

LINES, KINDS, ADVICE = 15, 8, 4  # shown of each, without --verbose


def show(screen: Screen, paths: Sequence[Path], *, by: str, **settings: Any) -> None:
    """What `profile --ops` does; settings: see `profile_ops`."""
    from ..pipeline.ops import profile_ops
    from ..profiles.ops.advice import advice, doubts
    from ..profiles.ops.profile import OpProfile

    with screen.progress() as watch:
        results = profile_ops(paths, watch=watch, **settings)
    profiled = [r for r in results if isinstance(r, OpProfile)]
    for found in profiled:
        screen.show(*parts(found, by=by, verbose=screen.verbose))
    absent = [r for r in results if isinstance(r, NotOnThisSystem)]
    for why in absent:
        screen.note(f"not profiled: {why}")
    screen.json(
        [
            r.as_dict() | {"advice": [vars(a) for a in advice(r)], "doubts": doubts(r)}
            for r in profiled
        ]
    )
    screen.end([r for r in results if isinstance(r, EdgevitError) and r not in absent])
    if not profiled:
        raise click.exceptions.Exit(absent[0].exit_code)


def parts(found: "OpProfile", *, by: str, verbose: bool) -> list[Table | Text]:
    """by: "op", with the kinds below, "module" or "kind". verbose: all rows, kernels too."""
    from ..profiles.ops.advice import advice, doubts

    head = (
        f"{found.file}: {found.latency_s * 1e3:.4g} ms, {found.profiled_s * 1e3:.4g} ms with the "
        f"profiler; {found.ops_s * 1e3:.4g} ms in {len(found.rows)} operators"
    )
    shown: list[Table | Text] = [Text(head, "bold")]
    said = advice(found)
    for one in said if verbose else said[:ADVICE]:
        shown.append(Text(f"{one.share:>4.0%}  {one.said}"))
    shown += [Text(), _table(found, found.grouped(by), by=by, verbose=verbose)]
    if by == "op":
        shown += [Text(), _table(found, found.grouped("kind"), by="kind", verbose=verbose)]
    shown += [Text(f"? {doubt}", "yellow") for doubt in doubts(found)]
    shown.append(
        Text(
            f"{found.runtime}, {found.threads} thread{'s' * (found.threads != 1)}, medians of "
            f"{found.runs}; clock: {found.clock}; peak: {found.peak_macs_per_s / 1e9:.3g} GMAC/s",
            "dim",
        )
    )
    return shown


def _table(found: "OpProfile", rows: Sequence["Row"], *, by: str, verbose: bool) -> Table:
    names = {"op": "operator", "module": "module", "kind": "kind"}
    one = by == "op"
    table = table_of(
        (names[by], "left", 2),
        *((("shape", "left", 0), ("module", "left", 2)) if one else (("n", "right", 0),)),
        ("ms", "right", 0),
        ("share", "right", 0),
        ("MMAC", "right", 0),
        ("MB", "right", 0),
        ("GMAC/s", "right", 0),
        ("% peak", "right", 0),
        ("GB/s", "right", 0),
        *((("kernel", "left", 2),) if one and verbose else ()),
    )
    limit = len(rows) if verbose else LINES if one or by == "module" else KINDS
    for row in rows[:limit]:
        kernel = (row.kernel,) if one and verbose else ()
        table.add_row(*_words(row, by), *_numbers(found, row), *kernel)
    rest = rows[limit:]
    if rest:
        named = f"{len(rest)} other{'s' * (len(rest) != 1)}"
        _sum(table, named, sum(r.seconds for r in rest), found.share(*rest), one=one)
    _sum(table, "in no operator", found.between_s, found.between_share, one=one)
    return table


def _words(row: "Row", by: str) -> tuple[str, ...]:
    if by == "op":
        return _kind(row), "×".join(map(str, row.shape)) or "–", row.module or "–"
    return (_kind(row) if by == "kind" else row.module or "–", str(row.timings))


def _kind(row: "Row") -> str:
    """Of kernels timed as one, the first three."""
    kinds = row.kind.split(", ")
    more = len(kinds) - 3
    return ", ".join(kinds[:3]) + (f" and {more} more" if more > 0 else "")


def _numbers(found: "OpProfile", row: "Row") -> tuple[str, ...]:
    def number(value: float | None, shape: str = "{:.3g}") -> str:
        return shape.format(value) if value else "–"

    fraction, macs_per_s, bytes_per_s = found.of_peak(row), row.macs_per_s, row.bytes_per_s
    return (
        f"{row.seconds * 1e3:.3f}",
        percent(found.share(row)),
        number(row.macs / 1e6),
        number(row.size_bytes / 1e6, "{:.2f}"),
        number(macs_per_s and macs_per_s / 1e9),
        number(fraction and fraction * 100, "{:.0f}"),
        number(bytes_per_s and bytes_per_s / 1e9, "{:.1f}"),
    )


def _sum(table: Table, named: str, seconds: float, share: float, *, one: bool) -> None:
    blank = ("", "") if one else ("",)
    table.add_row(named, *blank, f"{seconds * 1e3:.3f}", percent(share), style="dim")
