"""edgevit devices"""

from dataclasses import asdict
from pathlib import Path

import click

from ..errors import InputError
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


@command.command()
@click.argument("device")
@click.argument("apk", type=click.Path(path_type=Path))
@screened
def install(screen: Screen, device: str, apk: Path) -> None:
    """Put the app (android_demo) on DEVICE, adb:SERIAL, or adb: for the only one."""
    from ..profiles.devices import adb

    kind, _, address = device.partition(":")
    if kind != "adb":
        raise InputError(f"an app goes on adb:SERIAL, not on {device!r}")
    screen.note(f"{apk.name} is on {adb.install(address, apk)}")
