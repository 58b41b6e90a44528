"""edgevit bench"""

from pathlib import Path

import click

from . import bench_tome, papers
from .choices import TARGET_NAMES
from .screen import Screen, screened


@click.group()
def command() -> None:
    """Measure on this machine what edgevit, or a paper, says of another one."""


command.add_command(papers.efficientmod)
command.add_command(bench_tome.tome)


@command.command()
@click.option("--to", type=click.Choice(TARGET_NAMES), required=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write the table, for --costs.")
@click.option("--rounds", type=click.IntRange(1), default=30, show_default=True)
@screened
def rewrites(screen: Screen, to: str, out: Path | None, rounds: int) -> None:
    """Time each graph rewrite whose worth depends on the runtime, with it and without.

    \b
    edgevit bench rewrites --to tflite -o costs.toml
    edgevit convert deit_tiny --to tflite --costs costs.toml
    """
    from ..pipeline.measure import measure
    from ..staging import write_text
    from .tables import costs as table

    with screen.progress() as watch:
        costs = measure(to, rounds=rounds, watch=watch)
    screen.show(table(costs))
    screen.json({"measured": costs.measured, "speed": costs.speed})
    if out:
        write_text(out, costs.as_toml())
        screen.note(f"for `edgevit convert --to {to} --costs {out}`")
