"""edgevit compare"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..errors import Disagreement
from .screen import Screen, screened


class Percent(click.ParamType):  # type: ignore[type-arg]
    name = "percent"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        try:
            found = float(str(value).removesuffix("%"))
        except ValueError:
            self.fail(f"{value!r} is no percentage; write 3%", param, ctx)
        if not 0 <= found < 1000:
            self.fail(f"{value!r} is out of range; write 3%", param, ctx)
        return found


@click.command()
@click.argument("a", type=click.Path(path_type=Path, exists=True))
@click.argument("b", type=click.Path(path_type=Path, exists=True))
@click.option("--max-slower", type=Percent(), help="Exit with 3 if B is surely slower by more.")
@screened
def command(screen: Screen, a: Path, b: Path, max_slower: float | None) -> None:
    """What differs between A and B, and which is faster: runs, cards, artifacts or folders.

    \b
    edgevit compare out/runs-before out/runs --max-slower 3%
    """
    from rich.text import Text

    from ..pipeline.compare import compare
    from .tables import table_of

    found = compare(a, b)
    table = table_of(
        ("artifact", "left", 1),
        ("A ms", "right", 0),
        ("B ms", "right", 0),
        ("B relative to A", "left", 0),
        ("B is", "left", 0),
    )
    for pair in found:
        times = [f"{run.median_s * 1e3:.4g}" if run else "–" for run in (pair.a, pair.b)]
        table.add_row(
            Text(pair.name),
            *times,
            str(pair.speed) if pair.speed else "–",
            pair.speed.verdict if pair.speed else "–",
        )
    screen.show(table)
    for pair in found:
        differs = (f"{key} {mine} → {its}" for key, (mine, its) in pair.differs.items())
        screen.show(Text(f"{pair.name}: {'; '.join(differs) or 'nothing else differs'}", "dim"))
    if any(pair.speed and not pair.speed.paired for pair in found):
        screen.note("taken in two sessions: what changed between them is in no interval")
    screen.json(
        [
            {
                "artifact": pair.name,
                "a_ms": pair.a and pair.a.median_s * 1e3,
                "b_ms": pair.b and pair.b.median_s * 1e3,
                "speed": pair.speed and asdict(pair.speed),
                "differs": {key: list(values) for key, values in pair.differs.items()},
            }
            for pair in found
        ]
    )
    if max_slower is None:
        return
    least = 1 / (1 + max_slower / 100)
    speeds = {pair.name: pair.speed for pair in found if pair.speed}
    if not speeds:
        raise click.UsageError("--max-slower needs runs on both sides; `edgevit profile` first")
    for name, speed in speeds.items():
        if speed.low < least <= speed.high:
            screen.note(f"{name}: {speed} leaves open whether it is slower by {max_slower:g} %")
    slower = [f"{name} {speed}" for name, speed in speeds.items() if speed.high < least]
    screen.end([Disagreement(f"slower by more than {max_slower:g} %: {s}") for s in slower])
