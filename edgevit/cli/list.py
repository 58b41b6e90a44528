"""edgevit list"""

import click

from .screen import Screen, screened


@click.command()
@click.argument("what", type=click.Choice(["models", "targets"]), default="models")
@screened
def command(screen: Screen, what: str) -> None:
    """List the models we vouch for, or the targets."""
    rows = _models() if what == "models" else _targets()
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="left", overflow="fold")
    for row in rows:
        table.add_row(*map(str, row.values()))
    screen.show(table)
    if what == "models":
        screen.show("also timm:NAME for any model of timm, and path/to/file.py:callable")
    screen.json(rows)


def _models() -> list[dict[str, object]]:
    from ..models import MODELS

    return [
        {
            "model": entry.name,
            "parameters_M": entry.parameters_m,
            "input_px": entry.input_px,
            "from": f"timm:{entry.timm_name}" if entry.timm_name else "edgevit",
            "about": entry.about,
        }
        for entry in MODELS.values()
    ]


def _targets() -> list[dict[str, object]]:
    from importlib.util import find_spec

    from ..converters.target import find
    from .choices import TARGET_NAMES

    return [
        {
            "target": name,
            "file": find(name).suffix,
            "installed": all(find_spec(n) is not None for n in find(name).needs),
            "precisions": ", ".join(find(name).executes),
            "runs_here": find(name).runs_here,
        }
        for name in TARGET_NAMES
    ]
