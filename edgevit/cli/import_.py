"""edgevit import"""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .screen import Screen, screened

if TYPE_CHECKING:
    from rich.table import Table

    from ..profiles.xcode_report import XcodeReport


@click.group()
def command() -> None:
    """Read what another tool measured."""


@command.command("xcode-report")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--artifact", type=click.Path(path_type=Path), help="The package measured.")
@click.option("--runs", type=click.Path(path_type=Path), help="Folder for the raw samples.")
@screened
def xcode_report(screen: Screen, file: Path, artifact: Path | None, runs: Path | None) -> None:
    """Show a Core ML performance report of Xcode: a .mlperf folder, or its report.json.

    With --runs its samples are kept as a run, for `edgevit compare` with others of the device;
    --artifact says whose they are: its digest and precision go with them.

    \b
    edgevit import xcode-report net.mlperf --artifact out/net.mlpackage --runs out/xcode
    """
    from ..pipeline.imported import xcode_run
    from ..profiles.report.table import doubt_lines, rows
    from ..profiles.xcode_report import read

    report = read(file)
    run = xcode_run(report, artifact)
    (row,) = rows([run])
    screen.show(f"{report.model} on {report.device}, {report.os}, compute units: {report.units}")
    screen.show(_times(report))
    if report.operators:
        screen.show("", _places(report))
    if screen.verbose:
        for op in report.operators:
            could = ", ".join(op.supported)
            screen.show(f"{op.cost:7.2%}  {op.preferred:13}  {op.kind} {op.name}; could: {could}")
    for line in doubt_lines([row]):
        screen.note(f"? {line}")
    screen.json(
        {
            "model": report.model,
            "device": report.device,
            "os": report.os,
            "compute_units": report.units,
            "placement": report.placement,
            "median_ms": {name: _median_ms(times) for name, times in _steps(report).items()},
            "operators": [vars(op) for op in report.operators],
            "doubts": row["doubts"],
        }
    )
    if runs:
        kept = run.save(runs / f"{run.context.artifact}-xcode-{report.unit}-{report.units}.json")
        screen.note(f"raw samples: {kept}")


def _steps(report: "XcodeReport") -> dict[str, tuple[float, ...]]:
    predictions = tuple(s for block in report.rounds_s for s in block)
    return {"prediction": predictions, "load": report.load_s, "compile": report.compile_s}


def _median_ms(seconds: tuple[float, ...]) -> float | None:
    from statistics import median

    return median(seconds) * 1e3 if seconds else None


def _times(report: "XcodeReport") -> "Table":
    from .tables import table_of

    table = table_of(
        ("", "left", 0),
        ("median ms", "right", 0),
        ("shortest", "right", 0),
        ("longest", "right", 0),
        ("samples", "right", 0),
    )
    for name, seconds in _steps(report).items():
        if seconds:
            numbers = [s * 1e3 for s in (min(seconds), max(seconds))]
            shown = [f"{ms:.4g}" for ms in (_median_ms(seconds) or 0.0, *numbers)]
            table.add_row(name, *shown, str(len(seconds)))
    return table


def _places(report: "XcodeReport") -> "Table":
    """One row per device: how many operators, their share of the estimated cost, their kinds."""
    from .tables import table_of

    table = table_of(
        ("placed on", "left", 0),
        ("operators", "right", 0),
        ("≈ cost", "right", 0),
        ("could run on the Neural Engine", "right", 0),
        ("most of them", "left", 1),
    )
    total = sum(op.cost for op in report.operators)
    for device, count in Counter(op.preferred for op in report.operators).most_common():
        here = [op for op in report.operators if op.preferred == device]
        share = f"{sum(op.cost for op in here) / total:.1%}" if total else "–"
        could = sum("Neural Engine" in op.supported for op in here)
        kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(o.kind for o in here).most_common(4))
        table.add_row(device, str(count), share, str(could), kinds)
    return table
