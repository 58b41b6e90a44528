"""edgevit show"""

from dataclasses import asdict
from pathlib import Path

import click

from .screen import Screen, screened


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@screened
def command(screen: Screen, path: Path) -> None:
    """Print the card of an artifact: what it is, what was checked, where it runs."""
    from rich.table import Table

    from ..converters.artifact import Artifact
    from ..converters.card_in_words import in_words

    artifact = Artifact.read(path, rejected=True)
    card = artifact.card
    assert card is not None  # `read` demands one
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("artifact", str(path))
    for name, value in in_words(card).items():
        table.add_row(name, value)
    screen.show(table)
    screen.json(asdict(card))
