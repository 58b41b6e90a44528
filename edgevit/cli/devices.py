"""edgevit devices, edgevit devices prepare"""

from dataclasses import asdict
from pathlib import Path

import click

from ..errors import InputError
from .choices import Names
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


@command.command()
@click.argument("device")
@click.option(
    "--wheels",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Install from this folder, without a network there.",
)
@click.option("--python", default="python3", show_default=True, help="Of the board, 3.11 or newer.")
@click.option(
    "--runtimes",
    type=Names(("onnx", "tflite", "executorch")),
    default="onnx,tflite",
    show_default=True,
    help="What it is to run.",
)
@screened
def prepare(
    screen: Screen, device: str, wheels: Path | None, python: str, runtimes: tuple[str, ...]
) -> None:
    """Set up a board, ssh:USER@HOST, and run a small file in each runtime there.

    Everything goes to ~/.cache/edgevit/board there. A Python that has all packages already is used
    as it is; otherwise they go into a venv of their own.
    """
    from ..profiles.devices import ssh_prepare
    from .tables import table_of

    kind, _, address = device.partition(":")
    if kind != "ssh":
        raise InputError(f"{device} needs no preparation; boards do: ssh:USER@HOST")
    with screen.progress() as watch:
        done = ssh_prepare.prepare(
            address,
            wheels=wheels,
            python=python,
            runtimes=runtimes,
            watch=lambda stage: watch(device, stage),
        )
        watch(device, "done")
    facts = done.facts
    screen.note(
        f"{done.name}: {facts['device']}, {facts['cpu']}, {facts['cores']} cores, "
        f"{facts['memory_bytes'] / 2**30:.1f} GiB, {facts['os']}, Python {done.python}"
    )
    table = table_of(("runtime", "left", 0), ("version", "left", 0), ("state", "left", 1))
    for target in runtimes:
        error = done.failed.get(target)
        table.add_row(target, done.runtimes.get(target, "–"), str(error or "runs"))
    screen.show(table)
    failed = {target: str(e) for target, e in done.failed.items()}
    screen.json({"device": done.name, "runtimes": done.runtimes, "failed": failed})
    screen.end(list(done.failed.values()))
