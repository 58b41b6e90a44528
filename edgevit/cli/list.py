"""edgevit list"""

from dataclasses import asdict

import click

from .screen import Screen, screened


@click.command()
@click.argument(
    "what", type=click.Choice(["models", "targets", "tables", "devices"]), default="models"
)
@click.argument("table", required=False)
@click.option("--counts", is_flag=True, help="A table's parameters and MACs beside our own.")
@screened
def command(screen: Screen, what: str, table: str | None, counts: bool) -> None:
    """List the models we vouch for, the targets, the tables that others published, or one TABLE,
    and the devices that those are about.

    \b
    edgevit list tables
    edgevit list tables efficientmod --counts
    """
    if table is not None and what != "tables":
        raise click.UsageError(f"only tables have names to list; leave out {table!r}")
    if counts and table is None:
        raise click.UsageError("--counts needs the name of a table: list tables efficientmod")
    if table is not None:
        _show_table(screen, table, counts=counts)
        return
    if what == "devices":
        _show_devices(screen)
        return
    rows = {"models": _models, "targets": _targets, "tables": _tables}[what]()
    _show(screen, rows)
    if what == "models":
        screen.show("also timm:NAME for any model of timm, and path/to/file.py:callable")
    screen.json(rows)


def _show(screen: Screen, rows: list[dict[str, object]]) -> None:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="left", overflow="fold")
    for row in rows:
        table.add_row(*map(str, row.values()))
    screen.show(table)


def _show_table(screen: Screen, name: str, *, counts: bool) -> None:
    from ..profiles.tables import PUBLISHED, load

    found = load(name)
    document = asdict(found) | {"devices": found.devices, "said": PUBLISHED}
    screen.show(f"{found.title} – {PUBLISHED}")
    if counts:
        document["counts"] = _counts(screen, name)
    else:
        _show(screen, [dict(row) for row in found.rows])
    for key in ("device", "protocol", "source", "baseline", "note"):
        if said := getattr(found, key):
            screen.show(f"{key}: {said}")
    screen.json(document)


def _counts(screen: Screen, name: str) -> list[dict[str, object]]:
    """Each row's counts and ours, then a sentence for each that disagrees."""
    from ..profiles.tables import load
    from ..profiles.tables.counts import counts

    found = list(counts(load(name)))
    rows: list[dict[str, object]] = [
        {
            "row": c.row,
            "model": c.model,
            "params M": f"{c.params_m:.3f}",
            "printed": c.printed_params_m,
            "MACs G": f"{c.macs_g:.3f}",
            "printed ": c.printed_macs_g,
            "": "agrees" if c.agrees else "differs",
        }
        for c in found
    ]
    _show(screen, rows)
    screen.show(*(f"{c.row}: {c.why}" for c in found if not c.agrees))
    return [asdict(c) for c in found]


def _tables() -> list[dict[str, object]]:
    from ..profiles.tables import NAMES, load

    return [
        {
            "table": table.name,
            "title": table.title,
            "rows": len(table.rows),
            "devices": "; ".join(table.devices),
            "source": table.source,
        }
        for table in map(load, NAMES)
    ]


def _show_devices(screen: Screen) -> None:
    from ..profiles.devices.known import known
    from ..profiles.tables import PUBLISHED

    devices = known().values()
    rows: list[dict[str, object]] = [
        {
            "device": device.name,
            "chip": device.soc,
            "cores": " + ".join(map(str, device.cpu)),
            "accelerators": "; ".join(filter(None, (device.gpu, device.npu))),
            "in tables": ", ".join(device.tables) or "–",
        }
        for device in devices
    ]
    _show(screen, rows)
    screen.show(f"latencies in these tables are {PUBLISHED}")
    screen.json([asdict(d) | {"tables": d.tables, "said": PUBLISHED} for d in devices])


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
