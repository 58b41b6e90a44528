"""edgevit devices"""

from dataclasses import asdict

import click

from .screen import Screen, screened


@click.group(invoke_without_command=True)
@screened
def command(screen: Screen) -> None:
    """List what --device takes and what answers now: this machine, phones, boards."""
    if click.get_current_context().invoked_subcommand:
        return
    from ..profiles.devices.device import reachable
    from .tables import table_of

    found = reachable()
    table = table_of(
        ("device", "left", 0),
        ("model", "left", 0),
        ("chip", "left", 0),
        ("cores", "right", 0),
        ("system", "left", 0),
        ("state", "left", 1),
    )
    for one in found:
        table.add_row(one.name, one.model, one.soc, str(one.cores or "–"), one.os, one.state)
    screen.show(table)
    screen.json([asdict(one) for one in found])
