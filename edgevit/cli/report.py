"""edgevit report"""

from pathlib import Path

import click

from .screen import Screen, screened

# Of the main table, as much as a terminal has room for.
SHOWN = ("artifact", "size_mb", "placement", "agreement", "median_ms", "speed_text")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Where to write; .html, .md or .csv says what.  [default: FOLDER/report.html]",
)
@screened
def command(screen: Screen, folder: Path, out: Path | None) -> None:
    """Write a page on all that lies in FOLDER: artifacts, their cards, and their runs.

    The page is one file that loads nothing, and its table sorts and filters.

    \b
    edgevit report out
    edgevit report out -o report.csv
    """
    from rich.text import Text

    from ..pipeline.report import report
    from ..profiles.report.cells import shown
    from ..profiles.report.summary import COLUMNS, plain
    from .tables import table_of

    file = out or folder / "report.html"
    found = report(folder, file)
    columns = [column for column in COLUMNS if column[0] in SHOWN]
    table = table_of(*((head, "right" if form else "left", 0) for _, head, form in columns))
    for entry in found.entries:
        table.add_row(*(Text(shown(entry.row.get(key), form)) for key, _, form in columns))
    screen.show(table)
    for name, why in found.left_out.items():
        screen.note(f"left out: {name}: {why}")
    screen.note(f"report: {file}")
    screen.json({"file": str(file), "artifacts": plain(found), "left_out": found.left_out})
